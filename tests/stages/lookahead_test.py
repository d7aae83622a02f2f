"""Lookahead from its config to its outcomes: settings, rows, the account, loading, charge."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import arithmetic, quickstart
from tests import toy
from tests.eval import synthetic
from tts import config, methods, parallel
from tts.engine import engine
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.shape import Shape
from tts.estimates import dry_run
from tts.eval.measures import flops, outcomes
from tts.eval.measures.ledger import Ledger
from tts.eval.storage import records, runfiles, samples
from tts.library.tree_json import tree_page
from tts.runs.record_rows import RowMaker
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.searching import search as search_lib
from tts.stages import strategies
from tts.types import InputError, Problem, Strategy

PAPER = ((1, 'sqrt'), (3, 4), (3, 'sqrt'))
LIMITS = Limits(max_tokens=13, max_steps=5, max_step_tokens=5, roles=toy.ROLES)
B, N, K = 16, 4, 3
STRATEGY = Strategy.of('lookahead', 18, beam_width=2, lookahead=K)  # 18 buy no more than 16


def lookahead(budgets, rules):
  return strategies.of_method(config.SearchConfig(lookahead=rules), 'lookahead', {}, budgets)


def test_the_paper_s_settings():
  """B = N (k + 1); M is of the N candidates; a budget without a candidate is left out."""
  found = lookahead((1, 2, 4, 16, 64, 256), PAPER)
  assert [(s.budget, s.lookahead, s.beam_width, s.num_candidates) for s in found] == [
      (2, 1, 1, 1), (4, 1, 1, 2), (4, 3, 1, 1), (16, 1, 2, 8), (16, 3, 4, 4), (16, 3, 2, 4),
      (64, 1, 4, 32), (64, 3, 4, 16), (256, 1, 8, 128), (256, 3, 4, 64), (256, 3, 8, 64)]
  assert all(s.num_candidates * (s.lookahead + 1) <= s.budget for s in found)
  assert found[4].name == 'lookahead-m4-k3-n16'
  assert {Strategy.of('beam', 16, beam_width=4).num_candidates,
          Strategy('sample', 16).num_candidates} == {16}


@pytest.mark.parametrize('rule,match', [((3, 0), 'M is a number'), ((3, 'log'), 'M is a number')])
def test_a_wrong_width_is_named(rule, match):
  with pytest.raises(InputError, match=f'config.search.lookahead .*{match}'):
    lookahead((16,), (rule,))


@pytest.mark.parametrize('value,match', [
    (((0, 4),), 'config.search: .*k = 0'), (((3,),), r'config.search.lookahead has .*2 values'),
    (((3, 4, 5),), 'config.search.lookahead has .*2 values'),
    ((3, 4), 'config.search.lookahead is 3'), ((('x', 4),), 'config.search.lookahead is')])
def test_a_wrong_config_is_named(value, match):
  wrong = quickstart.get_config()
  with wrong.ignore_type():
    wrong.search.lookahead = value
  with pytest.raises(InputError, match=match):
    config.from_config_dict(wrong)


def test_the_dry_run_counts_what_is_written():
  experiment = config.from_config_dict(arithmetic.get_config())
  without = dataclasses.replace(experiment, search=dataclasses.replace(
      experiment.search, lookahead_questions=0))
  more, less = (strategies.guided(e, 6.0)['latent'] for e in (experiment, without))
  charged = 2 * (4 + 16 + 64)
  # A simulation writes less than a solution.
  assert 400 * charged / 4 < more - less < 400 * charged
  cost = lambda e: next(c for c in dry_run.costs(e) if c.stage == 'search')
  assert cost(experiment).flops > cost(without).flops


@pytest.fixture(scope='module')
def trees():
  prompts, prompt_len = toy.prompts(5, B, 5)
  shape = Shape(lanes=8, write=4, readers=8, tile=4)
  mesh = parallel.make_mesh(1)
  generator = EngineGenerator(mesh, toy.TableGenerator, jnp.asarray(toy.random_tables(5, B)), shape,
                  SamplingConfig(), LIMITS)
  verifier = EngineVerifier(mesh, toy.TableVerifier, (), shape)
  keys = np.asarray(jax.random.key_data(toy.slot_keys(B, N)))

  def begin(b):
    prompt = prompts[b, :prompt_len[b]].tolist()
    return lambda group: search_lib.Search(
        generator, verifier, search_lib.Question(prompt, prompt, keys[b], keys[b][0]),
        methods.Lookahead(2, K), group).run()

  found = engine.run([begin(b) for b in range(B)], [generator, verifier], in_flight=4)
  return list(zip(found, prompt_len.tolist()))


decoded = lambda tokens: ' '.join(map(str, tokens)) + '\n'
TOKENIZER = types.SimpleNamespace(decode=decoded, decode_batch=lambda many: list(map(decoded, many)))


def rows_of(tree, number, prompt_tokens):
  problem = Problem(f'q{number:04d}', 'p\n', '1', level=1)
  return RowMaker(TOKENIZER, LIMITS.roles, 'exact', 0).tree_rows(
      problem, STRATEGY, tree, verifier='prm', split='dev', stream='test',
      prompt_tokens=prompt_tokens)


def test_the_account_is_exact(trees):
  ledger = Ledger()
  for number, (tree, prompt) in enumerate(trees):
    for row in rows_of(tree, number, prompt):
      ledger.add('search', row)
  ahead = [n.simulation for tree, _ in trees for n in tree.nodes if n.simulation]
  ends = sum(not n.live for tree, _ in trees for n in tree.nodes)
  table = ledger.table({})['search']
  for model, last in (('base', ends + sum(s.ended for s in ahead)), ('prm', 0)):
    assert table[model]['simulated'] == sum(len(s.tokens) for s in ahead) > 0
    assert table[model]['last'] == last and table[model]['ratio'] == 1
    assert table[model]['prompt'] == sum(prompt for _, prompt in trees)


def test_scores_are_those_of_the_steps_and_pages_show_the_simulations(trees):
  for number, (tree, prompt) in enumerate(trees):
    for row, (_, last) in zip(rows_of(tree, number, prompt), tree.candidates):
      own = [tree.nodes[i].score for i in tree.path(last)]
      assert row['step_scores'] == own and row['answer_score'] == own[-1]
      assert row['theta'] == {'beam_width': 2, 'lookahead': K} and row['slot'] < N
    page = tree_page(TOKENIZER, 'exact', Problem('q', 'p\n'), STRATEGY, tree, [])
    for node, shown in zip(tree.nodes, page['nodes']):
      assert ('simulation' in shown) == node.live
      if node.live:
        assert shown['simulation'] == {
            'text': ' '.join(map(str, node.simulation.tokens)),
            'score': node.simulation.score, 'tokens': len(node.simulation.tokens)}


@pytest.fixture
def workdir(trees, tmp_path):
  """A run of this search alone."""
  records.write_json(tmp_path / 'run.json', {'config': {}})
  for name in ('base', 'prm'):
    records.write_json(tmp_path / f'models/{name}/model.json', {
        'kind': 'lm' if name == 'base' else name, 'arch': synthetic.arch(), 'params': 1})
  records.write_block(tmp_path / f'records/search/{STRATEGY.name}/block-00000.jsonl.gz', [
      json.loads(json.dumps(row)) for number, (tree, prompt) in enumerate(trees)
      for row in rows_of(tree, number, prompt)])
  return tmp_path


def test_a_budget_has_fewer_slots_than_it_is_charged(workdir, trees):
  (setting, got), = samples.load(workdir, 'search').items()
  assert (setting.strategy.budget, setting.strategy.num_candidates) == (18, N)
  assert got.present.shape == (B, N)
  assert got.present.sum(axis=1).tolist() == [len(tree.candidates) for tree, _ in trees]


def test_a_slot_beyond_the_candidates_is_an_error(workdir):
  path = next((workdir / 'records/search').rglob('*.gz'))
  rows = records.read_block(path)
  rows[-1]['slot'] = N
  records.write_block(path, rows)
  with pytest.raises(InputError, match='slot 4 of lookahead at budget 18'):
    samples.load(workdir, 'search')


def test_outcomes_are_at_the_charged_budget_and_pay_for_simulations(workdir, trees):
  run = runfiles.load(workdir)
  found = [o for o in outcomes.every(run) if o.selection == 'majority']
  (got,) = found
  assert (got.strategy, got.budget, got.beam_width, got.lookahead, got.repeats) == (
      'lookahead', 18, 2, K, 1)
  written = [sum(len(n.tokens) + (len(n.simulation.tokens) if n.simulation else 0)
                 for n in tree.nodes) for tree, _ in trees]
  assert got.generated_tokens.tolist() == written
  assert got.verifier_tokens.tolist() == [w + prompt for w, (_, prompt) in zip(written, trees)]
  table = run.ledger.table(run.models)['search']
  assert got.flops.sum() == pytest.approx(sum(table[m]['flops'] for m in ('base', 'prm')))
  assert table['base']['flops'] == flops.counted(synthetic.arch(), 'lm', table['base'])
