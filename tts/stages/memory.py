"""Memory of a device program on one device, by the shapes alone: one formula for everybody.

`--dry_run` refuses by it what will not fit, and `launch.compile` prints it beside the compiler's
own figure. Arguments and outputs are exact up to the padding of a device's layouts; caches are what
the loops carry; `working` is the largest of what is made beside them: one layer's attention
weights, or, where candidates branch, the caches once more, since a gather writes beside what it
reads. What the compiler saves or adds is not known before it has run.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp

from tts import parallel
from tts.models import blockwise
from tts.models.transformer import Arch, abstract
from tts.revision.trajectories import MAX_CONTEXT

_WORD = 4  # bytes of an int32, uint32 or float32


@dataclasses.dataclass(frozen=True)
class Footprint:
  """Bytes on one device."""

  weights: int
  inputs: int
  outputs: int
  caches: int = 0
  working: int = 0

  @property
  def arguments(self) -> int:
    return self.weights + self.inputs

  @property
  def total(self) -> int:
    return self.arguments + self.outputs + self.caches + self.working


@functools.cache
def weights(arch: Arch, width: int) -> int:
  """Bytes of a model's parameters on one of `width` devices that share it."""
  return sum(size for _, size, _ in parallel.pieces(abstract(arch), width))


@functools.cache
def whole(arch: Arch, width: int) -> tuple[tuple[str, int], ...]:
  """Parameters that every one of `width` devices has all of, and their bytes."""
  return tuple((name, size) for name, size, shared in parallel.pieces(abstract(arch), width)
               if not shared)


def _shared(count: int, width: int) -> int:
  """Of `count` heads, those of one device; all where they do not divide."""
  return count // width if count % width == 0 else count


def place(arch: Arch, width: int) -> int:
  """Bytes of keys and values of one token on one device."""
  heads = _shared(arch.num_kv_heads, width)
  return 2 * arch.num_layers * heads * arch.head_size * jnp.dtype(arch.dtype).itemsize


def _scores(arch: Arch, width: int, rows: int, new: int, seen: int) -> int:
  """Bytes of one layer's attention weights, `new` tokens a row over `seen`; or of the MLP."""
  scores = _shared(arch.num_heads, width) * blockwise.size(new, seen) * seen * _WORD
  mlp = new * _shared(arch.mlp_width, width) * jnp.dtype(arch.dtype).itemsize
  return rows * max(scores, mlp)


def _reading(arch: Arch, width: int, texts: int, columns: int) -> int:
  """Working memory of a prefill."""
  return _scores(arch, width, texts, columns, columns)


def _prompts(count: int, columns: int) -> int:
  """Bytes of a block's prompts, their lengths, and the words of their keys."""
  return count * (columns + 3) * _WORD


def sample(arch: Arch, width: int, *, problems: int, columns: int, jobs: int, slots: int,
           tokens: int, names: int = 1) -> Footprint:
  """`programs.sample_step`.

  Args:
    arch: of the generator.
    width: devices that share it.
    problems: B.
    columns: P, of a prefix.
    jobs: J, samples of a problem.
    slots: N, in flight.
    tokens: T, of one sample at most.
    names: I, numbers in a sample's key.
  """
  log = tokens * -(-jobs // slots) * problems * slots
  return Footprint(
      weights=weights(arch, width),
      # Lengths and keys are of jobs here.
      inputs=_prompts(problems, columns) + problems * jobs * (1 + names) * _WORD,
      outputs=4 * log * _WORD,
      caches=problems * (columns + slots * tokens) * place(arch, width),
      working=max(_reading(arch, width, problems, columns),
                  3 * problems * slots * _vocabulary(arch, width) * _WORD))


def search(arch: Arch, guide: Arch, width: int, *, problems: int, columns: int, candidates: int,
           tokens: int, steps: int, step_tokens: int, lookahead: int = 0,
           question: int = 0) -> Footprint:
  """`programs.search_step`.

  Args:
    arch: of the generator.
    guide: of the verifier.
    width: devices that share them.
    problems: B.
    columns: P, of what the generator reads first.
    candidates: N.
    tokens: T, of a solution at most.
    steps: S.
    step_tokens: C.
    lookahead: k; a simulation has caches of its own.
    question: columns of what the verifier reads first where that is something else.
  """
  rows = problems * candidates
  of_row = step_tokens + 4 + lookahead * (step_tokens + 1) + bool(lookahead)  # words
  of_problem = 4 + 4 * bool(lookahead)
  outputs = steps * (rows * (of_row * _WORD + 3 + bool(lookahead)) + problems * of_problem * _WORD)
  own = rows * (tokens + step_tokens)
  copied = own * (place(arch, width) + place(guide, width))
  read = question or columns
  return Footprint(
      weights=weights(arch, width) + weights(guide, width),
      inputs=(_prompts(problems, columns) + rows * _WORD + problems
              + (problems * (question + 1) * _WORD if question else 0)),
      outputs=outputs,
      # A simulation's own stand beside those that the search goes on from.
      caches=(problems * columns * place(arch, width) + problems * read * place(guide, width)
              + copied * (2 if lookahead else 1)),
      working=max(copied, _reading(arch, width, problems, columns),
                  _reading(guide, width, problems, read),
                  _scores(guide, width, rows, step_tokens, read + tokens + step_tokens),
                  3 * rows * _vocabulary(arch, width) * _WORD))


def chains(arch: Arch, width: int, *, problems: int, columns: int, candidates: int, length: int,
           tokens: int) -> Footprint:
  """`programs.chain_step`: `candidates` chains of `length` answers for each of `problems`."""
  rows, turn = problems * candidates, tokens + 1 + columns
  past = MAX_CONTEXT * turn if length > 1 else 0
  return Footprint(
      weights=weights(arch, width),
      inputs=_prompts(problems, columns) + rows * _WORD + problems,
      outputs=length * rows * ((3 * tokens + 3) * _WORD + 1),
      caches=(problems * columns + rows * (past + tokens)) * place(arch, width),
      working=max(rows * past * place(arch, width), _reading(arch, width, problems, columns),
                  _scores(arch, width, rows, turn, columns + past + turn) if length > 1 else 0,
                  3 * rows * _vocabulary(arch, width) * _WORD))


def score(arch: Arch, width: int, *, texts: int, columns: int, tokens: int) -> Footprint:
  """`programs.score_step`: so many texts of `tokens` after a prompt of `columns`."""
  return Footprint(
      weights=weights(arch, width),
      inputs=texts * (columns + 1 + tokens + 1) * _WORD,
      outputs=texts * (tokens + 1) * _WORD,
      caches=texts * (columns + tokens) * place(arch, width),
      working=max(_reading(arch, width, texts, columns),
                  _scores(arch, width, texts, tokens, columns + tokens)))


def prompts(arch: Arch, width: int, *, problems: int, columns: int) -> Footprint:
  """`programs.prompt_step`."""
  return Footprint(
      weights=weights(arch, width), inputs=problems * (columns + 1) * _WORD,
      outputs=problems * arch.width * _WORD,
      working=_reading(arch, width, problems, columns))


def training(arch: Arch, *, batch: int, columns: int, labelled: bool, width: int = 1,
             groups: int = 1, adapters: int = 0, remat: bool = False) -> Footprint:
  """An update: weights and Adam's two moments, donated, and what is kept for it.

  `width` x `groups` devices share weights and moments, `groups` of them the rows too. With bytes of
  `adapters` these alone are learnt, and the weights are there once more, merged.

  Rows that are `labelled` have a label a token, and masks of labels and of own tokens. With `remat`
  a layer keeps what it begins with, and one at a time all of it. What is made in blocks, scores and
  logits, is kept for none but the one at hand.
  """
  size, whole = weights(arch, width), batch * columns
  batch = -(-batch // groups)
  tokens, layers = batch * columns, arch.num_layers
  block = blockwise.size(columns, columns)
  layer = tokens * (8 * arch.width + 4 * arch.mlp_width)
  scores = 2 * batch * arch.num_heads * block * columns
  if block == columns:
    layer, scores = layer + scores, 0
  # One array of the width is all that a gradient asks for; the compiler's layers grow by four.
  kept = layer + layers * 4 * tokens * arch.width if remat else layers * layer
  logits = 3 * batch * blockwise.size(columns, arch.vocab_size) * arch.vocab_size
  learnt = size + 3 * adapters if adapters else 3 * size
  return Footprint(weights=learnt // groups, outputs=0,
                   inputs=whole * (3 * _WORD + 1 + (_WORD + 2) * labelled),
                   working=(size * (2 if adapters else 1) + (kept + scores + logits)
                            * jnp.dtype(arch.dtype).itemsize))


def _vocabulary(arch: Arch, width: int) -> int:
  return _shared(arch.vocab_size, width)
