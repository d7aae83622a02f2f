"""Statistics of tokens in records: what a row keeps of them, of whatever is reported; and where."""

import dataclasses
import types

import msgspec
import numpy as np
import pytest

from configs import smoke
from tests import toy
from tts import config, methods, parallel, rng
from tts.engine import shape
from tts.engine.shape import Shape
from tts.estimates import compiler_facts, device_programs
from tts.eval.storage import columns, records
from tts.runs.blocks import Block
from tts.runs.models_at_work import Workers
from tts.runs.record_rows import RowMaker
from tts.runs.run import Model
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.stages import chain_pool, graph, sample_pool, search
from tts.types import Problem, Strategy

ON, OFF = SamplingConfig(statistics=True), SamplingConfig()
COUNT, NUM = 3, 4
OF_TOKENS = ('entropy', 'confidence', 'logprob')


class Tokenizer:
  """And a question as it is put: one id."""

  tokenizer = None

  def encode(self, question):
    del question
    return [1]

  def decode(self, tokens):
    return ' '.join(map(str, tokens)) + '\n'

  def decode_batch(self, batch):
    return list(map(self.decode, batch))


@pytest.fixture(params=[ON, OFF], ids=['on', 'off'])
def workers(request, monkeypatch):
  monkeypatch.setattr(shape, 'of', lambda *_: Shape(lanes=6, write=3, readers=5, tile=4))
  models = {name: Model(name, toy.ARCH, toy.decoder_params(seed=seed), '')
            for seed, name in enumerate(('base', 'prm'))}
  return Workers(types.SimpleNamespace(
      mesh=parallel.make_mesh(1), seed=0, main='prm', model=models.get,
      rows=RowMaker(Tokenizer(), toy.ROLES, 'exact', 0), prompts=Tokenizer(), limits=Limits(12, 4, 6, toy.ROLES),
      experiment=config.Experiment(sampling=request.param)))


def block():
  return Block([Problem(f'p{b}', 'p\n', '1') for b in range(COUNT)],
               [[4 + (b * 5 + i) % 9 for i in range(3 + b)] for b in range(COUNT)],
               rng.problem_words([f'p{b}' for b in range(COUNT)]))


def kept(tmp_path, rows):
  """Rows as they are read back, by either reader."""
  path = tmp_path / 'block.jsonl.gz'
  records.write_block(path, rows)
  typed = records.read_typed(path, columns.ROWS)  # which knows nothing of the field
  found = records.read_block(path)
  assert [r.tokens for r in typed] == [r['tokens'] for r in found]
  return found


def assert_kept(row, on, logprob, found):
  """found: the `Statistics` of the row's tokens."""
  assert ('statistics' in row) == on
  if not on:
    return
  field = row['statistics']
  assert set(field) == {*OF_TOKENS, 'self_certainty'}
  for name, values in (('entropy', found.entropy), ('confidence', found.confidence),
                       ('logprob', logprob)):
    assert len(field[name]) == len(row['tokens'])
    np.testing.assert_array_equal(np.array(field[name], np.float16),
                                  np.asarray(values, np.float16), err_msg=name)
    # Any window of them is still there, to three digits.
    np.testing.assert_allclose(np.mean(field[name][-3:]), np.mean(values[-3:]), rtol=2e-3)
  np.testing.assert_allclose(field['self_certainty'], np.mean(found.certainty), rtol=1e-3)
  assert field['self_certainty'] == float(str(np.float16(field['self_certainty'])))
  np.testing.assert_allclose(np.sum(field['logprob']), row['logprob'], rtol=2e-3)


@pytest.mark.parametrize('temperature', [1.0, 0.0])
def test_rows_of_samples(workers, tmp_path, temperature):
  run, asked = workers.run, block()
  how = dataclasses.replace(run.experiment.sampling, temperature=temperature)
  found, = workers.ask(sample_pool.sampler(workers, 'base', 'test', NUM, how), [asked])
  rows = kept(tmp_path, run.rows.grade(asked, [run.rows.sample_rows(
      asked, b, of, Strategy('sample', NUM), stream='test', model='base', split='dev')
      for b, of in enumerate(found)]))
  for row, sample in zip(rows, [s for of in found for s in of], strict=True):
    assert_kept(row, how.statistics, sample.logprob, sample.statistics)
    assert row['tokens'] == sample.tokens.tolist()


@pytest.mark.parametrize('method', [methods.beam(2), methods.lookahead(2, 1)])
def test_rows_of_a_search(workers, tmp_path, method):
  run, asked = workers.run, block()
  how = methods.strategy(method, 8)
  trees, = workers.ask(search.searcher(workers, how, 'prm', 'test'), [asked])
  for problem, prompt, tree in zip(asked.problems, asked.prompts, trees):
    rows = kept(tmp_path, run.rows.tree_rows(
        problem, how, tree, verifier='prm', split='dev', stream='test', prompt_tokens=len(prompt)))
    assert len(rows) == len(tree.particles())
    for row, last in zip(rows, tree.particles()):
      nodes = [tree.nodes[i] for i in tree.path(last)]
      on = run.experiment.sampling.statistics
      join = lambda of: np.concatenate(list(map(of, nodes))) if on else None
      assert_kept(row, on, join(lambda n: n.logprobs), types.SimpleNamespace(
          entropy=join(lambda n: n.statistics.entropy),
          confidence=join(lambda n: n.statistics.confidence),
          certainty=join(lambda n: n.statistics.certainty)))


def test_rows_of_chains(workers, tmp_path):
  run, asked, how = workers.run, block(), chain_pool.strategy(2, 2)
  found, = workers.ask(chain_pool.sampler(workers, 'base', 'test', how), [asked])
  rows = kept(tmp_path, run.rows.grade(asked, [run.rows.chain_rows(
      asked, b, of, how, stream='test', model='base', split='dev')
      for b, of in enumerate(found)]))
  answers = [r.sample for of in found for chain in of for r in chain]
  for row, sample in zip(rows, answers, strict=True):
    assert_kept(row, run.experiment.sampling.statistics, sample.logprob, sample.statistics)


def test_greedy_answers_to_learn_from_have_none(workers):
  """They go through the program of the config's draws, which may have them."""
  how = workers.run.experiment.sampling.to_learn_from(temperature=0.0)
  found, = workers.ask(sample_pool.sampler(workers, 'base', 'test', 1, how), [block()])
  assert all(s.statistics is None for of in found for s in of)


def test_who_does_not_ask_for_them_passes_over_them():
  """Whatever a later form of the field may be."""
  assert msgspec.json.decode(b'{"counts": {}, "statistics": [1]}', type=columns.Counted)


def experiment(**sampling):
  found = config.from_config_dict(smoke.get_config('revisions'))
  return dataclasses.replace(found, sampling=dataclasses.replace(found.sampling, **sampling))


def test_what_models_learn_from_is_drawn_as_without():
  """Asking for statistics leaves labels, and so verifiers, as they are."""
  on, off = (graph.uses(experiment(statistics=value)) for value in (True, False))
  learnt = ('labels', 'revision', 'revision_orms')
  assert {u.stage for u in on if u.sampling and u.sampling.statistics} == {
      'search', 'difficulty', 'revise'}
  assert [u for u in on if u.stage in learnt] == [u for u in off if u.stage in learnt] != []
  assert ON.to_learn_from(temperature=0.5) == SamplingConfig(temperature=0.5)


def test_the_formula_of_memory_has_them():
  """To the byte, as without."""
  mesh, outputs = parallel.make_mesh(1), []
  for value in (True, False):
    # Another temperature than the labels', and no revisions: they would share their program.
    made = experiment(statistics=value, temperature=0.7)
    made = dataclasses.replace(made, revision=config.RevisionConfig(enabled=False))
    program = {p.name: p for p in device_programs.listed(made)}['search/write-base']
    facts = compiler_facts.facts(program.lower(mesh), mesh)
    formula = program.footprint(program.rows, 1)
    assert facts.arguments + facts.outputs == pytest.approx(
        formula.arguments + formula.outputs, rel=1e-3)
    assert facts.temporaries < 2 * formula.working + formula.inputs / 2
    outputs.append(formula.outputs)
  assert outputs[0] > 1.9 * outputs[1]
