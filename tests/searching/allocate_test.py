"""Every method's rule against one in plain python, and the limits that tie them to each other."""

import dataclasses
import functools
import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tts import methods
from tts.methods import EMPTY, Rows, in_order, shares

METHODS = {
    'best of n': methods.BestOfN(), 'beam': methods.Beam(2), 'wide beam': methods.Beam(4),
    'dvts': methods.DVTS(2), 'uneven dvts': methods.DVTS(3), 'rebase': methods.Rebase(0.3),
    'particles': methods.ParticleFilter(0.7), 'entropic': methods.EntropicParticleFilter(0.5)}
LIVE, FINISHED, TRUNCATED, GONE = range(4)


def rows(score, status, index=1, most=8):
  status = np.asarray(status)
  num = len(status)
  blank = np.zeros(num, np.int32)
  return Rows(score=jnp.asarray(score, jnp.float32), logprob=jnp.zeros(num),
              token=jnp.zeros((num, 1), jnp.int32), length=blank, parent=blank,
              live=jnp.asarray(status == LIVE), finished=jnp.asarray(status == FINISHED),
              truncated=jnp.asarray(status == TRUNCATED),
              carry=(), round=jnp.asarray(index), max_rounds=jnp.asarray(most))


def drawn(seed, num, ties=True, gone=False):
  """Scores, of a few values or of many, and how each row is; the first one goes on."""
  gen = np.random.default_rng(seed)
  score = gen.integers(0, 5, num) / 4 if ties else gen.random(num)
  status = gen.choice(4 if gone else 3, num, p=(0.5, 0.25, 0.15, 0.1) if gone else (0.5, 0.3, 0.2))
  status[0] = LIVE
  return score.astype(np.float32), status


@functools.cache
def compiled(method):
  """One function per method: of another each time, JAX would keep nothing."""
  return jax.jit(method.allocate)


def allocated(method, *args, seed=0, **how):
  found = compiled(method)(jax.random.key(seed), rows(*args, **how))
  return np.asarray(found.parent).tolist(), bool(found.stop)


def by_rank(score, status, members):
  """Best first; those cut off last, ties by slot."""
  return sorted(members, key=lambda i: (status[i] in (TRUNCATED, GONE), -score[i], i))


def beam(score, status, width):
  num = len(score)
  kept = sorted(by_rank(score, status, range(num))[:max(1, num // width)])
  if all(status[i] != LIVE for i in kept):
    return list(range(num)), True
  live = [i for i in kept if status[i] == LIVE]
  spare = num - (len(kept) - len(live))
  children = {i: spare // len(live) + (n < spare % len(live)) for n, i in enumerate(live)}
  return [i for i in kept for _ in range(children.get(i, 1))], False


def dvts(score, status, width):
  found, num = [], len(score)
  for begin in range(0, num, width):
    own = range(begin, min(begin + width, num))
    first = by_rank(score, status, own)[0]
    found += ([first] * len(own) if status[first] == LIVE
              else [i if status[i] in (FINISHED, TRUNCATED) else EMPTY for i in own])
  return found, not any(i != EMPTY and status[i] == LIVE for i in found)


def rebase(score, status, temperature):
  num = len(score)
  live = [i for i in range(num) if status[i] == LIVE]
  completed = sum(s in (FINISHED, TRUNCATED) for s in status)
  if not live:
    children = {}
  else:
    weights = [math.exp((float(score[i]) - max(float(score[j]) for j in live)) / temperature)
               for i in live]
    exact = [(num - completed) * w / sum(weights) for w in weights]
    children = {i: math.floor(x) for i, x in zip(live, exact)}
    left = num - completed - sum(children.values())
    for i, _ in sorted(zip(live, exact), key=lambda each: math.floor(each[1]) - each[1])[:left]:
      children[i] += 1
  found = [i for i in range(num)
           for _ in range(1 if status[i] in (FINISHED, TRUNCATED) else children.get(i, 0))]
  return found + [EMPTY] * (num - len(found)), not live


@pytest.mark.parametrize('num', [1, 4, 7, 16])
@pytest.mark.parametrize('name', ['beam', 'wide beam', 'dvts', 'uneven dvts', 'rebase'])
def test_the_reference(name, num):
  method = METHODS[name]
  reference, of = {'beam': (beam, 'beam_width'), 'wide beam': (beam, 'beam_width'),
                   'dvts': (dvts, 'beam_width'), 'uneven dvts': (dvts, 'beam_width'),
                   'rebase': (rebase, 'temperature')}[name]
  for seed in range(60):
    # What rounds to the same share in one precision may not in another: no ties of remainders.
    score, status = drawn(seed, num, ties=name != 'rebase')
    if seed % 7 == 0:
      status[status == LIVE] = FINISHED
    assert allocated(method, score, status) == reference(score, status, getattr(method, of)), (
        seed, score, status)


def test_dvts_of_one_subtree_is_a_beam_that_keeps_one():
  for seed in range(40):
    score, status = drawn(seed, 6)
    one, other = allocated(methods.DVTS(6), score, status), allocated(
        methods.Beam(6), score, status)
    assert one[1] == other[1] and (one[1] or one[0] == other[0])


@pytest.mark.parametrize('method', [methods.DVTS(1), methods.BestOfN(), methods.Beam(1)])
def test_a_child_each_goes_on_as_itself(method):
  for seed in range(20):
    score, status = drawn(seed, 9)
    assert allocated(method, score, status) == (list(range(9)), False)


def test_rebase_between_its_limits():
  score = np.array([0.2, 0.9, 0.5, 0.9, 0.4, 0.1])
  status = np.array([LIVE] * 4 + [FINISHED, TRUNCATED])
  assert allocated(methods.Rebase(1e-4), score, status)[0] == [1, 1, 3, 3, 4, 5]
  assert allocated(methods.Rebase(1e4), score, status)[0] == [0, 1, 2, 3, 4, 5]
  # What does not divide goes to the first.
  status[2] = FINISHED
  assert allocated(methods.Rebase(1e4), score, status)[0] == [0, 1, 2, 3, 4, 5]
  status[[0, 2]] = GONE
  assert allocated(methods.Rebase(1e4), score, status)[0] == [1, 1, 3, 3, 4, 5]


def test_shares_add_up():
  gen = np.random.default_rng(0)
  for _ in range(200):
    num = int(gen.choice((1, 2, 7, 19)))
    weights = np.where(gen.random(num) < 0.3, 0, gen.random(num)).astype(np.float32)
    weights[gen.integers(num)] = 1
    total = int(gen.integers(0, 65))
    found = np.asarray(shares(jnp.asarray(weights), jnp.asarray(total)))
    assert found.sum() == total and (found >= 0).all()
    assert np.abs(found - weights / weights.sum() * total).max() < 1 + 1e-4
    assert (found[weights == 0] == 0).all()


def test_slots_in_order_by_hand():
  assert in_order(jnp.array([0, 2, 0, 1])).tolist() == [1, 1, 3, EMPTY]
  assert in_order(jnp.array([0, 0])).tolist() == [EMPTY, EMPTY]


def test_particles_are_drawn_by_their_weights():
  """Chi-square over seeds: finished ones are drawn like others, those cut off and gone are not."""
  score = np.array([0.2, 0.8, 0.5, 0.9, 0.6, 0.7])
  status = np.array([LIVE, FINISHED, LIVE, TRUNCATED, GONE, LIVE])
  method, seeds = methods.ParticleFilter(temperature=0.7), 4000
  data = rows(score, status)
  found = jax.jit(jax.vmap(lambda key: method.allocate(key, data).parent))(
      jax.random.split(jax.random.key(0), seeds))
  there = [0, 1, 2, 5]
  weights = np.exp(np.log(score[there] / (1 - score[there])) / 0.7)
  expected = weights / weights.sum() * found.size
  counts = np.bincount(np.asarray(found).ravel(), minlength=6)
  assert counts[[3, 4]].sum() == 0
  assert ((counts[there] - expected)**2 / expected).sum() < 16.3  # three degrees, p = 0.001
  slots = np.array([np.bincount(each, minlength=6) for each in np.asarray(found).T])
  assert np.abs(slots / seeds - slots.mean(0) / seeds).max() < 0.03  # every slot alike


def test_the_entropic_variant_warms_up_early_and_where_few_particles_count():
  score = np.array([0.999, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
  data = rows(score, [LIVE] * 8, index=0, most=10)
  warmth = lambda data: float(methods.EntropicParticleFilter(1.0).heat(
      jnp.log(data.score / (1 - data.score)), data))
  theta = np.exp(np.log(score / (1 - score)))
  theta /= theta.sum()
  size = 1 / (theta**2).sum()
  assert warmth(data) == pytest.approx(8 / size, rel=1e-3)
  assert warmth(data.replace(round=jnp.asarray(4))) == pytest.approx(8 / size * 0.6, rel=1e-3)
  assert warmth(data.replace(round=jnp.asarray(5))) == 1
  assert warmth(data.replace(score=jnp.full(8, 0.5))) == 1


def test_one_particle_is_plain_sampling():
  for status in (LIVE, FINISHED, TRUNCATED):
    found, stop = allocated(methods.ParticleFilter(), [0.3], [status])
    assert found == [0] and stop == (status != LIVE)


@pytest.mark.parametrize('name', METHODS)
def test_rules_are_functions_that_map_and_stay_in_bounds(name):
  """Over questions at once as one by one; no slot goes on as a row that is gone."""
  method, num = METHODS[name], 8
  cases = [drawn(seed, num, gone=True) for seed in range(30)]
  together = jax.tree.map(lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]),
                          *(rows(*case) for case in cases))
  keys = jax.random.split(jax.random.key(1), len(cases))
  mapped = jax.jit(jax.vmap(method.allocate))(keys, together)
  for i, (score, status) in enumerate(cases):
    one = method.allocate(keys[i], rows(score, status))
    np.testing.assert_array_equal(mapped.parent[i], one.parent)
    for parent in np.asarray(one.parent).tolist():
      assert parent == EMPTY or 0 <= parent < num
      if name not in ('best of n',) and not one.stop:
        assert parent == EMPTY or status[parent] != GONE or name in ('beam', 'wide beam')


def test_methods_are_hashable_and_differ_by_their_parameters():
  assert len({*METHODS.values(), *(dataclasses.replace(m) for m in METHODS.values())}) == 8


def test_rules_compile_for_a_tpu_and_talk_to_nobody():
  pytest.importorskip('libtpu')
  run = subprocess.run([sys.executable, '-m', 'tests.searching.on_tpu'], check=False, text=True,
                       capture_output=True, timeout=600, cwd=pathlib.Path(__file__).parents[2],
                       env=os.environ | {'XLA_FLAGS': '', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'})
  assert run.returncode == 0, run.stderr[-3000:]
  found = json.loads(run.stdout.splitlines()[-1])
  assert set(found) == set(methods.METHODS.of()) and set(found.values()) == {0}
