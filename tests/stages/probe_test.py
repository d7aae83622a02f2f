"""The difficulty probe: least squares against closed forms, hidden states against full forwards."""

import numpy as np
import pytest

from tts.stages import probe


def test_long_prompts_are_fewer_at_a_time():
  assert probe.prompts_a_call(20) == 256
  assert probe.prompts_a_call(1024) == 32
  assert probe.prompts_a_call(10**6) == 1


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
