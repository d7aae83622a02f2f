"""Fits the head of a latent verifier: numpy arrays in, parameters out.

What is learnt is the order of a question's solutions: the loss is of pairs of the same question,
one more right than the other, so that how hard a question is cannot be learnt in its place. First
without gates, where a score is linear in the mean of a solution's states and the best is found
exactly; then gates and values together, a batch of questions at a time. At last one factor and one
constant make probabilities of the scores. In the pilot of this kind of verifier a loss over all
questions at once was level with the log-probability, and the same loss within questions ahead.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import hashlib
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import special

from tts.models import latent
from tts.models.latent import Head
from tts.train.checkpoint import TrainingCheckpoints
from tts.train.latent_config import FitConfig
from tts.train.steps import TrainState
from tts.types import InputError

_CHUNK = 4096  # tokens that are looked at in float64 at a time
_FLAT = 1e-6  # what varies less, of its size, is constant


@dataclasses.dataclass(frozen=True)
class Examples:
  """Solutions, or their beginnings, with labels.

  Attributes:
    features: [tokens, F] of a float dtype, a memory map perhaps: what each token is judged by,
      F = layers D + len(beside), in this order; of `latent_states.States`.
    start, end: int [items], which tokens an item has; beginnings of a solution share theirs.
    question: int [items].
    label: float [items], chances that it comes to a right answer, or 0 and 1.
  """

  features: np.ndarray
  start: np.ndarray
  end: np.ndarray
  question: np.ndarray
  label: np.ndarray


def fit(head: Head, width: int, examples: Examples, config: FitConfig = FitConfig(),
        folder: str | os.PathLike[str] | None = None,
        tick: Callable[[int, float], None] = lambda epoch, loss: None) -> dict[str, np.ndarray]:
  """A head's parameters, as `latent.zeros` has them, float32.

  Args:
    head: what it reads.
    width: D.
    examples: of questions of which some have items of different labels; others say nothing.
    config: how.
    folder: where a pass is kept when it is done, so that the same call goes on behind it.
    tick: called after each pass with its number and mean loss; 0 is the one without gates.

  Raises:
    InputError: no question has items of different labels, or an item has no token.
  """
  size = latent.num_features(head, width)
  if examples.features.shape[1:] != (size,):
    raise InputError(f'features are {list(examples.features.shape)}: {head} reads [tokens, {size}]')
  if (examples.end <= examples.start).any():
    raise InputError('an item has no token: leave it out')
  pairs = _pairs(examples)
  means = _means(examples)
  centre, spread = means.mean(0), _spread(means, examples.question)
  penalty = config.l2 * (np.arange(size) < size - len(head.beside))
  weights, loss = _linear((means - centre) / spread, pairs, penalty)
  tick(0, loss)
  params = {'gate': np.zeros(size), 'value': weights, 'open': np.zeros(())}
  scale = {'centre': centre, 'gate': spread, 'value': spread}
  if config.epochs:
    scale['gate'] = _token_spread(examples, centre)
    params = _gated(params, scale, examples, pairs, penalty, config, folder, tick)
  return _folded(head, width, params, scale, examples)


def scores(params: dict[str, np.ndarray], examples: Examples) -> np.ndarray:
  """What a head says of examples, before the sigmoid: float32 [items]."""
  flat = np.concatenate([params['states'].reshape(-1, latent.OUTPUTS),
                         params.get('beside', np.zeros((0, latent.OUTPUTS)))]).astype(np.float64)
  total = np.zeros((len(examples.features) + 1, 2))
  for first in range(0, len(examples.features), _CHUNK):
    read = np.asarray(examples.features[first:first + _CHUNK], np.float64) @ flat + params['bias']
    gate = special.expit(read[:, 0])
    total[first + 1:first + 1 + len(read)] = np.stack([gate, gate * read[:, 1]], -1)
  sums = np.add.accumulate(total)
  of = sums[examples.end] - sums[examples.start]
  return (of[:, 1] / of[:, 0]).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Pairs:
  better: np.ndarray  # int [P], items
  worse: np.ndarray
  weight: np.ndarray  # float [P]; those of a question add up to 1 / questions


def _pairs(examples: Examples) -> _Pairs:
  """Items of the same question, the first with the larger label, weighted by the difference."""
  found = []
  for question in np.unique(examples.question):
    items = np.flatnonzero(examples.question == question)
    more = examples.label[items][:, None] - examples.label[items]
    better, worse = np.nonzero(more > 0)
    if len(better):
      found.append((items[better], items[worse], more[better, worse] / more[better, worse].sum()))
  if not found:
    raise InputError('no question has solutions of different labels: draw more of each, or choose '
                     'questions that are neither too easy nor too hard')
  better, worse, weight = map(np.concatenate, zip(*found))
  return _Pairs(better, worse, weight / len(found))


def _means(examples: Examples) -> np.ndarray:
  """Mean features of each item, float64 [items, F]."""
  return np.stack([np.asarray(examples.features[a:b]).mean(0, dtype=np.float64)
                   for a, b in zip(examples.start, examples.end)])


def _spread(means: np.ndarray, question: np.ndarray) -> np.ndarray:
  """Standard deviations [F] of items around the mean of their question."""
  _, group = np.unique(question, return_inverse=True)
  sums = np.zeros((group.max() + 1, means.shape[1]))
  np.add.at(sums, group, means)
  apart = means - (sums / np.bincount(group)[:, None])[group]
  return _varying(np.sqrt((apart**2).mean(0)), means)


def _token_spread(examples: Examples, centre: np.ndarray) -> np.ndarray:
  """Standard deviations [F] of tokens around a centre, by some of them from everywhere."""
  some = examples.features[::1 + len(examples.features) // _CHUNK].astype(np.float64)
  return _varying(np.sqrt(((some - centre)**2).mean(0)), centre[None])


def _varying(spread: np.ndarray, around: np.ndarray) -> np.ndarray:
  """Spreads; infinite of what is constant, which then has no weight."""
  return np.where(spread > _FLAT * (np.abs(around).mean(0) + _FLAT), spread, np.inf)


def _linear(x: np.ndarray, pairs: _Pairs, penalty: np.ndarray) -> tuple[np.ndarray, float]:
  """Weights [F] of the least loss of x [items, F] without gates, and that loss."""
  def loss(weights):
    score = x @ weights
    apart = score[pairs.better] - score[pairs.worse]
    slope = -pairs.weight * special.expit(-apart)
    of_item = np.bincount(pairs.better, slope, len(x)) - np.bincount(pairs.worse, slope, len(x))
    return (pairs.weight @ np.logaddexp(0, -apart) + penalty @ weights**2,
            of_item @ x + 2 * penalty * weights)

  return _least(loss, x.shape[1], maxiter=500)


def _least(loss: Callable[[np.ndarray], tuple[float, np.ndarray]], size: int,
           **options: int) -> tuple[np.ndarray, float]:
  """Where a loss that gives its slope too is least, looked for from zeros [size], and that loss."""
  from scipy import optimize  # a third of a second, that all launchers would take to start
  found = optimize.minimize(loss, np.zeros(size), jac=True, method='L-BFGS-B', options=options)
  return found.x, float(found.fun)


def _gated(params: dict[str, Any], scale: dict[str, np.ndarray], examples: Examples, pairs: _Pairs,
           penalty: np.ndarray, config: FitConfig, folder: str | os.PathLike[str] | None,
           tick: Callable[[int, float], None]) -> dict[str, np.ndarray]:
  """Gates and values that begin with values alone; standardised as these."""
  batches = functools.partial(_batches, examples, pairs, config)
  count = len(batches(0)) * config.epochs
  rate = config.learning_rate / np.sqrt(len(penalty))
  optimizer = optax.adam(optax.cosine_decay_schedule(rate, count))
  float32 = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
  params, scale, penalty = float32(params), float32(scale), jnp.asarray(penalty, jnp.float32)
  state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))

  @functools.partial(jax.jit, donate_argnums=0)
  def update(state, batch):
    loss, slope = jax.value_and_grad(_loss)(state.params, scale, penalty, batch)
    step, opt_state = optimizer.update(slope, state.opt_state)
    return TrainState(state.step + 1, optax.apply_updates(state.params, step), opt_state), loss

  kept = None if folder is None else TrainingCheckpoints(folder)
  begun, mark = 0, _mark(examples, config)
  if kept is not None and (found := kept.restore(state)) is not None:
    if found[1]['mark'] == mark:
      state, begun = found[0], found[1]['epochs']
    else:  # of something else
      kept.discard()
  for epoch in range(begun, config.epochs):
    total = 0.0
    for batch in batches(epoch):
      state, loss = update(state, batch(examples.features))
      total += float(loss)
    if kept is not None:
      kept.save(state, {'epochs': epoch + 1, 'mark': mark})
    tick(epoch + 1, total / len(batches(epoch)))
  return {name: np.asarray(x, np.float64) for name, x in state.params.items()}


def _mark(examples: Examples, config: FitConfig) -> str:
  """Of all that a fit depends on but the numbers of the features."""
  digest = hashlib.sha256(repr((config, examples.features.shape)).encode())
  for x in (examples.start, examples.end, examples.question, examples.label):
    digest.update(np.ascontiguousarray(x, np.float64).tobytes())
  return digest.hexdigest()


def _batches(examples: Examples, pairs: _Pairs, config: FitConfig,
             epoch: int) -> list[Callable[[np.ndarray], dict[str, np.ndarray]]]:
  """The questions of a pass, some at a time: functions of the features --> arrays for `_loss`."""
  of_pair = examples.question[pairs.better]
  questions = np.random.default_rng([config.seed, epoch]).permutation(np.unique(of_pair))

  def batch(mine: np.ndarray, features: np.ndarray) -> dict[str, np.ndarray]:
    chosen = np.flatnonzero(np.isin(of_pair, mine))
    items = np.unique([pairs.better[chosen], pairs.worse[chosen]])
    # Beginnings of a solution are of the same tokens, which are read once.
    starts, place = np.unique(examples.start[items], return_inverse=True)
    ends = np.zeros(len(starts), int)
    np.maximum.at(ends, place, examples.end[items])
    rows = np.concatenate([features[a:b] for a, b in zip(starts, ends)])
    first = np.concatenate([[0], np.cumsum(ends - starts)])[place]
    at = {item: i for i, item in enumerate(items)}
    number = lambda of: np.array([at[item] for item in of[chosen]])
    weight = pairs.weight[chosen]
    return {'features': _padded(rows), 'start': _padded(first),
            'end': _padded(first + examples.end[items] - examples.start[items]),
            'better': _padded(number(pairs.better)), 'worse': _padded(number(pairs.worse)),
            'weight': _padded(weight / weight.sum())}

  return [functools.partial(batch, questions[i:i + config.batch])
          for i in range(0, len(questions), config.batch)]


def _padded(x: np.ndarray) -> np.ndarray:
  """Zeros behind it, up to one of few lengths: each compiles a program."""
  length = 64
  while length < len(x):
    length += max(64, 1 << (length.bit_length() - 2))
  return np.pad(x, [(0, length - len(x))] + [(0, 0)] * (x.ndim - 1))


def _loss(params: dict[str, jax.Array], scale: dict[str, jax.Array], penalty: jax.Array,
          batch: dict[str, jax.Array]) -> jax.Array:
  """Mean loss of a batch's questions, with the squared weights'."""
  x = batch['features'].astype(jnp.float32) - scale['centre'][None]
  weights = jnp.stack([params[name] / scale[name] for name in ('gate', 'value')], axis=-1)
  read = x @ weights
  gate = jax.nn.sigmoid(read[:, 0] + params['open'])
  sums = jnp.pad(jnp.cumsum(jnp.stack([gate, gate * read[:, 1]], axis=-1), axis=0),
                 [(1, 0), (0, 0)])
  of = sums[batch['end']] - sums[batch['start']]
  # Of padding nothing is summed, and nothing divided by.
  score = of[:, 1] / jnp.where(of[:, 0] > 0, of[:, 0], 1.0)
  apart = score[batch['better']] - score[batch['worse']]
  return (jnp.sum(batch['weight'] * jax.nn.softplus(-apart))
          + jnp.sum(penalty * (params['gate']**2 + params['value']**2)))


def _folded(head: Head, width: int, params: dict[str, np.ndarray], scale: dict[str, np.ndarray],
            examples: Examples) -> dict[str, np.ndarray]:
  """Parameters of raw features, of which scores are logits of probabilities."""
  flat = np.stack([params[name] / scale[name] for name in ('gate', 'value')], axis=-1)
  bias = np.array([params['open'], 0.0]) - scale['centre'] @ flat
  states = len(head.layers) * width

  def made(flat: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    parts = {'states': flat[:states].reshape(len(head.layers), width, latent.OUTPUTS),
             'beside': flat[states:], 'bias': bias}
    return {name: np.asarray(x, np.float32) for name, x in parts.items() if x.size}

  factor, constant = _calibrated(scores(made(flat, bias), examples), examples.label)
  flat[:, 1] *= factor
  bias[1] = bias[1] * factor + constant
  return made(flat, bias)


def _calibrated(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
  """(factor, constant) with which scores are the logits that say most of the labels (Platt)."""
  score = score.astype(np.float64)
  centre, spread = score.mean(), score.std() or 1.0
  x = (score - centre) / spread

  def loss(p):
    logit = np.exp(p[0]) * x + p[1]
    wrong = special.expit(logit) - label
    return (np.logaddexp(0, logit) - label * logit).mean() + 1e-4 * (p**2).sum(), np.array(
        [(wrong * x).mean() * np.exp(p[0]), wrong.mean()]) + 2e-4 * p

  (log_factor, constant), _ = _least(loss, 2)
  factor = float(np.exp(log_factor)) / spread
  return factor, float(constant - factor * centre)
