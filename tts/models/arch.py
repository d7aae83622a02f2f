"""The shape of a decoder: one dataclass for every family."""

from __future__ import annotations

import dataclasses
from typing import Any

from tts.types import InputError

DTYPES = ('float32', 'bfloat16')  # of parameters and activations


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


def decoder(*, layers: int, width: int, heads: int, kv_heads: int | None = None,
            head_size: int | None = None, mlp_width: int | None = None, **more: Any) -> Arch:
  """A shape to be trained here, over whatever vocabulary its tokenizer has.

  Args:
    layers: of attention and MLP.
    width: D.
    heads: query heads.
    kv_heads: key and value heads; as many as query heads if not given.
    head_size: D / heads if not given.
    mlp_width: 4 D if not given.
    more: other fields of `Arch`.
  """
  return Arch(vocab_size=0, num_layers=layers, width=width, num_heads=heads,
              num_kv_heads=kv_heads or heads, head_size=head_size or width // heads,
              mlp_width=mlp_width or 4 * width, **more)


AS_INIT = Arch(0, 0, 0, 0, 0, 0, 0)  # in a config: all of the model that a training starts from


def below_surprise(arch: Arch) -> frozenset[str]:
  """Names of the parameters that no gradient of a value reaches, where `surprise_layer` is set."""
  parts = ('attn', 'attn_norm', 'mlp', 'mlp_norm')
  names = {f'{part}_{i}' for part in parts for i in range(arch.surprise_layer or 0)}
  return frozenset(names | {'embed', 'unembed', 'surprise_norm'} if names else ())


def check_split(arch: Arch, name: str, devices: int) -> None:
  """Whether so many devices can share a model; key and value heads may be fewer than they are.

  Raises:
    InputError: its query heads or its MLP do not divide.
  """
  for field in ('num_heads', 'mlp_width'):
    if getattr(arch, field) % devices:
      raise InputError(f'config.mesh.model={devices} does not divide {field}='
                       f'{getattr(arch, field)} of {name}: give a divisor of it')
