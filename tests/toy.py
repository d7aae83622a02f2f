"""Toy models: tables for a generator and a verifier, exact in floating point; small real decoders.

The tables answer the same calls as `tts.models`. `TableGenerator` knows a row's last token and how
many tokens came before; `TableVerifier` a hash of the whole text. The plain python functions at the
end say what they compute, for the reference implementations in the tests.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from tts import parallel, rng
from tts.engine import engine
from tts.engine.engine_models import EngineGenerator, EngineVerifier
from tts.engine.shape import Shape
from tts.methods import Method
from tts.models.arch import Arch
from tts.models.functions import Functions
from tts.models.generator import Generator, Writing
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.protocols import Texts
from tts.roles import Roles
from tts.sampling.logits import SamplingConfig
from tts.searching.search import Question, Search
from tts.types import BOS_ID, EOS_ID

VOCAB = 9
MANY = 16  # more than VOCAB
DELIMITER = 4
ROLES = Roles(ends=(EOS_ID,), delimiters=(DELIMITER,))
LEVELS = 5  # how many values a `TableVerifier` gives: few, so that ties are common

ARCH = Arch(vocab_size=13, num_layers=2, width=16, num_heads=4, num_kv_heads=2, head_size=6,
            mlp_width=24, heads=('lm', 'value'))
JUDGE = dataclasses.replace(ARCH, surprise_layer=1)

# Few lanes, and no size that another divides: all of them wait, are refilled and are cut anywhere.
SHAPE = Shape(lanes=5, write=3, readers=3, tile=4)


@flax.struct.dataclass
class TableCarry:
  problem: jax.Array  # [R] int32
  last: jax.Array     # [R] int32, newest token


class TableGenerator:
  """Next-token logits are table[problem, length % A, last]; the table is float32 [B, A, V, V].

  A prompt's first token says which problem it is: `prompts`.
  """

  def __init__(self, table):
    self._table = table

  def empty(self, rows, width):
    del width
    zeros = jnp.zeros(rows, jnp.int32)
    return Texts(columns=(), length=zeros, carry=TableCarry(problem=zeros, last=zeros))

  def read(self, texts, tokens, lengths):
    last = jnp.take_along_axis(tokens, jnp.maximum(lengths - 1, 0)[:, None], axis=1)[:, 0]
    begins = (texts.length == 0) & (lengths > 0)
    carry = TableCarry(problem=jnp.where(begins, tokens[:, 0] // MANY, texts.carry.problem),
                       last=jnp.where(lengths > 0, last % MANY, texts.carry.last))
    return texts.replace(length=texts.length + lengths, carry=carry)

  def begin(self, texts, size):
    del size
    return Writing(texts=texts, chunk=None)

  def logits(self, writing):
    texts = writing.texts
    return self._table[texts.carry.problem, texts.length % self._table.shape[1], texts.carry.last]

  def extend(self, writing, tokens, live):
    texts = writing.texts
    carry = texts.carry.replace(last=jnp.where(live, tokens, texts.carry.last))
    return writing.replace(texts=texts.replace(length=texts.length + live, carry=carry))

  def end(self, writing):
    return writing.texts


class TableVerifier:
  """Value of a text = a hash of it, with `LEVELS` different values; of padding, the best of all."""

  def __init__(self, params=()):
    del params

  def empty(self, rows, width):
    del width
    return Texts(columns=(), length=jnp.zeros(rows, jnp.int32), carry=jnp.zeros(rows, jnp.uint32))

  def extend(self, texts, tokens, lengths, own):
    def read(digest, column):
      token, index = column
      real = index < lengths
      digest = jnp.where(real, self.mix(digest, token, own), digest)
      return digest, jnp.where(real, self.value(digest), 1.0)

    columns = (jnp.moveaxis(tokens, -1, 0), jnp.arange(tokens.shape[-1]))
    digest, values = jax.lax.scan(read, texts.carry, columns)
    return jnp.moveaxis(values, 0, -1), texts.replace(length=texts.length + lengths, carry=digest)

  def mix(self, digest, token, own):
    del own
    # What is carried begins with zero.
    digest = digest ^ jnp.uint32(_OFFSET)
    return ((digest ^ (token.astype(jnp.uint32) + 1)) * jnp.uint32(_PRIME)) ^ jnp.uint32(_OFFSET)

  def value(self, digest):
    level = ((digest ^ jnp.uint32(_OFFSET)) >> 13) % LEVELS
    return level.astype(jnp.float32) / (LEVELS - 1)


class ShareVerifier(TableVerifier):
  """Value of a text = how often a token is in what was written, of 64. `params`: the token."""

  def __init__(self, params):
    super().__init__()
    self._token = params

  def mix(self, digest, token, own):
    return digest + (own & (token == self._token))

  def value(self, digest):
    return digest.astype(jnp.float32) / 64


_OFFSET, _PRIME = 2166136261, 16777619  # FNV-1a


def text_value(text) -> float:
  """What `TableVerifier` says of a text, prefix included."""
  digest = _OFFSET
  for token in text:
    digest = ((digest ^ (int(token) + 1)) * _PRIME) % 2**32
  return (digest >> 13) % LEVELS / (LEVELS - 1)


def next_logits(table, text) -> np.ndarray:
  """What `TableGenerator` says of a text, prefix included. table [A, V, V] of one problem."""
  return np.asarray(table[len(text) % len(table)][text[-1] % MANY], np.float64)


def draw(logits, uniform) -> tuple[int, float]:
  """Token and log-probability at temperature 1, in float64; the likeliest where uniform is None."""
  log_probs = logits - logits.max()
  log_probs -= np.log(np.exp(log_probs).sum())
  token = int(np.argmax(log_probs) if uniform is None else
              np.searchsorted(np.cumsum(np.exp(log_probs)), uniform, side='right'))
  return token, float(log_probs[token])


def random_tables(seed: int, num: int, period: int = 3) -> np.ndarray:
  """float32 [num, period, V, V]; some problems end soon, some hardly ever, some ramble."""
  gen = np.random.default_rng(seed)
  tables = gen.normal(0.0, 1.5, (num, period, VOCAB, VOCAB))
  tables[..., EOS_ID] += gen.uniform(-3.0, 1.0, (num, 1, 1))
  tables[..., DELIMITER] += gen.uniform(-1.0, 2.5, (num, 1, 1))
  return tables.astype(np.float32)


def chain_table(*edges: tuple[int, ...], period: int = 1) -> np.ndarray:
  """float32 [period, V, V] where token a is followed by one of b, c, ...: edges (a, b, c, ...)."""
  table = np.full((period, VOCAB, VOCAB), -1e9, np.float32)
  for source, *targets in edges:
    table[:, source, targets] = 0.0
  return table


def prompts(seed: int, num: int, width: int, vocab: int = VOCAB) -> tuple[np.ndarray, np.ndarray]:
  """Ragged prompts: int32 [num, width], which begin with BOS, and lengths int32 [num].

  Of table models problem b's BOS is MANY b more.
  """
  gen = np.random.default_rng(seed)
  lengths = gen.permutation(np.arange(num) % width) + 1
  tokens = gen.integers(5, vocab, (num, width))
  tokens[:, 0] = BOS_ID + (MANY * np.arange(num) if vocab == VOCAB else 0)
  return tokens.astype(np.int32), lengths.astype(np.int32)


def slot_keys(num: int, slots: int, *, stream: str = 'test', first: int = 0) -> jax.Array:
  """Keys [num, slots] of problems `p0`, `p1`, ... and slots `first`, `first` + 1, ..."""
  words = rng.problem_words([f'p{i}' for i in range(num)])
  identity = np.broadcast_to(np.arange(first, first + slots)[:, None], (num, slots, 1))
  return rng.identity_keys(rng.problem_keys(rng.stream_key(0, stream), words), identity)


@jax.jit
def _uniform_table(keys, step, position):
  return rng.token_uniforms(jax.random.key_data(keys), step, position)[0]


def uniforms(keys, steps: int, positions: int) -> np.ndarray:
  """The draw of every (slot, step, position): float32 [B, N, steps, positions]."""
  step, position = np.mgrid[:steps, :positions].reshape(2, -1)
  shape = (keys.size, step.size)
  table = _uniform_table(jnp.broadcast_to(keys.reshape(-1, 1), shape).ravel(),
                         np.broadcast_to(step, shape).ravel(),
                         np.broadcast_to(position, shape).ravel())
  return np.asarray(table).reshape(*keys.shape, steps, positions)


@functools.cache
def decoder_params(arch: Arch = ARCH, seed: int = 0):
  """Parameters of a decoder, all of them random: a fresh value head gives 0 for everything."""
  tokens = jnp.zeros((1, 2), jnp.int32)
  shapes = nn.meta.unbox(jax.eval_shape(lambda: Decoder(arch).init(
      jax.random.key(0), tokens, tokens, method='init_all')))
  gen = np.random.default_rng(seed)

  def one(path, x):
    mean, scale = (1.0, 0.3) if path[-1].key == 'scale' else (0.0, 1.5 * arch.width**-0.5)
    return jnp.asarray(gen.normal(mean, scale, x.shape), x.dtype)

  return jax.tree_util.tree_map_with_path(one, shapes)


def full_forward(arch: Arch, params, tokens) -> tuple[np.ndarray, ...]:
  """Texts int32 [R, T] from scratch, without a cache: (logits [R, T, V], values [R, T])."""
  length = tokens.shape[1]
  padded = np.pad(tokens, ((0, 0), (0, -length % 32)))  # few lengths to compile; nothing looks ahead
  return tuple(np.asarray(x)[:, :length] for x in _full_forward(arch, params, padded))


def _forward(arch, params, tokens):
  decoder = Decoder(arch)
  position = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
  hidden, _ = decoder.apply(params, tokens, position)
  return (decoder.apply(params, hidden.lm, method='logits'),
          jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values')))


_full_forward = jax.jit(_forward, static_argnums=0)


def generator(make, params, limits, *, shape: Shape = SHAPE, groups: int = 1, model: int = 1,
           sampling: SamplingConfig = SamplingConfig(), window: int = 0) -> EngineGenerator:
  """A generator at work. make: `TableGenerator`, or `writes`."""
  return EngineGenerator(parallel.make_mesh(groups, model), make, params, shape, sampling, limits,
                         window=window)


def verifier(make, params, *, shape: Shape = SHAPE, groups: int = 1,
             model: int = 1) -> EngineVerifier:
  """A verifier at work. make: `TableVerifier`, or `judges`."""
  return EngineVerifier(parallel.make_mesh(groups, model), make, params, shape)


def writes(arch: Arch = ARCH) -> Functions:
  """Parameters --> the generator that a decoder is."""
  return Functions(Generator, arch)


def judges(arch: Arch = JUDGE) -> Functions:
  """Parameters --> the verifier that a decoder is."""
  return Functions(Verifier, arch)


def run(questions, models, *, in_flight: int = 4, tick=lambda tokens, share: None) -> list:
  """What coroutines give, in order.

  questions: each a group --> a coroutine. Afterwards no text may be left, in any group.
  """
  groups = len(models[0].reader._jobs)  # pylint: disable=protected-access
  found = engine.run(questions, models, in_flight, tick)
  assert not any(worker.worth for each in models for worker in each.workers)
  for each in models:
    store = each._store  # pylint: disable=protected-access
    count = store._count  # pylint: disable=protected-access
    assert [table.free for table in store.tables] == [count] * groups, 'a text was not given back'
  return found


def search(generator_, verifier_, prompts_, keys, method: Method, *, own=None, **kwargs) -> list:
  """A search's trees, one a question.

  prompts_: ids, a list a question. keys: [B, N]. own: prompts of the verifier, where others.
  kwargs: of `run`, and `rewrite`.
  """
  of = {name: kwargs.pop(name) for name in ('rewrite',) if name in kwargs}
  data = np.asarray(jax.random.key_data(keys))
  begin = lambda prompt, told, key: lambda group: Search(
      generator_, verifier_, Question(prompt, told, key, key[0] + 1), method, group, **of).run()
  return run([begin(*each) for each in zip(prompts_, own or prompts_, data, strict=True)],
             [generator_, verifier_], **kwargs)


def ragged(tokens, lengths) -> list[list[int]]:
  """Rows int32 [B, P] without what stands behind their lengths [B]."""
  return [row[:n].tolist() for row, n in zip(tokens, lengths)]
