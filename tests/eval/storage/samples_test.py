"""From records to arrays: what is complete, what is twice, what cannot be read."""

import gzip

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.storage import records, samples
from tts.types import InputError


@pytest.fixture
def workdir(tmp_path):
  records.write_json(tmp_path / 'run.json', {})
  return tmp_path


def block(workdir, rows, name='block-00000', folder='search/sample-n2'):
  path = workdir / f'records/{folder}/{name}.jsonl.gz'
  records.write_block(path, rows)
  return path


def row(question=0, slot=0, **changes):
  return {**synthetic.row(np.random.default_rng(7), question, 0.5, slot, budget=2), **changes}


def test_values_land_in_their_question_and_slot(workdir):
  block(workdir, [row(1, 1, logprob=-4.0, step_scores=[0.5, 0.25], answer_score=0.25),
                  row(1, 0, logprob=-3.0, other_scores={'orm': [0.75]}), row(0, 0), row(0, 1)])
  (got,) = samples.load(workdir, 'search').values()
  assert got.ids == ('q0000', 'q0001') and got.level.tolist() == [1, 2]
  assert got.logprob[1].tolist() == [-3, -4] and got.others['orm'][1, 0].tolist() == [0.75]
  assert got.steps.shape == (2, 2, 4)
  np.testing.assert_array_equal(got.steps[1, 1], [0.5, 0.25, np.nan, np.nan])
  assert got.counts['base'][1, 0].tolist()[:2] == [9, 20]
  assert got.counts['base'][1, 1].tolist()[:2] == [0, 20]


def test_questions_that_lack_samples_wait(workdir):
  block(workdir, [row(0, 0), row(0, 1), row(1, 0)])
  (got,) = samples.load(workdir, 'search').values()
  assert got.ids == ('q0000',)
  block(workdir, [row(1, 1)], 'block-00001')
  (got,) = samples.load(workdir, 'search').values()
  assert got.ids == ('q0000', 'q0001')


def test_a_search_may_end_with_fewer_candidates_than_slots(workdir):
  block(workdir, [row(0, 1, strategy='beam', answer='1', truncated=False)])
  (got,) = samples.load(workdir, 'search').values()
  assert got.present.tolist() == [[False, True]] and got.votes.tolist() == [[False, True]]


def test_truncated_rows_and_rows_without_answer_do_not_vote(workdir):
  block(workdir, [row(0, 0, answer='3', truncated=True), row(0, 1, answer=None, truncated=False)])
  (got,) = samples.load(workdir, 'search').values()
  assert not got.votes.any() and got.truncated.tolist() == [[True, False]]


def test_questions_without_gold_are_left_out_but_seen(workdir):
  seen = []
  block(workdir, [row(0, 0, correct=None)])
  assert samples.load(workdir, 'search', lambda stage, r: seen.append(stage)) == {}
  assert seen == ['search']


def test_seconds_are_per_question_of_the_timed_blocks(workdir):
  block(workdir, [row(0, 0), row(0, 1)])
  block(workdir, [row(1, 0), row(1, 1)], 'block-00001')
  (got,) = samples.load(workdir, 'search').values()
  assert got.seconds is None
  records.write_json(workdir / 'timings/search/sample-n2/block-00000.json', {'seconds': 3.0})
  (got,) = samples.load(workdir, 'search').values()
  assert got.seconds == 3.0


def test_settings_in_one_block_share_its_seconds_by_rows(workdir):
  block(workdir, [row(0, 0), row(0, 1), row(0, 0, strategy='greedy', budget=1)])
  records.write_json(workdir / 'timings/search/sample-n2/block-00000.json', {'seconds': 3.0})
  got = {k.strategy.method: v.seconds for k, v in samples.load(workdir, 'search').items()}
  assert got == {'sample': 2.0, 'greedy': 1.0}


def test_a_sample_in_two_blocks_is_an_error(workdir):
  for name in ('block-00000', 'block-00001'):
    block(workdir, [row(0, 0), row(0, 1)], name)
  with pytest.raises(InputError, match='q0000, slot 0 twice'):
    samples.load(workdir, 'search')


def test_a_slot_outside_the_budget_is_an_error(workdir):
  block(workdir, [row(0, 2)])
  with pytest.raises(InputError, match='slot 2 of sample at budget 2'):
    samples.load(workdir, 'search')


@pytest.mark.parametrize('field', ['counts', 'logprob', 'theta', 'problem_id'])
def test_a_missing_field_is_named_with_its_file(workdir, field):
  bad = row()
  del bad[field]
  path = block(workdir, [bad])
  with pytest.raises(InputError, match=f"{path.name}.*{field}.*delete it"):
    samples.load(workdir, 'search')


def test_a_cut_block_is_named(workdir):
  path = block(workdir, [row()])
  path.write_bytes(gzip.compress(b'{"a": 1}\n')[:-3])
  with pytest.raises(InputError, match=path.name):
    samples.load(workdir, 'search')


@pytest.mark.parametrize('changes', [
    {'slot': 'x'}, {'slot': 2**70}, {'logprob': 'x'}, {'step_scores': [None]}, {'counts': [1]},
    {'counts': {'base': {'prompt': 1}}}, {'theta': {'beam_width': 'x'}}, {'theta': [4]},
    {'theta': {'method': 1}}, {'other_scores': {'orm': 1}},
    {'counts': {'base': dict.fromkeys(samples.COUNTS, 2**70)}}], ids=str)
def test_a_misused_field_is_named_with_its_file(workdir, changes):
  path = block(workdir, [row(0, 0), {**row(0, 1), **changes}])
  with pytest.raises(InputError, match=f'{path.name}: a row lacks or misuses.*delete it'):
    samples.load(workdir, 'search')


def test_settings_of_one_block_keep_their_own_counts(workdir):
  block(workdir, [row(0, 0), row(0, 0, model='large', strategy='greedy', budget=1), row(0, 1)])
  got = {k.strategy.method: v for k, v in samples.load(workdir, 'search').items()}
  assert got['greedy'].counts['base'].shape == (1, 1, 8)
  assert got['sample'].counts['base'][0, :, :2].tolist() == [[9, 20], [0, 20]]
