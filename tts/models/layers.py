"""What a decoder is made of: RMSNorm, rotary positions, grouped-query attention, an MLP."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from tts import parallel
from tts.models import attention, rotary
from tts.models.arch import Arch

_ACTIVATIONS = {
    'relu2': lambda x: jnp.square(jax.nn.relu(x)),
    'silu': jax.nn.silu,
    'gelu_tanh': lambda x: jax.nn.gelu(x, approximate=True),
}
_BRANCHES = ('attn', 'mlp')


def held_back(x, weights):
  """(x, weights), bfloat16 weights on a CPU not before x.

  It multiplies in float32, and its compiler would write all of them out in float32 before a loop,
  for every device; so one at a time is, where it is read. See `blocks.compiler_options` too.
  """
  if weights.dtype != jnp.bfloat16 or not parallel.for_cpu():
    return x, weights
  return jax.lax.optimization_barrier((x, weights))


def _product(x, kernel, *how, **more):
  if parallel.for_cpu():  # which multiplies bfloat16 itself where the sum is float32
    more['preferred_element_type'] = jnp.float32
  return jax.lax.dot_general(*held_back(x, kernel), *how, **more).astype(x.dtype)


def _dense(arch, features, axes, name, bias_axes=()):
  """A projection of the last axis; `axes` are logical names for `parallel`'s rule table."""
  init = nn.initializers.variance_scaling(
      1.0, 'fan_in', 'truncated_normal', in_axis=-1, out_axis=-1)
  return nn.DenseGeneral(
      features, axis=-1, use_bias=bool(bias_axes), dtype=arch.dtype, param_dtype=arch.stored,
      name=name, dot_general=_product, kernel_init=nn.with_logical_partitioning(init, axes),
      bias_init=nn.with_logical_partitioning(nn.initializers.zeros, bias_axes))


class RMSNorm(nn.Module):
  arch: Arch

  @nn.compact
  def __call__(self, x):
    a = self.arch
    init = nn.initializers.constant(1.0 - (a.norm_offset or 0.0))
    scale = self.param('scale', init, (x.shape[-1],), a.stored).astype(jnp.float32)
    if a.norm_offset:
      scale += a.norm_offset
    x32 = x.astype(jnp.float32)
    x32 *= jax.lax.rsqrt(jnp.mean(jnp.square(x32), axis=-1, keepdims=True) + a.norm_eps)
    return (x32 * jnp.broadcast_to(scale, x.shape)).astype(x.dtype)


class Attention(nn.Module):
  """Returns (output, what `View.attend` gives beside it). Without `view` the input sees itself."""

  arch: Arch
  window: int | None

  @nn.compact
  def __call__(self, x, positions, segments, view):
    a = self.arch
    group = a.num_heads // a.num_kv_heads

    def heads(name, count, axis):
      return _dense(a, (count, a.head_size), ('embed', axis, 'head'), name,
                    (axis, 'head') if a.qkv_bias else ())(x)

    q, k = heads('q', a.num_heads, 'heads'), heads('k', a.num_kv_heads, 'kv_heads')
    v = heads('v', a.num_kv_heads, 'kv_heads')
    if a.qk_norm:
      q, k = RMSNorm(a, name='q_norm')(q), RMSNorm(a, name='k_norm')(k)
    local = self.window is not None and a.window_rope_theta is not None
    frequency = rotary.frequencies(
        a.head_size // 2, a.window_rope_theta if local else a.rope_theta,
        () if local else a.rope_scaling)
    q = rotary.rotate(q, positions, frequency) * (a.query_scale or a.head_size**-0.5)
    k = rotary.rotate(k, positions, frequency)
    q = q.reshape(*q.shape[:-2], a.num_kv_heads, group, a.head_size)
    if view is None:
      out, kept = attention.attend_self(
          q, k, v, positions, segments, self.window, a.attn_softcap), None
    else:
      out, kept = view.attend(q, k, v, a.attn_softcap)
    out = out.reshape(*out.shape[:-3], a.num_heads * a.head_size)
    return _dense(a, a.width, ('heads', 'embed'), 'o')(out), kept


class MLP(nn.Module):
  arch: Arch

  @nn.compact
  def __call__(self, x):
    a = self.arch
    h = _dense(a, a.mlp_width, ('embed', 'mlp'), 'up')(x)
    act = _ACTIVATIONS[a.activation]
    if a.gated:
      h = h * act(_dense(a, a.mlp_width, ('embed', 'mlp'), 'gate')(x))
    else:
      h = act(h)
    return _dense(a, a.width, ('mlp', 'embed'), 'down')(h)


class Layer(nn.Module):
  """One layer; its parameters are called by its number, beside those of the others."""

  arch: Arch
  number: int

  def setup(self):
    a, i = self.arch, self.number
    self.attn_norm, self.mlp_norm = (RMSNorm(a, name=f'{part}_norm_{i}') for part in _BRANCHES)
    if a.post_norms:
      self.attn_post_norm, self.mlp_post_norm = (
          RMSNorm(a, name=f'{part}_post_norm_{i}') for part in _BRANCHES)
    self.attn = Attention(a, a.window(i), name=f'attn_{i}')
    self.mlp = MLP(a, name=f'mlp_{i}')

  def __call__(self, x, number, positions, segments, view, dropout):
    """(The stream [..., C, D] behind the layer, what `View.attend` gives beside it).

    Args:
      x: the stream before it.
      number: of the layer whose parameters these are, int or int32 []: `dropout` has it.
      positions: int32 [..., C].
      segments: as of `Decoder`.
      view: `texts.View`, or None.
      dropout: as of `Decoder`; the branches of layer i have the numbers 2i and 2i + 1.
    """
    y, kept = self.attn(self.attn_norm(x), positions, segments, view)
    if self.arch.post_norms:
      y = self.attn_post_norm(y)
    x = x + (dropout(y, 2 * number) if dropout else y)
    y = self.mlp(self.mlp_norm(x))
    if self.arch.post_norms:
      y = self.mlp_post_norm(y)
    return x + (dropout(y, 2 * number + 1) if dropout else y), kept


def names(arch: Arch, number: int) -> list[str]:
  """What the parameters of a layer are called."""
  parts = ('norm_', 'post_norm_', '') if arch.post_norms else ('norm_', '')
  return [f'{branch}_{part}{number}' for branch in _BRANCHES for part in parts]
