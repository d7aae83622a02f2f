"""Texts of many lengths in rows of one length, so that little of a batch is padding. numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses

import numpy as np

from tts.data.tokenizer import Tokenizer
from tts.types import PAD_ID, InputError, Problem


@dataclasses.dataclass(frozen=True)
class Labelled:
  """A sample with a value per step, what a verifier is trained on.

  Attributes:
    name: what messages call it, e.g. the problem's id.
    prompt: token ids, as the generator was given them.
    tokens: token ids of the sample itself.
    step_ends: exclusive ends of its steps in `tokens`.
    labels: probability, per step, that the answer will be right.
  """

  name: str
  prompt: Sequence[int]
  tokens: Sequence[int]
  step_ends: Sequence[int]
  labels: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Packed:
  """Rows [R, T] ready for training; `tts.train.steps` says what each field means."""

  tokens: np.ndarray      # int32
  segments: np.ndarray    # int32
  positions: np.ndarray   # int32
  loss_mask: np.ndarray   # bool
  label: np.ndarray | None = None       # float32
  label_mask: np.ndarray | None = None  # bool

  @property
  def num_rows(self) -> int:
    return self.tokens.shape[0]

  @property
  def num_examples(self) -> int:
    return int(self.segments.max(axis=1, initial=0).sum())

  @property
  def row_tokens(self) -> np.ndarray:
    """Tokens of each row that are not padding, int64 [R]."""
    return np.count_nonzero(self.segments, axis=1)

  def arrays(self) -> dict[str, np.ndarray]:
    """The fields that are there, by name."""
    return {k: v for k, v in vars(self).items() if v is not None}


@dataclasses.dataclass(frozen=True)
class _Text:
  name: str
  tokens: Sequence[int]
  num_prompt: int
  labels: dict[int, float] | None = None  # by index in `tokens`


def _pack(texts: Sequence[_Text], row_length: int, seed: int) -> Packed:
  """Puts each text, in a seeded order, into the fullest row that has room for it."""
  if not texts:
    raise InputError('nothing to train on: the training split is empty')
  rows: list[list[_Text]] = []
  open_rows: list[list[int]] = [[] for _ in range(row_length + 1)]  # by room that is left
  for i in np.random.default_rng(seed).permutation(len(texts)):
    size = len(texts[i].tokens)
    if size > row_length:
      raise InputError(f'{texts[i].name} is {size} tokens long and a training row has '
                       f'{row_length}: raise row_length, or leave it out')
    room = next((r for r in range(size, row_length + 1) if open_rows[r]), None)
    if room is None:
      rows.append([])
      row, room = len(rows) - 1, row_length
    else:
      row = open_rows[room].pop()
    rows[row].append(texts[i])
    open_rows[room - size].append(row)

  shape = (len(rows), row_length)
  has_labels = texts[0].labels is not None
  packed = Packed(
      tokens=np.full(shape, PAD_ID, np.int32), segments=np.zeros(shape, np.int32),
      positions=np.zeros(shape, np.int32), loss_mask=np.zeros(shape, bool),
      label=np.zeros(shape, np.float32) if has_labels else None,
      label_mask=np.zeros(shape, bool) if has_labels else None)
  for r, row in enumerate(rows):
    start = 0
    for segment, text in enumerate(row, 1):
      stop = start + len(text.tokens)
      packed.tokens[r, start:stop] = text.tokens
      packed.segments[r, start:stop] = segment
      packed.positions[r, start:stop] = np.arange(stop - start)
      packed.loss_mask[r, start + text.num_prompt:stop] = True
      for index, label in (text.labels or {}).items():
        packed.label[r, start + index] = label
        packed.label_mask[r, start + index] = True
      start = stop
  return packed


def pack_lm(problems: Sequence[Problem], tokenizer: Tokenizer, row_length: int,
            seed: int) -> Packed:
  """Prompts with their worked solutions; the loss is on the solutions.

  Args:
    problems: each with a solution.
    tokenizer: encodes both; the solution ends in its end-of-sequence.
    row_length: T.
    seed: of the order in which texts are put into rows.

  Raises:
    InputError: a problem without solution, or too long; no problem.
  """
  missing = next((p.id for p in problems if p.solution is None), None)
  if missing is not None:
    raise InputError(f'problem {missing} has no solution to train on: give it one or leave it out')
  prompts = tokenizer.encode_batch([p.prompt for p in problems])
  solutions = tokenizer.encode_batch([p.solution for p in problems])
  texts = [_Text(f'problem {p.id}', [tokenizer.bos_id, *prompt, *solution, tokenizer.eos_id],
                 len(prompt) + 1)
           for p, prompt, solution in zip(problems, prompts, solutions, strict=True)]
  return _pack(texts, row_length, seed)


def pack_labels(items: Iterable[Labelled], row_length: int, seed: int, *,
                last_only: bool = False) -> Packed:
  """Samples with their step labels; the language-model loss beside them is on the samples.

  Args:
    items: the samples.
    row_length: T.
    seed: of the order in which texts are put into rows.
    last_only: label only the end of a sample (an ORM), not every step (a PRM).

  Raises:
    InputError: a sample too long, without a step or with a label outside [0, 1]; no sample.
  """
  texts = []
  for item in items:
    if not len(item.step_ends) or len(item.step_ends) != len(item.labels):
      raise InputError(f'sample {item.name} has {len(item.step_ends)} steps and '
                       f'{len(item.labels)} labels: each step needs one')
    if not all(0.0 <= y <= 1.0 for y in item.labels):  # false for NaN
      raise InputError(f'sample {item.name} has a label outside 0 to 1: {list(item.labels)}')
    if not 0 < min(item.step_ends) <= max(item.step_ends) <= len(item.tokens):
      raise InputError(f'sample {item.name} has step ends {list(item.step_ends)} and '
                       f'{len(item.tokens)} tokens: an end is 1 to the number of tokens')
    labels = {len(item.prompt) + end - 1: y
              for end, y in zip(item.step_ends, item.labels, strict=True)}
    if last_only:
      labels = dict([max(labels.items())])
    texts.append(_Text(f'sample {item.name}', [*item.prompt, *item.tokens],
                       len(item.prompt), labels))
  return _pack(texts, row_length, seed)
