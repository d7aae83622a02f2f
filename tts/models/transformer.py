"""One decoder for every family: RMSNorm, rotary positions, grouped-query attention.

A forward pass reads new tokens and attends to what it is given: nothing (training, prefill) or a
`Cache`. Layers are unrolled: on a CPU a scanned layer is two to three times slower.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tts import parallel
from tts.models import attention, rotary, surprise
from tts.types import InputError

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
    param_dtype: of parameters; None is float32.
    qkv_bias: queries, keys and values have a bias (Qwen 2).
    qk_norm: each head's queries and keys are normed before they are rotated (Qwen 3, Gemma 3).
    post_norms: what a branch gives is normed before it is added (Gemma 2 and 3).
    norm_offset: added to every norm's scale (Gemma: 1).
    embed_scale: embeddings are multiplied by it, rounded to `dtype` (Gemma).
    query_scale: queries are multiplied by it; None is head_size**-0.5.
    attn_softcap, final_softcap: c for scores and logits c tanh(x / c); None leaves them (Gemma 2).
    windows: per layer how many tokens it sees, itself among them, 0 all; () all in every layer.
    rope_scaling: see `rotary.frequencies`; of layers without a window alone where
      `window_rope_theta` is given.
    window_rope_theta: base of the layers with a window (Gemma 3); None is `rope_theta`.
    value_hidden: width of a hidden layer in the value head, 0 for none.
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
  param_dtype: str | None = None
  qkv_bias: bool = False
  qk_norm: bool = False
  post_norms: bool = False
  norm_offset: float | None = None
  embed_scale: float | None = None
  query_scale: float | None = None
  attn_softcap: float | None = None
  final_softcap: float | None = None
  windows: tuple[int, ...] = ()
  rope_scaling: tuple[float, ...] = ()
  window_rope_theta: float | None = None
  value_hidden: int | None = None

  @property
  def stored(self) -> str:
    """The parameters' dtype."""
    return self.param_dtype or 'float32'

  def window(self, layer: int) -> int | None:
    """How many tokens a layer sees, None for all."""
    return (self.windows[layer] or None) if self.windows else None


AS_INIT = Arch(0, 0, 0, 0, 0, 0, 0)  # in a config: all of the model that a training starts from


def _held_back(x, weights):
  """(x, weights), bfloat16 weights on a CPU not before x.

  It multiplies in float32, and its compiler would write all of them out in float32 before a loop,
  for every device; so one at a time is, where it is read. See `blocks.compiler_options` too.
  """
  if weights.dtype != jnp.bfloat16 or not parallel.for_cpu():
    return x, weights
  return jax.lax.optimization_barrier((x, weights))


def _product(x, kernel, *how, **more):
  return jax.lax.dot_general(*_held_back(x, kernel), *how, **more)


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
  """Returns (output, keys and values to keep). Without a cache's `layer` the input sees itself."""

  arch: Arch
  window: int | None

  @nn.compact
  def __call__(self, x, positions, segments, layer):
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
    if layer is None:
      out, kept = attention.attend_self(
          q, k, v, positions, segments, self.window, a.attn_softcap), (k, v)
    else:
      out, kept = layer.attend(q, k, v, a.attn_softcap)
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


@flax.struct.dataclass
class Hidden:
  """What a forward pass knows at each token; `top` and `lm` are one array without a surprise."""

  top: jax.Array | None             # [..., C, F] above the last layer: what `values` reads
  lm: jax.Array                     # [..., C, D] what `logits` reads
  account: surprise.Account | None  # [..., C] with `surprise_layer` alone


class Decoder(nn.Module):
  """The trunk and its heads.

  `__call__` gives hidden states; `logits` and `values` read them. With `remat` a gradient computes
  each layer again instead of keeping what it held.
  """

  arch: Arch
  remat: bool = False

  def setup(self):
    a = self.arch
    self.embed = self.param(
        'embed', nn.with_logical_partitioning(
            nn.initializers.normal(a.width**-0.5), ('vocab', 'embed')), (a.vocab_size, a.width),
        a.stored)
    norms = lambda part: [RMSNorm(a, name=f'{part}_norm_{i}') for i in range(a.num_layers)]
    self.attn_norms, self.mlp_norms = norms('attn'), norms('mlp')
    if a.post_norms:
      self.attn_post_norms, self.mlp_post_norms = norms('attn_post'), norms('mlp_post')
    self.attns = [Attention(a, a.window(i), name=f'attn_{i}') for i in range(a.num_layers)]
    self.mlps = [MLP(a, name=f'mlp_{i}') for i in range(a.num_layers)]
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

  def __call__(self, tokens, positions, segments=None, layers=None, dropout=None, own=None,
               before=None):
    """Hidden states of `tokens`.

    Args:
      tokens: int32 [..., C].
      positions: int32 [..., C], where each token stands in its own text.
      segments: int32 [..., C], which text of its row each token belongs to, 0 = padding; None for
        rows of one text. Read without a cache only.
      layers: one `cache.Layer` per layer, or None.
      dropout: function applied to each residual branch, or None.
      own: bool [..., C], tokens that a generator wrote, whose surprise counts; None for none.
      before: `Hidden` [...] at the token before the first one; None where that begins a text.
        Like `own` it is read with `surprise_layer` alone.

    Returns:
      (`Hidden`, per layer the keys and values to keep).
    """
    tokens, table = _held_back(tokens, self.embed)
    x = jnp.take(table, tokens, axis=0).astype(self.arch.dtype)
    if self.arch.embed_scale is not None:
      x *= jnp.asarray(self.arch.embed_scale, x.dtype)
    dropout = dropout or (lambda x: x)
    kept, lm = [], None
    for i in range(self.arch.num_layers):
      layer = None if layers is None else layers[i]

      def one(self, x, i=i, layer=layer):
        y, kv = self.attns[i](self.attn_norms[i](x), positions, segments, layer)
        if self.arch.post_norms:
          y = self.attn_post_norms[i](y)
        x = x + dropout(y)
        y = self.mlps[i](self.mlp_norms[i](x))
        if self.arch.post_norms:
          y = self.mlp_post_norms[i](y)
        return x + dropout(y), kv

      x, kv = (nn.remat(one) if self.remat else one)(self, x)
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
    hidden, table = _held_back(hidden, table)
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


def below_surprise(arch: Arch) -> frozenset[str]:
  """Names of the parameters that no gradient of a value reaches, where `surprise_layer` is set."""
  parts = ('attn', 'attn_norm', 'mlp', 'mlp_norm')
  names = {f'{part}_{i}' for part in parts for i in range(arch.surprise_layer or 0)}
  return frozenset(names | {'embed', 'unembed', 'surprise_norm'} if names else ())


@functools.cache
def abstract(arch: Arch):
  """Shapes of the parameters with their logical axes, for `parallel.placed`."""
  tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  return jax.eval_shape(lambda *args: Decoder(arch).init(
      jax.random.key(0), *args, method='init_all'), tokens, tokens)


def check_split(arch: Arch, name: str, devices: int) -> None:
  """Whether so many devices can share a model; key and value heads may be fewer than they are.

  Raises:
    InputError: its query heads or its MLP do not divide.
  """
  for field in ('num_heads', 'mlp_width'):
    if getattr(arch, field) % devices:
      raise InputError(f'config.mesh.model={devices} does not divide {field}='
                       f'{getattr(arch, field)} of {name}: give a divisor of it')


def num_params(params) -> int:
  return sum(x.size for x in jax.tree.leaves(params))
