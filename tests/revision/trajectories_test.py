"""Trajectories against their rules, on random pools of samples."""

import numpy as np
import pytest

from tts.revision import trajectories
from tts.revision.trajectories import Answer, MAX_CONTEXT


def distance(a: str, b: str) -> int:
  """Character edit distance, the textbook's table."""
  row = list(range(len(b) + 1))
  for i, x in enumerate(a, 1):
    left, row = row, [i]
    for j, y in enumerate(b, 1):
      row.append(min(row[-1] + 1, left[j] + 1, left[j - 1] + (x != y)))
  return row[-1]


def pools(num: int) -> list[list[Answer]]:
  """Pools of 0 to 12 samples; some have nothing right, nothing wrong, equal texts, no answer."""
  gen = np.random.default_rng(0)
  kinds = np.array([True, False, None])
  return [[Answer(''.join(gen.choice(list('ab1'), gen.integers(0, 7))), kinds[k])
           for k in gen.choice(3, gen.integers(0, 13), p=gen.dirichlet((1, 1, 0.5)))]
          for _ in range(num)]


def build(samples, targets=100, seed=0):
  return trajectories.build(samples, targets, np.random.default_rng(seed))


@pytest.mark.parametrize('targets', [1, 3, 100])
def test_every_rule_holds_on_random_pools(targets):
  seen = set()
  for seed, samples in enumerate(pools(500)):
    found = build(samples, targets, seed)
    right = [i for i, s in enumerate(samples) if s.correct]
    wrong = [i for i, s in enumerate(samples) if s.correct is False]
    assert len(found) == min(targets, len(right))
    assert len({t.target for t in found}) == len(found), 'a right sample is learnt twice'
    for t in found:
      assert t.target in right
      assert set(t.context) <= set(wrong), 'right or without an answer, in context'
      assert len(set(t.context)) == len(t.context) <= min(MAX_CONTEXT, len(wrong))
      if t.context:
        to_target = [distance(samples[i].text, samples[t.target].text) for i in wrong]
        assert t.context[-1] == wrong[int(np.argmin(to_target))]
      seen.add((len(t.context), min(len(wrong), MAX_CONTEXT)))
  assert seen == {(k, most) for most in range(MAX_CONTEXT + 1) for k in range(most + 1)}


def test_context_lengths_are_uniform_and_so_are_the_other_answers():
  samples = [Answer('right', True), *(Answer(f'wrong {i}', False) for i in range(7))]
  found = [build(samples, seed=seed)[0].context for seed in range(4000)]
  lengths = np.bincount([len(c) for c in found])
  assert len(lengths) == 5 and (abs(lengths - 800) < 5 * 800**0.5).all()
  others = np.bincount([c[0] for c in found if len(c) == 2], minlength=8)
  assert set(np.flatnonzero(others)) == set(range(2, 8)), 'all but the nearest, wrong 0'
  assert (abs(others[2:] - others.sum() / 6) < 5 * (others.sum() / 6)**0.5).all()


def test_a_context_of_any_answers_is_drawn_from_all_but_the_target():
  samples = [*(Answer(f'right {i}', True) for i in range(3)),
             *(Answer(f'wrong {i}', False) for i in range(3)), Answer('none', None)]
  seen = np.zeros(len(samples))
  for seed in range(2000):
    for t in trajectories.build(samples, 1, np.random.default_rng(seed), 'any'):
      assert t.target not in t.context and len(set(t.context)) == len(t.context) <= MAX_CONTEXT
      seen[list(t.context)] += 1
  right, wrong = seen[:3], seen[3:6]
  assert seen[6] == 0 and (abs(wrong - wrong.mean()) < 5 * wrong.mean()**0.5).all()
  # Each of the right ones is the target a third of the time.
  assert abs(right.mean() / wrong.mean() - 2 / 3) < 0.05


def test_a_chain_is_kept_as_far_as_its_first_right_answer():
  chain = [Answer('', right) for right in (False, None, False, False, False, False, True, True)]
  found = trajectories.stopped(chain)
  assert found == trajectories.Trajectory((2, 3, 4, 5), 6)
  assert trajectories.stopped(chain[:6]) is None
  assert trajectories.stopped(chain[6:]) == trajectories.Trajectory((), 0)


def test_lengths_are_balanced():
  found = [(f'q{i}', trajectories.Trajectory(tuple(range(k)), k))
           for i, k in enumerate([0] * 40 + [1] * 7 + [2] * 11)]
  kept = trajectories.balanced(found, np.random.default_rng(0))
  assert [sum(len(t.context) == k for _, t in kept) for k in range(3)] == [7, 7, 7]
  assert len(set(kept)) == 21 and set(kept) <= set(found)
  assert trajectories.balanced([], np.random.default_rng(0)) == []


def test_a_tie_goes_to_the_first():
  samples = [Answer('ab', False), Answer('aa', True), Answer('ac', False)]
  last = {t.context[-1] for seed in range(50) for t in build(samples, seed=seed) if t.context}
  assert last == {0}


def test_a_questions_draws_are_its_own():
  draws = lambda name, seed: trajectories.of_question(name, seed).integers(0, 1 << 30, 4).tolist()
  assert draws('p0', 0) == draws('p0', 0)
  assert len({tuple(draws(name, seed)) for name in ('p0', 'p1') for seed in (0, 1)}) == 4
