"""Losses, the learning-rate schedule and the jitted training step: pure functions of arrays.

A batch is a dict of rows, [B, T] each (`tts.train.packed`):

  tokens      int32
  segments    int32, which text of the row a token belongs to, 0 = padding
  positions   int32, where it stands in its text
  loss_mask   bool, the language-model loss counts the prediction of this token
  label       float32, value wanted at this token (verifiers)
  label_mask  bool, it has one (verifiers)
  own_mask    bool, a generator wrote this token (verifiers)
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from tts import placement
from tts.models import blockwise, stacks
from tts.models.transformer import Decoder, Hidden
from tts.types import InputError

Batch = dict[str, jax.Array]
# What a loss counted, summed over the batch: {'nll', 'tokens'}, with {'bce', 'labels'} for values.
Sums = dict[str, jax.Array]
Loss = Callable[[Any, Batch, Callable | None], tuple[jax.Array, Sums]]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """How a model is trained, for as many `tokens` as given, or `steps`.

  Attributes:
    learning_rate: peak of the schedule (linear warm-up, then cosine).
    batch_size: rows in a step, over all devices.
    row_length: T, tokens in a row.
    tokens: places in all rows that are read, padding included, down to whole updates.
    steps: updates; where given, `tokens` is not read.
    warmup_fraction: share of the updates in which the rate rises.
    final_lr_fraction: last rate as a share of the peak.
    weight_decay: of matrices; norms' scales have none.
    b1, b2: Adam's decay rates.
    clip: largest global norm of a gradient.
    dropout: rate on each residual branch.
    lm_loss_weight: for a verifier, weight of the language-model loss beside its own.
    seed: of initialisation, order of rows and dropout.
    eval_every: updates between looks at validation data; 0 = only at the end.
    checkpoint_every: updates between checkpoints; 0 = only at the end.
    patience: for a verifier, looks without a new best after which it stops; 0 = never.
    remat: each layer is computed again for its gradient: less memory, a third more time.
    lora_rank: rank of adapters that are learnt in place of the layers' projections, of a model that
      starts from another (`tts.train.lora`); None learns all parameters.
  """

  learning_rate: float
  batch_size: int = 8
  row_length: int = 128
  tokens: int | None = None
  steps: int | None = None
  warmup_fraction: float = 0.07
  final_lr_fraction: float = 0.05
  weight_decay: float = 0.0
  b1: float = 0.9
  b2: float = 0.98
  clip: float = 1.0
  dropout: float = 0.0
  lm_loss_weight: float = 0.0
  seed: int = 0
  eval_every: int = 0
  checkpoint_every: int = 1000
  patience: int = 0
  remat: bool = False
  lora_rank: int | None = None

  def __post_init__(self):
    if self.tokens is None and self.steps is None:
      raise InputError('train needs tokens or steps: set one of them')
    for name in ('batch_size', 'row_length', 'tokens', 'steps', 'learning_rate', 'clip',
                 'lora_rank'):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise InputError(f'train.{name} is {value}: it must be positive')
    for name in ('weight_decay', 'lm_loss_weight', 'eval_every', 'checkpoint_every', 'patience'):
      if not getattr(self, name) >= 0:
        raise InputError(f'train.{name} is {getattr(self, name)}: it must not be negative')
    for name in ('b1', 'b2', 'dropout', 'warmup_fraction'):
      if not 0 <= getattr(self, name) < 1:
        raise InputError(f'train.{name} is {getattr(self, name)}: it must be in [0, 1)')

  @property
  def num_steps(self) -> int:
    if self.steps is not None:
      return self.steps
    return max(1, int(self.tokens) // (self.batch_size * self.row_length))


@flax.struct.dataclass
class TrainState:
  """What an update changes."""

  step: jax.Array  # [] int32, updates made
  params: Any
  opt_state: Any


def init_params(decoder: Decoder, seed: int, place: Callable[[Any], Any] = lambda _: None) -> Any:
  """Fresh parameters with every head that the architecture names, without partitioning boxes.

  `place` gives their shardings from their shapes, so that none is whole anywhere; the values do not
  depend on it.
  """
  leaves, tree = jax.tree.flatten(place(_shapes(decoder)))
  return _compiled(decoder, tuple(leaves), tree)(jax.random.key(seed))


def _fresh(decoder: Decoder, key: jax.Array) -> Any:
  tokens = jnp.zeros((1, 1), jnp.int32)
  return nn.unbox(decoder.init(key, tokens, tokens, method='init_all'))


# A study trains many models of few architectures: each of these is traced and compiled once.
@functools.cache
def _shapes(decoder: Decoder) -> Any:
  return jax.eval_shape(functools.partial(_fresh, decoder), jax.random.key(0))


@functools.cache
def _compiled(decoder: Decoder, leaves: tuple[jax.sharding.Sharding, ...],
              tree: jax.tree_util.PyTreeDef) -> Callable[[jax.Array], Any]:
  """Key --> fresh parameters, with shardings of these leaves."""
  return jax.jit(functools.partial(_fresh, decoder), out_shardings=jax.tree.unflatten(tree, leaves))


def graft(fresh: Any, given: Any, name: str) -> Any:
  """`fresh` with every parameter that `given` has too, copied; for a verifier on a trained trunk.

  Each lies where the fresh one did.

  Raises:
    InputError: one has another shape.
  """
  found = dict(jax.tree_util.tree_leaves_with_path(given))

  def choose(path, x):
    if (y := found.get(path)) is None:
      return x
    if y.shape != x.shape:
      raise InputError(f'{name}: parameter {jax.tree_util.keystr(path, simple=True, separator="/")}'
                       f' is {list(y.shape)} in the checkpoint to start from and {list(x.shape)} '
                       'here: give both models one architecture')
    return placement.put(jnp.array(y, x.dtype, copy=True), x.sharding)

  return jax.tree_util.tree_map_with_path(choose, fresh)


def make_optimizer(config: TrainConfig,
                   frozen: frozenset[str] = frozenset()) -> optax.GradientTransformation:
  """AdamW behind a clipped gradient, linear warm-up and a cosine to `final_lr_fraction`.

  Parameters in the top-level groups `frozen` get no gradient, and no decay or moments either.
  """
  steps = config.num_steps
  schedule = optax.warmup_cosine_decay_schedule(
      init_value=0.0, peak_value=config.learning_rate,
      warmup_steps=min(int(config.warmup_fraction * steps), steps - 1), decay_steps=steps,
      end_value=config.learning_rate * config.final_lr_fraction)
  adamw = optax.adamw(schedule, b1=config.b1, b2=config.b2, weight_decay=config.weight_decay,
                      mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params))
  learnt = lambda params: {'params': {
      name: jax.tree.map(lambda _: name not in frozen, group)
      for name, group in params['params'].items()}}
  return optax.chain(optax.clip_by_global_norm(config.clip),
                     optax.masked(adamw, learnt) if frozen else adamw)


def _hidden(decoder: Decoder, params: Any, batch: Batch, dropout: Callable | None) -> Hidden:
  """Hidden states [B, T, D]; texts that share a row do not see each other."""
  hidden, _ = decoder.apply(
      params, batch['tokens'], batch['positions'], batch['segments'],
      dropout=dropout, own=batch.get('own_mask'))
  return hidden


def _nll(decoder: Decoder, params: Any, batch: Batch, hidden: jax.Array) -> Sums:
  """Next-token loss in nats, summed over the masked tokens, and their number."""
  following = lambda x: jnp.pad(x[:, 1:], ((0, 0), (0, 1)))
  # A text's first token follows nothing, whatever stands before it in the row.
  same_text = following(batch['segments']) == batch['segments']
  mask = following(batch['loss_mask']) & same_text & (batch['segments'] > 0)

  def of_tokens(hidden, tokens):
    logits = decoder.apply(params, hidden, method='logits')
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens)

  nll = blockwise.over(of_tokens, (hidden, following(batch['tokens'])), 1,
                       decoder.arch.vocab_size)
  return {'nll': jnp.sum(jnp.where(mask, nll, 0.0)), 'tokens': jnp.sum(mask)}


def lm_loss(decoder: Decoder, params: Any, batch: Batch,
            dropout: Callable | None = None) -> tuple[jax.Array, Sums]:
  """Mean next-token cross-entropy of the tokens in `loss_mask`.

  Args:
    decoder: with an `lm` head.
    params: its parameters.
    batch: see the module's docstring.
    dropout: function applied to each residual branch, or None.

  Returns:
    (the mean, sums and counts from which a mean over many batches is exact).
  """
  sums = _nll(decoder, params, batch, _hidden(decoder, params, batch, dropout).lm)
  return sums['nll'] / jnp.maximum(sums['tokens'], 1), sums


def value_loss(decoder: Decoder, params: Any, batch: Batch, dropout: Callable | None = None, *,
               lm_loss_weight: float = 0.0) -> tuple[jax.Array, Sums]:
  """Mean binary cross-entropy against soft labels, where `label_mask` says (paper appendix D).

  Args:
    decoder: with a `value` head, and an `lm` head where lm_loss_weight is not 0.
    params: its parameters.
    batch: see the module's docstring.
    dropout: function applied to each residual branch, or None.
    lm_loss_weight: static; how much of `lm_loss` is added.

  Returns:
    (the weighted mean, sums and counts from which a mean over many batches is exact).
  """
  hidden = _hidden(decoder, params, batch, dropout)
  logits = decoder.apply(params, hidden.top, method='values')  # --> [B, T]
  bce = optax.sigmoid_binary_cross_entropy(logits, batch['label'])
  mask = batch['label_mask']
  sums = {'bce': jnp.sum(jnp.where(mask, bce, 0.0)), 'labels': jnp.sum(mask)}
  loss = sums['bce'] / jnp.maximum(sums['labels'], 1)
  if lm_loss_weight:
    sums |= _nll(decoder, params, batch, hidden.lm)
    loss += lm_loss_weight * sums['nll'] / jnp.maximum(sums['tokens'], 1)
  return loss, sums


def make_loss(decoder: Decoder, kind: str, config: TrainConfig, in_loops: bool = False) -> Loss:
  """The loss of `kind`, `lm` or `value`, as a function of (params, batch, dropout).

  With `in_loops` alike layers are stacked first (`tts.models.stacks`); the parameters are not.
  """
  if kind == 'lm':
    loss = functools.partial(lm_loss, decoder)
  elif kind == 'value':
    loss = functools.partial(value_loss, decoder, lm_loss_weight=config.lm_loss_weight)
  else:
    raise ValueError(f'kind of loss must be lm or value, not {kind!r}')
  if not in_loops:
    return loss
  return lambda params, *more: loss(stacks.stacked(params, decoder.arch), *more)


def make_dropout(rate: float, key: jax.Array) -> Callable | None:
  """A function that zeroes a share `rate` of a residual branch, by its number; None at rate 0.

  The key is consumed.
  """
  if not rate:
    return None

  def dropout(x: jax.Array, number: int | jax.Array) -> jax.Array:
    keep = jax.random.bernoulli(jax.random.fold_in(key, number + 1), 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0).astype(x.dtype)

  return dropout


def make_update(loss: Loss, optimizer: optax.GradientTransformation,
                config: TrainConfig) -> Callable:
  """One update as a pure function: (state, batch) -> (state, (loss, gradient's global norm))."""

  def update(state: TrainState, batch: Batch) -> tuple[TrainState, tuple[jax.Array, jax.Array]]:
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    dropout = make_dropout(config.dropout, key)
    (value, _), grads = jax.value_and_grad(loss, has_aux=True)(state.params, batch, dropout)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    state = TrainState(step=state.step + 1, params=params, opt_state=opt_state)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(grads)))
    return state, (value, norm)

  return update
