"""The difficulty probe: least squares against closed forms, hidden states against full forwards."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tts import config, parallel
from tts.models.transformer import Decoder
from tts.stages import probe
from tts.types import BOS_ID, Problem


@pytest.mark.parametrize('shared, groups', [(0, 2), (20, 1)])
def test_a_state_is_that_of_the_whole_prompt(shared, groups):
  """With what all prompts begin with, which is read once, and without."""
  params = toy.decoder_params()
  rng = np.random.default_rng(0)
  own = {f'{i}': rng.integers(3, toy.ARCH.vocab_size, 1 + i % 5).tolist() for i in range(70)}
  example = [BOS_ID, *rng.integers(3, toy.ARCH.vocab_size, shared).tolist()]
  encode = lambda text: [*example, *own.get(text, [3 + len(text)])]
  run = types.SimpleNamespace(
      experiment=config.Experiment(limits=config.LimitsConfig(max_prompt_tokens=30)),
      mesh=parallel.make_mesh(groups, 1),
      prompts=types.SimpleNamespace(encode=encode),
      model=lambda name: types.SimpleNamespace(arch=toy.ARCH, params=params))
  problems = [Problem(name, name, '0') for name in own]
  found = probe.hidden_states(run, problems)
  assert found.shape == (70, toy.ARCH.width)
  forward = jax.jit(Decoder(toy.ARCH).apply)  # a program for each of the five lengths
  for problem, state in zip(problems, found):
    ids = jnp.array([encode(problem.prompt)])
    hidden, _ = forward(params, ids, jnp.arange(ids.shape[1])[None])
    np.testing.assert_allclose(state, hidden.top[0, -1], atol=2e-3, rtol=2e-3)  # kept as float16


def test_no_penalty_is_least_squares():
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(80, 4)) * [1, 5, 0.1, 2] + 3, rng.normal(size=80)
  weights, _ = probe.fit_ridge(x, y, penalties=(0.0,))
  want = np.linalg.lstsq(np.c_[x, np.ones(80)], y, rcond=None)[0]
  np.testing.assert_allclose(weights, want, atol=1e-9)


def test_a_huge_penalty_is_the_mean():
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
  weights, explained = probe.fit_ridge(x, y, penalties=(1e12,))
  np.testing.assert_allclose(probe.predict(weights, x), y.mean(), atol=1e-6)
  assert explained == pytest.approx(0, abs=1e-6)


def test_a_linear_target_is_found_and_noise_is_not():
  rng = np.random.default_rng(2)
  x = rng.normal(size=(2000, 6))
  x[:, 5] = 1.0  # constant
  _, explained = probe.fit_ridge(x, x @ rng.normal(size=6))
  assert explained > 0.999
  _, explained = probe.fit_ridge(x, rng.normal(size=2000))
  assert explained < 0.05


def test_the_scale_of_a_feature_does_not_matter():
  rng = np.random.default_rng(3)
  x = rng.normal(size=(100, 3))
  y = x @ [1, -1, 0.5] + 0.1 * rng.normal(size=100)
  a, _ = probe.fit_ridge(x, y)
  b, _ = probe.fit_ridge(x * 1000, y)
  np.testing.assert_allclose(probe.predict(a, x), probe.predict(b, x * 1000), atol=1e-9)
