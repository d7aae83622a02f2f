"""Texts of many lengths in rows of one length, so that little of a batch is padding. numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses

import numpy as np

from tts.data import batching
from tts.data.prompts import Prompts
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
class Continuation:
  """A text of which the end is learnt: a revision after the answers in its context.

  Attributes:
    name: what messages call it, e.g. the problem's id.
    prompt: token ids that are given.
    tokens: token ids that are learnt.
  """

  name: str
  prompt: Sequence[int]
  tokens: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Packed:
  """Rows [R, T] ready for training; `tts.train.steps` says what each field means."""

  tokens: np.ndarray      # int32
  segments: np.ndarray    # int32
  positions: np.ndarray   # int32
  loss_mask: np.ndarray   # bool
  label: np.ndarray | None = None       # float32
  label_mask: np.ndarray | None = None  # bool
  own_mask: np.ndarray | None = None    # bool

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
  num_learnt: int  # tokens up to which the language-model loss counts, the prompt included
  labels: dict[int, float] | None = None  # by index in `tokens`


def _pack(texts: Sequence[_Text], row_length: int, seed: int) -> Packed:
  """Lays the texts out in rows, and with them what is known of each token."""
  if not texts:
    raise InputError('nothing to train on: the training data are empty')
  lengths = np.array([len(t.tokens) for t in texts])
  if lengths.max() > row_length:
    longest = int(lengths.argmax())
    raise InputError(f'{texts[longest].name} is {lengths[longest]} tokens long and a training row '
                     f'has {row_length}: raise row_length, or leave it out')
  starts = np.cumsum(lengths) - lengths
  # What is packed is the place of each token in the texts end to end, so that every field can be
  # looked up by it.
  layout = batching.pack(
      [(np.arange(start, start + n), (np.arange(n) >= t.num_prompt) & (np.arange(n) < t.num_learnt))
       for t, start, n in zip(texts, starts, lengths, strict=True)], row_length, seed)
  real = layout.segments > 0
  spread = lambda field: np.where(real, field[layout.tokens], field.dtype.type(0))
  tokens = np.concatenate([np.asarray(t.tokens, np.int32) for t in texts])
  label = label_mask = own_mask = None
  if texts[0].labels is not None:
    label, label_mask = np.zeros(len(tokens), np.float32), np.zeros(len(tokens), bool)
    for text, start in zip(texts, starts, strict=True):
      places = start + np.fromiter(text.labels, np.int64)
      label[places] = np.fromiter(text.labels.values(), np.float32)
      label_mask[places] = True
    label, label_mask = spread(label), spread(label_mask)
    own_mask = spread(np.concatenate([np.arange(n) >= t.num_prompt
                                      for t, n in zip(texts, lengths, strict=True)]))
  return Packed(tokens=np.where(real, tokens[layout.tokens], np.int32(PAD_ID)),
                segments=layout.segments, positions=layout.positions,
                loss_mask=layout.loss_mask.astype(bool), label=label, label_mask=label_mask,
                own_mask=own_mask)


def pack_lm(problems: Sequence[Problem], prompts: Prompts, row_length: int, seed: int) -> Packed:
  """Prompts with their worked solutions; the loss is on the solutions.

  Args:
    problems: each with a solution.
    prompts: encode both; the solution ends in the tokenizer's end-of-sequence.
    row_length: T.
    seed: of the order in which texts are put into rows.

  Raises:
    InputError: a problem without solution, or too long; no problem.
  """
  missing = next((p.id for p in problems if p.solution is None), None)
  if missing is not None:
    raise InputError(f'problem {missing} has no solution to train on: give it one or leave it out')
  questions = prompts.encode_batch([p.prompt for p in problems])
  solutions = prompts.tokenizer.encode_batch([p.solution for p in problems])
  return pack_continuations(
      [Continuation(f'problem {p.id}', question, [*solution, prompts.tokenizer.eos_id])
       for p, question, solution in zip(problems, questions, solutions, strict=True)],
      row_length, seed)


def pack_continuations(items: Iterable[Continuation], row_length: int, seed: int) -> Packed:
  """Prompts with what follows them; the loss is on what follows.

  Args:
    items: the texts.
    row_length: T.
    seed: of the order in which texts are put into rows.

  Raises:
    InputError: a text too long; no text.
  """
  return _pack([_Text(i.name, [*i.prompt, *i.tokens], len(i.prompt), len(i.prompt) + len(i.tokens))
                for i in items], row_length, seed)


def pack_labels(items: Iterable[Labelled], row_length: int, seed: int, *,
                last_only: bool = False) -> Packed:
  """Samples with their step labels; the language-model loss beside them is on proven steps.

  A step is proven if some continuation of it, or of a later one, had the right answer.

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
    # A prefix that went on to a right answer is right itself, as good as always: worth learning.
    proven = max((place + 1 for place, y in labels.items() if y > 0), default=0)
    texts.append(_Text(f'sample {item.name}', [*item.prompt, *item.tokens],
                       len(item.prompt), proven, labels))
  return _pack(texts, row_length, seed)
