"""One decoder for every family: RMSNorm, rotary positions, grouped-query attention.

A forward pass reads new tokens and attends to what it is given: nothing (training, prefill) or a
`Cache`. Layers are unrolled: on a CPU a scanned layer is two to three times slower.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tts.models import cache as cache_lib
from tts.models import surprise

_ACTIVATIONS = {
    'relu2': lambda x: jnp.square(jax.nn.relu(x)),
    'silu': jax.nn.silu,
    'gelu_tanh': lambda x: jax.nn.gelu(x, approximate=True),
}


@dataclasses.dataclass(frozen=True)
class Arch:
  """Shape of a decoder.

  Attributes:
    vocab_size: V.
    num_layers: of attention and MLP.
    width: D, of the residual stream.
    num_heads: H, query heads.
    num_kv_heads: key and value heads; each serves H / num_kv_heads query heads.
    head_size: E; H * E need not be D.
    mlp_width: of the hidden layer.
    activation: `relu2` (cheap on a CPU), `silu` or `gelu_tanh`.
    gated: the activation gates a second projection.
    tied: the output table is the embedding.
    rope_theta: base of the rotary frequencies.
    norm_eps: added to the mean square.
    heads: what is read off it: `lm`, `value`, or both.
    surprise_layer: the language-model head reads the stream after this many layers, and the layers
      above are told how likely each token was by it; None is a plain decoder. What a token says
      against what was expected is what a verifier has to see, and a plain one finds it late.
    dtype: of activations; parameters are float32.
  """

  vocab_size: int
  num_layers: int
  width: int
  num_heads: int
  num_kv_heads: int
  head_size: int
  mlp_width: int
  activation: str = 'relu2'
  gated: bool = False
  tied: bool = True
  rope_theta: float = 10_000.0
  norm_eps: float = 1e-6
  heads: tuple[str, ...] = ('lm',)
  surprise_layer: int | None = None
  dtype: str = 'float32'


def rotate(x: jax.Array, positions: jax.Array, theta: float) -> jax.Array:
  """Rotary embedding, halves (not pairs) rotated. x [..., C, H, E], positions int32 [..., C]."""
  half = x.shape[-1] // 2
  frequency = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
  frequency = frequency.reshape((1,) * (positions.ndim + 1) + (half,))
  angle = positions[..., None, None].astype(jnp.float32) * frequency  # --> [..., C, 1, E/2]
  cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
  a, b = x[..., :half], x[..., half:]
  return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _dense(features, axis, axes, name, dtype):
  """A projection without bias; `axes` are logical names for `parallel`'s rule table."""
  init = nn.initializers.variance_scaling(
      1.0, 'fan_in', 'truncated_normal', in_axis=axis, out_axis=-1)
  return nn.DenseGeneral(
      features, axis=axis, use_bias=False, dtype=dtype, name=name,
      kernel_init=nn.with_logical_partitioning(init, axes))


class RMSNorm(nn.Module):
  eps: float

  @nn.compact
  def __call__(self, x):
    scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
    x32 = x.astype(jnp.float32)
    x32 *= jax.lax.rsqrt(jnp.mean(jnp.square(x32), axis=-1, keepdims=True) + self.eps)
    return (x32 * jnp.broadcast_to(scale, x.shape)).astype(x.dtype)


class Attention(nn.Module):
  """Returns (output, keys and values to keep). Without a cache the mask covers the input itself."""

  arch: Arch

  @nn.compact
  def __call__(self, x, positions, mask, layer):
    a, dtype = self.arch, x.dtype
    group = a.num_heads // a.num_kv_heads
    q = _dense((a.num_heads, a.head_size), -1, ('embed', 'heads', 'head'), 'q', dtype)(x)
    k = _dense((a.num_kv_heads, a.head_size), -1, ('embed', 'kv_heads', 'head'), 'k', dtype)(x)
    v = _dense((a.num_kv_heads, a.head_size), -1, ('embed', 'kv_heads', 'head'), 'v', dtype)(x)
    q = rotate(q, positions, a.rope_theta) * a.head_size**-0.5
    k = rotate(k, positions, a.rope_theta)
    q = q.reshape(*q.shape[:-2], a.num_kv_heads, group, a.head_size)
    if layer is None:
      out, kept = cache_lib.attend_self(q, k, v, mask), (k, v)
    else:
      out, kept = layer.attend(q, k, v)
    out = out.reshape(*out.shape[:-3], a.num_heads * a.head_size)
    return _dense(a.width, -1, ('heads', 'embed'), 'o', dtype)(out), kept


class MLP(nn.Module):
  arch: Arch

  @nn.compact
  def __call__(self, x):
    a, dtype = self.arch, x.dtype
    h = _dense(a.mlp_width, -1, ('embed', 'mlp'), 'up', dtype)(x)
    act = _ACTIVATIONS[a.activation]
    if a.gated:
      h = h * act(_dense(a.mlp_width, -1, ('embed', 'mlp'), 'gate', dtype)(x))
    else:
      h = act(h)
    return _dense(a.width, -1, ('mlp', 'embed'), 'down', dtype)(h)


@flax.struct.dataclass
class Hidden:
  """What a forward pass knows at each token; `top` and `lm` are one array without a surprise."""

  top: jax.Array | None             # [..., C, F] above the last layer: what `values` reads
  lm: jax.Array                     # [..., C, D] what `logits` reads
  account: surprise.Account | None  # [..., C] with `surprise_layer` alone


class Decoder(nn.Module):
  """The trunk and its heads.

  `__call__` gives hidden states; `logits` and `values` read them.
  """

  arch: Arch

  def setup(self):
    a = self.arch
    self.embed = self.param(
        'embed', nn.with_logical_partitioning(
            nn.initializers.normal(a.width**-0.5), ('vocab', 'embed')), (a.vocab_size, a.width))
    self.attn_norms = [RMSNorm(a.norm_eps, name=f'attn_norm_{i}') for i in range(a.num_layers)]
    self.attns = [Attention(a, name=f'attn_{i}') for i in range(a.num_layers)]
    self.mlp_norms = [RMSNorm(a.norm_eps, name=f'mlp_norm_{i}') for i in range(a.num_layers)]
    self.mlps = [MLP(a, name=f'mlp_{i}') for i in range(a.num_layers)]
    self.final_norm = RMSNorm(a.norm_eps)
    if 'lm' in a.heads and not a.tied:
      self.unembed = self.param(
          'unembed', nn.with_logical_partitioning(
              nn.initializers.normal(a.width**-0.5), ('vocab', 'embed')), (a.vocab_size, a.width))
    if a.surprise_layer:
      self.surprise_norm = RMSNorm(a.norm_eps)
      self.surprise = nn.Dense(a.width, use_bias=False, dtype=a.dtype, name='surprise',
                               kernel_init=nn.initializers.normal(1.0))
    if 'value' in a.heads:
      self.value_head = nn.Dense(
          1, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name='value')

  def __call__(self, tokens, positions, mask=None, layers=None, dropout=None, own=None,
               before=None):
    """Hidden states of `tokens`.

    Args:
      tokens: int32 [..., C].
      positions: int32 [..., C], where each token stands in its own text.
      mask: bool [..., C, C], who attends to whom; without a cache only.
      layers: one `cache.Layer` per layer, or None.
      dropout: function applied to each residual branch, or None.
      own: bool [..., C], tokens that a generator wrote, whose surprise counts; None for none.
      before: `Hidden` [...] at the token before the first one; None where that begins a text.
        Like `own` it is read with `surprise_layer` alone.

    Returns:
      (`Hidden`, per layer the keys and values to keep).
    """
    x = jnp.take(self.embed, tokens, axis=0).astype(self.arch.dtype)
    dropout = dropout or (lambda x: x)
    kept, lm = [], None
    for i in range(self.arch.num_layers):
      layer = None if layers is None else layers[i]
      y, kv = self.attns[i](self.attn_norms[i](x), positions, mask, layer)
      x = x + dropout(y)
      x = x + dropout(self.mlps[i](self.mlp_norms[i](x)))
      kept.append(kv)
      if i + 1 == self.arch.surprise_layer:
        lm = self.surprise_norm(x)
        features, account = self._surprise(lm, tokens, positions, own, before)
        # Values leave the language model as it is: it is the measure, not what is learnt.
        x = jax.lax.stop_gradient(lm) + self.surprise(features)
    top = self.final_norm(x)
    if lm is None:
      return Hidden(top=top, lm=top, account=None), tuple(kept)
    top = jnp.concatenate([top, features], axis=-1)
    return Hidden(top=top, lm=lm, account=account), tuple(kept)

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
    return jnp.einsum('...d,vd->...v', hidden, table.astype(hidden.dtype),
                      preferred_element_type=jnp.float32)

  def values(self, hidden):
    """Logit of the probability that the solution so far ends in a right answer, float32 [...]."""
    return self.value_head(hidden.astype(jnp.float32))[..., 0]

  def init_all(self, tokens, positions, mask):
    """Touches every parameter, for `init`."""
    hidden, _ = self(tokens, positions, mask)
    read = {'lm': lambda: self.logits(hidden.lm), 'value': lambda: self.values(hidden.top)}
    return [read[h]() for h in self.arch.heads]


def causal_mask(segments: jax.Array) -> jax.Array:
  """Who attends to whom in packed rows: int32 [B, T] (0 = padding) --> bool [B, T, T]."""
  same = segments[:, :, None] == segments[:, None, :]
  causal = jnp.tril(jnp.ones((1, *segments.shape[1:] * 2), bool))
  return same & causal & (segments > 0)[:, :, None]


def below_surprise(arch: Arch) -> frozenset[str]:
  """Names of the parameters that no gradient of a value reaches, where `surprise_layer` is set."""
  parts = ('attn', 'attn_norm', 'mlp', 'mlp_norm')
  names = {f'{part}_{i}' for part in parts for i in range(arch.surprise_layer or 0)}
  return frozenset(names | {'embed', 'unembed', 'surprise_norm'} if names else ())


def num_params(params) -> int:
  return sum(x.size for x in jax.tree.leaves(params))
