"""One decoder for every family.

A forward pass reads new tokens and attends to what it is given: nothing (training, prefill) or
texts that were read before.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from tts.models import attention, stacks, surprise
from tts.models.arch import Arch
from tts.models.layers import held_back, Layer, names, RMSNorm


@flax.struct.dataclass
class Hidden:
  """What a forward pass knows at each token; `top` and `lm` are one array without a surprise."""

  top: jax.Array | None             # [..., C, F] above the last layer: what `values` reads
  lm: jax.Array                     # [..., C, D] what `logits` reads
  account: surprise.Account | None  # [..., C] with `surprise_layer` alone
  states: jax.Array | None = None   # [n, ..., C, D] behind chosen layers, where they are asked for


class Decoder(nn.Module):
  """The trunk and its heads.

  `__call__` gives hidden states; `logits` and `values` read them. Parameters may be
  `stacks.stacked`.

  Attributes:
    arch: its shape.
    remat: a gradient computes each layer again instead of keeping what it held.
    doubled: a stack whose loop has two passes in its body: what one costs is the difference.
  """

  arch: Arch
  remat: bool = False
  doubled: stacks.Stack | None = None

  def setup(self):
    a = self.arch
    self.embed = self.param(
        'embed', nn.with_logical_partitioning(
            nn.initializers.normal(a.width**-0.5), ('vocab', 'embed')), (a.vocab_size, a.width),
        a.stored)
    self.layers = [Layer(a, i) for i in range(a.num_layers)]
    for layer in self.layers:
      nn.share_scope(self, layer)
    self.final_norm = RMSNorm(a)
    if 'lm' in a.heads and not a.tied:
      self.unembed = self.param(
          'unembed', nn.with_logical_partitioning(
              nn.initializers.normal(a.width**-0.5), ('vocab', 'embed')), (a.vocab_size, a.width),
          a.stored)
    if a.surprise_layer:
      self.surprise_norm = RMSNorm(a)
      self.surprise = nn.Dense(a.width, use_bias=False, dtype=a.dtype, name='surprise',
                               kernel_init=nn.initializers.normal(1.0))
    if 'value' in a.heads:
      if a.value_hidden:
        self.value_hidden = nn.Dense(
            a.value_hidden, dtype=jnp.float32, name='value_hidden',
            kernel_init=nn.with_logical_partitioning(
                nn.initializers.lecun_normal(), ('embed', 'mlp')),
            bias_init=nn.with_logical_partitioning(nn.initializers.zeros, ('mlp',)))
      self.value_head = nn.Dense(
          1, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name='value')

  def __call__(self, tokens, positions, segments=None, views=None, dropout=None, own=None,
               before=None, chosen=()):
    """Hidden states of `tokens`.

    Args:
      tokens: int32 [..., C].
      positions: int32 [..., C], where each token stands in its own text.
      segments: int32 [..., C], which text of its row each token belongs to, 0 = padding; None for
        rows of one text. Read without views only.
      views: `texts.views`, or None: then tokens see those before them and no others.
      dropout: (a residual branch, its number) --> what is added; or None.
      own: bool [..., C], tokens that a generator wrote, whose surprise counts; None for none.
      before: `Hidden` [...] at the token before the first one; None where that begins a text.
        Like `own` it is read with `surprise_layer` alone.
      chosen: ascending numbers of layers, from 1: `Hidden.states` are the streams behind them. The
        last layer's is what `logits` reads, as `transformers` counts them. Static.

    Returns:
      (`Hidden`, for each view the keys and values of its chunk; () without views).
    """
    a = self.arch
    tokens, table = held_back(tokens, self.embed)
    x = jnp.take(table, tokens, axis=0).astype(a.dtype)
    if a.embed_scale is not None:
      x *= jnp.asarray(a.embed_scale, x.dtype)
    left, kept, lm, states = list(views or ()), (), None, ()
    for stack in self.stacks_of(self.variables):
      own_views, left = (left[:stack.period], left[stack.period:]) if views else (None, [])
      run = self._in_turn if stack.repeats == 1 else self._in_loop
      x, chunks, found = run(stack, x, own_views, (positions, segments), dropout,
                             [i for i in chosen if i < a.num_layers])
      kept, states = kept + chunks, states + found
      if stack.first + stack.period * stack.repeats == a.surprise_layer:
        lm = self.surprise_norm(x)
        features, account = self._surprise(lm, tokens, positions, own, before)
        # Values leave the language model as it is: it is the measure, not what is learnt.
        x = jax.lax.stop_gradient(lm) + self.surprise(features)
    top = self.final_norm(x)
    above = top if lm is None else lm
    if chosen:
      states = jnp.concatenate([*states, *([above[None]] if a.num_layers in chosen else [])])
    else:
      states = None
    if lm is None:
      return Hidden(top=top, lm=top, account=None, states=states), kept
    top = jnp.concatenate([top, features], axis=-1)
    return Hidden(top=top, lm=lm, account=account, states=states), kept

  def stacks_of(self, params):
    """How its layers are computed with these parameters, of which there may be none yet."""
    return stacks.of(self.arch, params.get('params', ()))

  def _in_turn(self, stack, x, views, where, dropout, chosen):
    """(The stream behind a stack's layers, their views' chunks, chosen streams), one by one.

    The last are arrays [n, ..., C, D], in a tuple; those of layers that are not in it, none.
    """
    kept, states = (), ()
    for i, view in enumerate(views or [None] * stack.period, stack.first):
      one = lambda self, x, i=i, view=view: self.layers[i](x, i, *where, view, dropout)
      x, chunk = (nn.remat(one) if self.remat else one)(self, x)
      kept += (chunk,) if views else ()
      states += (x[None],) if i + 1 in chosen else ()
    return x, kept, states

  def _in_loop(self, stack, x, views, where, dropout, chosen):
    """The same, a period of layers a pass."""
    params = self.variables['params']
    layers = [Layer(self.arch, stack.first + j, parent=None) for j in range(stack.period)]
    params = [{name: params[name] for name in names(self.arch, layer.number)} for layer in layers]

    # Where the stream behind each layer is put down: those that nobody chose in the last place.
    count = stack.period * stack.repeats
    chosen = [i - stack.first - 1 for i in chosen if 0 < i - stack.first <= count]
    places = np.full(count, len(chosen))
    places[chosen] = range(len(chosen))

    def period(carry, of_pass):
      x, chunks, states = carry
      i, params = of_pass
      kept = ()
      for j, layer in enumerate(layers):
        view = views and views[j].replace(chunk=chunks[j], place=i)
        x, chunk = layer.apply({'params': params[j]}, x, layer.number + stack.period * i, *where,
                               view, dropout)
        kept += (chunk,) if views else ()
        if chosen:
          place = jnp.asarray(places)[j + stack.period * i]
          states = jax.lax.dynamic_update_index_in_dim(states, x, place, 0)
      return (x, kept, states), None

    begin = (x, tuple(view.chunk for view in views or ()),
             jnp.zeros((len(chosen) + 1, *x.shape), x.dtype) if chosen else None)
    (x, kept, states), _ = jax.lax.scan(
        jax.checkpoint(period) if self.remat else period, begin,
        (jnp.arange(stack.repeats), params), unroll=1 + (stack == self.doubled))
    return x, kept, (states[:-1],) if chosen else ()

  def _surprise(self, lm, tokens, positions, own, before):
    """`surprise.measure` of the language-model head; lm [..., C, D] is above `surprise_layer`."""
    if before is None:
      nothing = jnp.zeros(tokens.shape[:-1], jnp.float32)
      before = Hidden(top=None, lm=jnp.zeros_like(lm[..., 0, :]),
                      account=surprise.Account(total=nothing, largest=nothing))
    expecting = jnp.concatenate([before.lm[..., None, :], lm[..., :-1, :]], axis=-2)
    log_probs = jax.nn.log_softmax(jax.lax.stop_gradient(self.logits(expecting)), axis=-1)
    own = jnp.zeros(tokens.shape, bool) if own is None else own
    features, account = surprise.measure(log_probs, tokens, positions, own, before.account)
    return features.astype(self.arch.dtype), account

  def logits(self, hidden):
    """Next-token logits, float32 [..., V]."""
    table = self.embed if self.arch.tied else self.unembed
    hidden, table = held_back(hidden, table)
    logits = jnp.einsum('...d,vd->...v', hidden, table.astype(hidden.dtype),
                        preferred_element_type=jnp.float32)
    return attention.softcap(logits, self.arch.final_softcap)

  def values(self, hidden):
    """Logit of the probability that the solution so far ends in a right answer, float32 [...]."""
    hidden = hidden.astype(jnp.float32)
    if self.arch.value_hidden:
      hidden = jax.nn.relu(self.value_hidden(hidden))
    return self.value_head(hidden)[..., 0]

  def init_all(self, tokens, positions):
    """Touches every parameter, for `init`."""
    hidden, _ = self(tokens, positions)
    read = {'lm': lambda: self.logits(hidden.lm), 'value': lambda: self.values(hidden.top)}
    return [read[h]() for h in self.arch.heads]


@functools.cache
def abstract(arch: Arch):
  """Shapes of the parameters with their logical axes, for `placement.placed`."""
  tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  return jax.eval_shape(lambda *args: Decoder(arch).init(
      jax.random.key(0), *args, method='init_all'), tokens, tokens)


def num_params(params) -> int:
  return sum(x.size for x in jax.tree.leaves(params))
