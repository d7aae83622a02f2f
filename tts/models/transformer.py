"""One decoder for every family: RMSNorm, rotary positions, grouped-query attention.

A forward pass reads new tokens and attends to what it is given: nothing (training, prefill) or a
`Cache`. Layers are unrolled: on a CPU a scanned layer is two to three times slower.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from tts.models import cache as cache_lib

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


class Decoder(nn.Module):
  """The trunk and its heads.

  `__call__` gives final hidden states; `logits` and `values` read them.
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
    if 'value' in a.heads:
      self.value_head = nn.Dense(
          1, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name='value')

  def __call__(self, tokens, positions, mask=None, layers=None, dropout=None):
    """Hidden states of `tokens`.

    Args:
      tokens: int32 [..., C].
      positions: int32 [..., C], where each token stands in its own text.
      mask: bool [..., C, C], who attends to whom; without a cache only.
      layers: one `cache.Layer` per layer, or None.
      dropout: function applied to each residual branch, or None.

    Returns:
      (hidden [..., C, D], per layer the keys and values to keep).
    """
    x = jnp.take(self.embed, tokens, axis=0).astype(self.arch.dtype)
    dropout = dropout or (lambda x: x)
    kept = []
    for i in range(self.arch.num_layers):
      layer = None if layers is None else layers[i]
      y, kv = self.attns[i](self.attn_norms[i](x), positions, mask, layer)
      x = x + dropout(y)
      x = x + dropout(self.mlps[i](self.mlp_norms[i](x)))
      kept.append(kv)
    return self.final_norm(x), tuple(kept)

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
    return [getattr(self, {'lm': 'logits', 'value': 'values'}[h])(hidden) for h in self.arch.heads]


def causal_mask(segments: jax.Array) -> jax.Array:
  """Who attends to whom in packed rows: int32 [B, T] (0 = padding) --> bool [B, T, T]."""
  same = segments[:, :, None] == segments[:, None, :]
  causal = jnp.tril(jnp.ones((1, *segments.shape[1:] * 2), bool))
  return same & causal & (segments > 0)[:, :, None]


def num_params(params) -> int:
  return sum(x.size for x in jax.tree.leaves(params))
