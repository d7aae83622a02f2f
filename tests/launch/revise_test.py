"""Chains on the reported questions: what their records hold, and that pools hold each other."""

import collections
import shutil

import pytest

from configs import smoke as smoke_config
from tests.launch.conftest import SMOKE, record_hashes
from tts import config
from tts.eval.storage import records
from tts import model_kinds
from tts.runs import run as run_lib, workdir as workdir_lib
from tts.stages import restem, revise, train_revision, train_revision_orm
from tts.types import InputError


@pytest.fixture(scope='module')
def experiment():
  return config.from_config_dict(smoke_config.get_config('revisions'))


def opened(experiment, root):
  """The run in a folder, of which nothing is written anew."""
  return run_lib.Run(experiment, workdir_lib.Workdir(str(root)), 0)


def pool(root, name):
  """question --> slot --> row of one pool of the stage `revise`."""
  found = collections.defaultdict(dict)
  for row in records.iterate(root, 'revise', name):
    assert row['slot'] not in found[row['problem_id']]
    found[row['problem_id']][row['slot']] = row
  return found


def test_chains_have_an_answer_in_every_slot_and_name_its_context(experiment, smoke):
  for chains, length in experiment.revision.chains:
    found = pool(smoke, f'revision-chains-l{length}-n{chains * length}')
    assert len(found) == experiment.revision.asked
    for rows in found.values():
      assert sorted(rows) == list(range(chains * length))
      for slot, row in rows.items():
        first = slot - slot % length
        assert row['context'] == list(range(first, slot))[-4:]
        assert row['theta'] == {'beam_width': None, 'lookahead': None, 'chain_length': length}
        assert set(row['other_scores']) == {'revision_orm', 'revision_orm_alone'}


def test_a_shorter_chain_is_the_beginning_of_a_longer_one(smoke):
  long, wide = pool(smoke, 'revision-chains-l6-n12'), pool(smoke, 'revision-chains-l2-n8')
  for question, rows in wide.items():
    for chain in range(2):
      for turn in range(2):
        a, b = rows[chain * 2 + turn], long[question][chain * 6 + turn]
        assert a['tokens'] == b['tokens']
        for name, scores in a['other_scores'].items():
          assert scores == pytest.approx(b['other_scores'][name], abs=1e-5)


def test_nothing_that_was_read_is_missing_from_the_account(smoke):
  total = collections.defaultdict(collections.Counter)
  for row in records.iterate(smoke, 'revise'):
    for model, counts in row['counts'].items():
      total[model].update(counts)
  assert set(total) == {'prm', 'revision', 'revision_control', 'revision_restem',
                        *model_kinds.revision_verifiers(model_kinds.of_run(None))}
  for c in total.values():
    assert c['entered'] == c['prompt'] + c['kept'] + c['pruned'] + c['reencoded'] - c['last'] > 0
  assert total['revision']['reencoded'] > 0 and total['revision_orm']['reencoded'] > 0
  assert total['revision_control']['reencoded'] == total['revision_orm_alone']['reencoded'] == 0


def test_a_search_for_revisions_reads_the_chain_s_answers_and_pays_for_them(experiment, smoke):
  (answers, budget), = experiment.revision.searched
  found = pool(smoke, f'revision-beam-m{budget - answers}-l{answers}-n{budget}')
  chains = pool(smoke, 'revision-chains-l6-n12')
  prompts = {p.id: len(opened(experiment, smoke).tokenizer.encode_prompt(p.prompt))
             for p in opened(experiment, smoke).problems('test')}
  assert len(found) == experiment.revision.asked
  for question, rows in found.items():
    assert rows and set(rows) <= set(range(budget - answers))
    total = collections.Counter()
    for row in rows.values():
      assert row['model'] == 'revision' and row['verifier'] == 'prm'
      total.update(row['counts']['revision'])
    before = [chains[question][t] for t in range(answers)]
    written = sum(len(row['tokens']) for row in before)
    own = sum(row['counts']['prm']['kept'] + row['counts']['prm']['pruned']
              for row in rows.values())
    assert total['kept'] + total['pruned'] == own + written
    # The chain reads the question again after each answer; the search reads it all once.
    unclosed = sum(row['truncated'] for row in before)
    context = (answers + 1) * prompts[question] + written + unclosed
    assert total['reencoded'] == context + sum(
        row['counts']['revision']['reencoded'] for row in before)
    assert total['prompt'] == prompts[question]
    # The PRM has read the question and the candidates, nothing of the chain.
    prm = collections.Counter()
    for row in rows.values():
      prm.update(row['counts']['prm'])
    assert prm['entered'] == prompts[question] + own and not prm['reencoded']


def test_verifiers_learn_whether_answers_of_their_own_model_are_right(experiment, smoke):
  run = opened(experiment, smoke)
  names = [r['model'] for r in records.iterate(smoke, 'revision_orms')]
  assert collections.Counter(names) == {'revision': 40 * 9, 'revision_control': 40 * 9}
  lengths = {}
  for name in model_kinds.revision_verifiers(model_kinds.of_run(None)):
    folder = 'control-sample-n9' if name == 'control_orm' else 'chains-l3-n9'
    folder = 'revision_orms/revision' + ('_' if name == 'control_orm' else '-') + folder
    learnt, held_out = train_revision_orm._labelled(run, name, folder)
    rows = [r for r in records.iterate(smoke, *folder.split('/')) if r['answer'] is not None]
    assert len(learnt) + len(held_out) == len(rows)
    assert sum(x.labels[-1] for x in learnt + held_out) == sum(r['correct'] for r in rows)
    lengths[name] = sum(len(x.prompt) for x in learnt)
  assert lengths['revision_orm'] > 2 * lengths['revision_orm_alone']


def test_restem_learns_the_first_right_answer_of_a_chain(experiment, smoke):
  run = opened(experiment, smoke)
  folder = train_revision_orm.chain_folder(run)
  items = [item for s in restem._examples(run, folder) for item in s]
  rows = collections.defaultdict(dict)
  for row in records.iterate(smoke, *folder.split('/')):
    rows[row['problem_id']][row['slot']] = row
  firsts = [[rows[q][c + t] for t in range(3)] for q in rows for c in (0, 3, 6)]
  firsts = [next((r for r in chain if r['correct']), None) for chain in firsts]
  firsts = [(r['tokens'], len(r['context'])) for r in firsts if r is not None]
  assert items and all(any(item.tokens == tokens for tokens, _ in firsts) for item in items)
  lengths = collections.Counter(n for _, n in firsts)
  assert len(items) == len(lengths) * min(lengths.values())


def test_two_models_are_trained_from_the_base(smoke):
  models = {n: records.read_json(smoke / 'models' / n / 'model.json')
            for n in ('base', *train_revision.MODELS)}
  assert len({m['fingerprint'] for m in models.values()}) == 3
  assert all(m['kind'] == 'lm' and m['params'] == models['base']['params']
             for m in models.values())
  rows = list(records.iterate(smoke, 'revision'))
  assert len(rows) == 60 * 8 and {r['split'] for r in rows} == {'revision'}
  assert any(r['correct'] for r in rows)


@pytest.mark.slow
def test_other_trajectories_of_the_same_samples_make_other_models(launcher, smoke, tmp_path):
  """Of the control too: it learns the same answers."""
  workdir = tmp_path / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('train_revision', SMOKE, f'--workdir={workdir}', '--config.revision.targets=1')
  for name in train_revision.MODELS:
    old, new = (records.read_json(w / 'models' / name / 'model.json') for w in (smoke, workdir))
    assert old['fingerprint'] != new['fingerprint']
  pool = lambda root: {k: v for k, v in record_hashes(root).items() if '/revision/' in k}
  assert pool(workdir) == pool(smoke) != {}


def test_a_missing_model_is_named(experiment, tmp_path):
  run = opened(experiment, tmp_path)
  with pytest.raises(InputError, match='launch.train_revision'):
    list(revise.works(run))
