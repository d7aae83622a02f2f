"""A language model of your own: any Flax module that gives logits, sampled and searched with.

  python -m examples.my_model --tokenizer=/tmp/tts-quickstart/models/base

`Tiny` stands for somebody else's model. `Reread` makes any module that is called with whole texts a
`tts.protocols.Generator`: it keeps a text's ids and reads them again for every token, which is slow
and right. One that keeps keys and values puts them into `Texts.columns` instead, as
`tts.models.generator` does.
"""

from __future__ import annotations

import dataclasses

from absl import app
from absl import flags
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

import tts
from tts.data.tokenizer import Tokenizer
from tts.protocols import Params, Texts

_TOKENIZER = flags.DEFINE_string('tokenizer', None, 'Folder of a model, whose tokenizer is taken.')
_LONGEST = 256  # tokens


class Tiny(nn.Module):
  """Somebody else's: int32 [R, W] --> logits float32 [R, W, V]."""

  vocab_size: int
  width: int = 32

  @nn.compact
  def __call__(self, tokens):
    place = self.param('place', nn.initializers.normal(0.1), (_LONGEST, self.width))
    x = nn.Embed(self.vocab_size, self.width)(tokens) + place[None, :tokens.shape[1]]
    x += nn.MultiHeadAttention(num_heads=4)(nn.LayerNorm()(x), mask=nn.make_causal_mask(tokens))
    x += nn.Dense(self.width)(nn.silu(nn.Dense(4 * self.width)(nn.LayerNorm()(x))))
    return nn.Dense(self.vocab_size)(nn.LayerNorm()(x))


@flax.struct.dataclass
class Writing:
  texts: Texts


@dataclasses.dataclass(frozen=True)
class Reread:
  """A generator whose state is the ids themselves: columns int32 [1, R, 1, W, 1]."""

  module: nn.Module
  params: Params

  def empty(self, rows: int, width: int) -> Texts:
    return Texts(columns=jnp.zeros((1, rows, 1, width, 1), jnp.int32),
                 length=jnp.zeros(rows, jnp.int32), carry=())

  def read(self, texts: Texts, tokens: jax.Array, lengths: jax.Array) -> Texts:
    def put(ids, start, new, length):  # of one text
      place = jnp.arange(ids.size) - start
      return jnp.where((place >= 0) & (place < length), new[place], ids)

    ids = texts.columns[0, :, 0, :, 0]
    ids = jax.vmap(put)(ids, texts.length, tokens, lengths)
    return texts.replace(columns=ids[None, :, None, :, None], length=texts.length + lengths)

  def begin(self, texts: Texts, size: int) -> Writing:
    return Writing(texts)

  def logits(self, writing: Writing) -> jax.Array:
    texts = writing.texts
    found = self.module.apply(self.params, texts.columns[0, :, 0, :, 0])
    return jnp.take_along_axis(found, texts.length[:, None, None] - 1, axis=1)[:, 0]

  def extend(self, writing: Writing, tokens: jax.Array, live: jax.Array) -> Writing:
    return Writing(self.read(writing.texts, tokens[:, None], live.astype(jnp.int32)))

  def end(self, writing: Writing) -> Texts:
    return writing.texts


def main(argv: list[str]) -> None:
  del argv
  tokenizer = Tokenizer.load(_TOKENIZER.value)
  module = Tiny(tokenizer.vocab_size)
  params = module.init(jax.random.key(0), jnp.zeros((1, 2), jnp.int32))
  model = tts.LanguageModel.of(lambda params: Reread(module, params), params, tokenizer)
  limits = tts.Limits(max_prompt_tokens=64, max_tokens=32)
  for result in tts.sample(model, ['3;+4;*2', '7;*3;-5'], n=4, limits=limits):
    print(result.question, [solution.text for solution in result.solutions])


if __name__ == '__main__':
  flags.mark_flag_as_required('tokenizer')
  app.run(main)
