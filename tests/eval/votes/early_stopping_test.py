"""A vote that is stopped says what the whole vote says, and is stopped as early as may be."""

import itertools

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.measures import answer_choice
from tts.eval.storage import runfiles
from tts.eval.storage.samples import NO_ANSWER
from tts.eval.votes import early_stopping


def pool(seed, rows=200, size=8, answers=3):
  rng = np.random.default_rng(seed)
  answer = rng.integers(-1, answers, size=(rows, size))
  assert NO_ANSWER == -1
  return answer, rng.integers(0, 5, size=(rows, size)) / 4  # with ties, zeros and ones


@pytest.mark.parametrize('seed', range(5))
def test_it_chooses_what_all_samples_choose(seed):
  answer, weight = pool(seed)
  stop = early_stopping.drawn(answer, weight)
  assert stop.min() < answer.shape[1]
  slots = np.arange(answer.shape[1])
  early = np.where(slots < stop[:, None], answer, NO_ANSWER)
  said = lambda a: [row[s] if s != answer_choice.NOBODY else None
                    for row, s in zip(a, answer_choice.vote(a, weight))]
  assert said(early) == said(answer)


@pytest.mark.parametrize('seed', range(3))
def test_a_sample_earlier_some_future_could_still_change_it(seed):
  answer, weight = pool(seed, rows=40, size=5)
  for a, w, stop in zip(answer, weight, early_stopping.drawn(answer, weight)):
    said = set()
    for future in itertools.product((0, 1, 2, 7), repeat=5 - stop + 1):
      whole = np.concatenate([a[:stop - 1], future])[None]
      value = np.concatenate([w[:stop - 1], np.ones(len(future))])[None]
      said.add(int(whole[0, answer_choice.vote(whole, value)[0]]))
    tie = np.concatenate([a[:stop - 1], [NO_ANSWER] * (5 - stop + 1)])[None]
    ahead = [w[:stop - 1][tie[0, :stop - 1] == x].sum() for x in (0, 1, 2)]
    level = sorted(ahead)[-1] - sorted(ahead)[-2] == 5 - stop + 1  # a tie would keep the leader
    assert len(said) > 1 or level


def test_by_hand():
  drawn = lambda a, w: early_stopping.drawn(np.array([a]), np.array([w], float)).tolist()
  assert drawn([3, 3, 3, 4], [1, 1, 1, 1]) == [3]  # 3 to nothing, one to come
  assert drawn([3, 3, 4, 4], [1, 1, 1, 1]) == [4]  # 2 to nothing might be made level
  assert drawn([3, 3, 3, 4, 4], [1, 1, 1, 1, 1]) == [3]  # 3 to nothing not by two
  assert drawn([3, 3, 4, 4], [0.5, 0.5, 1, 1]) == [4]
  assert drawn([3, NO_ANSWER, NO_ANSWER], [1, 0, 0]) == [3]
  assert drawn([NO_ANSWER, NO_ANSWER], [0, 0]) == [2]
  assert drawn([5], [0.1]) == [1]


@pytest.mark.parametrize('weight', [-0.5, 1.5])
def test_a_weight_outside_of_0_to_1_is_an_error(weight):
  with pytest.raises(ValueError, match='from 0 to 1'):
    early_stopping.drawn(np.array([[1, 1]]), np.array([[0.5, weight]]))
  # Of what has no vote it is not read.
  assert early_stopping.drawn(np.array([[1, NO_ANSWER]]), np.array([[0.5, weight]])).tolist() == [2]


def test_rows_of_a_run(tmp_path):
  run = runfiles.load(synthetic.write_run(tmp_path, questions=12, pool=8, difficulty=0, beams=()))
  pool = run.pools('base')[0]
  rows = {(r['strategy'], r['budget']): r for r in early_stopping.rows(run)}
  assert set(rows) == set(itertools.product(('majority', 'best_of_n_weighted'), (2, 4, 8)))
  for (strategy, budget), row in rows.items():
    weight = np.ones(pool.answer.shape) if strategy == 'majority' else pool.answer_score
    stops = [early_stopping.drawn(pool.answer[q:q + 1, i:i + budget], weight[q:q + 1, i:i + budget])[0]
             for q in range(12) for i in range(0, 8, budget)]
    assert row['generations'] == pytest.approx(np.mean(stops)) and row['n'] == 12
    assert row['ci95'][0] <= row['generations'] <= row['ci95'][1]
