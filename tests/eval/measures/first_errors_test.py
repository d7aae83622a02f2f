"""First errors: F1 by hand, on solutions made with a known verifier."""

import numpy as np
import pytest

from tts.eval.measures import first_errors


def steps(*values):
  return [np.array(v, float) for v in values]


def described(values, label, correct=None, group=None, **more):
  label = np.array(label)
  correct = label == -1 if correct is None else np.array(correct)
  group = np.arange(len(label)) if group is None else np.array(group)
  return first_errors.describe(values, label, correct, group, **more)


def test_by_hand():
  values = steps([0.9, 0.2, 0.1], [0.9, 0.8], [0.4, 0.9], [0.7, 0.6, 0.3], [0.9])
  label = [1, -1, -1, 1, -1]
  assert first_errors.found(values, 0.5).tolist() == [1, -1, 0, 2, -1]
  found = described(values, label)
  # Of two errors one is found at its place, of three sound solutions two are left alone.
  assert found['found'] == 0.5 and found['none_found'] == pytest.approx(2 / 3)
  assert found['f1'] == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
  assert (found['solutions'], found['with_error'], found['steps']) == (5, 2, 11)
  # Up to the first error: 0.2 and 0.6 are wrong ones; 0.9 0.9 0.8 0.4 0.9 0.7 0.9 are sound.
  wins = [x > y for x in (0.9, 0.9, 0.8, 0.4, 0.9, 0.7, 0.9) for y in (0.2, 0.6)]
  assert found['auc_steps'] == pytest.approx(np.mean(wins))


def test_a_verifier_that_always_says_the_same_finds_nothing():
  for value, shares in ((0.9, (0.0, 1.0)), (0.1, (0.5, 0.0))):
    found = described(steps([value] * 3, [value] * 2, [value] * 2), [2, 0, -1])
    assert (found['found'], found['none_found']) == shares and found['f1'] == 0.0


def test_one_kind_of_solutions_has_no_f1():
  found = described(steps([0.9], [0.2, 0.1]), [-1, -1])
  assert found['f1'] is None and found['found'] is None and found['none_found'] == 0.5


def test_a_threshold_is_chosen_on_other_questions():
  """Values that are right but for their scale: 0.5 finds all errors at the first step."""
  rng = np.random.default_rng(0)
  label = rng.integers(-1, 4, 400)
  values = [0.1 + 0.1 * (np.arange(4) < (4 if end < 0 else end)) + rng.uniform(0, 0.05, 4)
            for end in label]
  found = described(values, label, group=rng.integers(0, 100, 400))
  assert found['none_found'] == 0.0 and found['f1'] == 0.0
  assert found['f1_chosen'] > 0.97 and found['f1_chosen_ci95'][0] > 0.94
  assert 0.15 < first_errors.best_threshold(values, label) <= 0.2


def test_intervals_hold_the_truth_and_draw_whole_questions():
  rng = np.random.default_rng(1)
  inside = 0
  for _ in range(100):
    group = np.repeat(np.arange(60), 4)
    easy = rng.uniform(size=60)[group]  # solutions of a question are alike
    label = np.where(rng.uniform(size=240) < 0.5, 0, -1)
    hit = rng.uniform(size=240) < easy
    values = [np.array([0.1 if (end == 0) == right else 0.9]) for end, right in zip(label, hit)]
    low, high = described(values, label, group=group)['f1_ci95']
    inside += low <= 0.5 <= high
  assert 88 <= inside <= 99


def test_within_questions_the_final_answer_counts():
  values = steps([0.9, 0.8], [0.9, 0.3], [0.2], [0.6])
  found = described(values, [-1, 1, -1, -1], correct=[True, False, True, True],
                    group=[0, 0, 1, 1])
  assert (found['auc_within'], found['auc_within_n']) == (1.0, 1)
  assert found['ece'] == pytest.approx(np.mean([0.2, 0.3, 0.8, 0.4]))
