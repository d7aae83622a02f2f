"""Chains on the reported questions: what their records hold, and that pools hold each other."""

import collections

import pytest

from tests.stages.revision_test import small
from tts.eval import records
from tts.eval.samples import REVISION_VERIFIERS
from tts.stages import reproduce, restem, revise, revision_orm
from tts.types import InputError

STAGES = ('data', 'base', 'revision', 'revision_orms', 'restem', 'revise')


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  root = tmp_path_factory.mktemp('revise')
  reproduce.run_stages(small(), str(root), STAGES)
  return root


def pool(root, name):
  """question --> slot --> row of one pool of the stage `revise`."""
  found = collections.defaultdict(dict)
  for row in records.iterate(root, 'revise', name):
    assert row['slot'] not in found[row['problem_id']]
    found[row['problem_id']][row['slot']] = row
  return found


def test_chains_have_an_answer_in_every_slot_and_name_its_context(workdir):
  for chains, length in small().revision.chains:
    found = pool(workdir, f'revision-chains-l{length}-n{chains * length}')
    assert len(found) == small().revision.asked
    for rows in found.values():
      assert sorted(rows) == list(range(chains * length))
      for slot, row in rows.items():
        first = slot - slot % length
        assert row['context'] == list(range(first, slot))[-4:]
        assert row['theta'] == {'beam_width': None, 'lookahead': None, 'chain_length': length}
        assert set(row['other_scores']) == {'revision_orm', 'revision_orm_alone'}


def test_a_shorter_chain_is_the_beginning_of_a_longer_one(workdir):
  long, wide = pool(workdir, 'revision-chains-l6-n12'), pool(workdir, 'revision-chains-l2-n8')
  for question, rows in wide.items():
    for chain in range(2):
      for turn in range(2):
        a, b = rows[chain * 2 + turn], long[question][chain * 6 + turn]
        assert a['tokens'] == b['tokens']
        for name, scores in a['other_scores'].items():
          assert scores == pytest.approx(b['other_scores'][name], abs=1e-5)


def test_nothing_that_was_read_is_missing_from_the_account(workdir):
  total = collections.defaultdict(collections.Counter)
  for row in records.iterate(workdir, 'revise'):
    for model, counts in row['counts'].items():
      total[model].update(counts)
  assert set(total) == {'revision', 'revision_control', 'revision_restem', *REVISION_VERIFIERS}
  for c in total.values():
    assert c['entered'] == c['prompt'] + c['kept'] + c['reencoded'] - c['last'] > 0
  assert total['revision']['reencoded'] > 0 and total['revision_orm']['reencoded'] > 0
  assert total['revision_control']['reencoded'] == total['revision_orm_alone']['reencoded'] == 0


def test_verifiers_learn_whether_answers_of_their_own_model_are_right(workdir):
  run = reproduce.open_run(small(), str(workdir))
  names = [r['model'] for r in records.iterate(workdir, 'revision_orms')]
  assert collections.Counter(names) == {'revision': 40 * 9, 'revision_control': 40 * 9}
  lengths = {}
  for name in REVISION_VERIFIERS:
    folder = 'control-sample-n9' if name == 'control_orm' else 'chains-l3-n9'
    folder = 'revision_orms/revision' + ('_' if name == 'control_orm' else '-') + folder
    learnt, held_out = revision_orm._labelled(run, name, folder)
    rows = [r for r in records.iterate(workdir, *folder.split('/')) if r['answer'] is not None]
    assert len(learnt) + len(held_out) == len(rows)
    assert sum(x.labels[-1] for x in learnt + held_out) == sum(r['correct'] for r in rows)
    lengths[name] = sum(len(x.prompt) for x in learnt)
  assert lengths['revision_orm'] > 2 * lengths['revision_orm_alone']


def test_restem_learns_the_first_right_answer_of_a_chain(workdir):
  run = reproduce.open_run(small(), str(workdir))
  folder = revision_orm.chain_folder(run)
  items = [item for s in restem._examples(run, folder) for item in s]
  rows = collections.defaultdict(dict)
  for row in records.iterate(workdir, *folder.split('/')):
    rows[row['problem_id']][row['slot']] = row
  firsts = [[rows[q][c + t] for t in range(3)] for q in rows for c in (0, 3, 6)]
  firsts = [next((r for r in chain if r['correct']), None) for chain in firsts]
  firsts = [(r['tokens'], len(r['context'])) for r in firsts if r is not None]
  assert items and all(any(item.tokens == tokens for tokens, _ in firsts) for item in items)
  lengths = collections.Counter(n for _, n in firsts)
  assert len(items) == len(lengths) * min(lengths.values())


def test_all_of_it_is_found_again(workdir):
  run = reproduce.open_run(small(), str(workdir))
  assert revision_orm.run_orms(run) > 0 and revise.run_revise(run) > 0
  models = {n: (workdir / 'models' / n / 'model.json').stat().st_mtime_ns
            for n in REVISION_VERIFIERS}
  reproduce.run_stages(small(), str(workdir), STAGES[2:])
  assert models == {n: (workdir / 'models' / n / 'model.json').stat().st_mtime_ns
                    for n in REVISION_VERIFIERS}


def test_a_missing_model_is_named(tmp_path):
  run = reproduce.open_run(small(), str(tmp_path))
  with pytest.raises(InputError, match='launch.train_revision'):
    revise.run_revise(run)
