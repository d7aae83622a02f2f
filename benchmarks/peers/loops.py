"""PRM beam search as a host loop on `transformers`, in two ways that write the same solutions.

  re-reading  every step the generator reads each whole text again before it writes on, and the PRM
              each whole text: the algorithm of search-and-learn's beam search.
  improved    both keep their keys and values from step to step. Between two steps these are
              reordered by the rows' parents, and cropped.

Steps and selection are by our rules (`tts.searching.beam`, here again in numpy). Rows are texts of
different lengths in one cache: a column in which a row has no token is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np
import torch
from transformers import DynamicCache

READ_ROWS = 16  # that the PRM reads again at a time

# logits [R, V], each row's (question, slot, tokens written) --> tokens int64 [R]
Draw = Callable[[torch.Tensor, list[tuple[int, int, int]]], torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Rules:
  """Of a search. The fields are `Setting`'s and `setting`'s."""

  num: int
  width: int
  max_tokens: int
  max_steps: int
  delimiters: Sequence[int]
  ends: Sequence[int]
  size: int


@dataclasses.dataclass(frozen=True)
class Models:
  """A generator, and a PRM on the same trunk.

  Attributes:
    trunk: of `transformers`, which gives hidden states.
    head: hidden states --> logits.
    value: float32 [D], the PRM's head.
  """

  trunk: torch.nn.Module
  head: torch.nn.Module
  value: torch.Tensor


@dataclasses.dataclass
class Row:
  """A candidate between two rounds."""

  question: int
  slot: int
  tokens: list[int] = dataclasses.field(default_factory=list)
  steps: int = 0
  score: float = 0.5
  live: bool = True
  finished: bool = False
  new: list[int] = dataclasses.field(default_factory=list)  # the newest step


@dataclasses.dataclass
class Counts:
  """Tokens of a search: written by the generator, and read by the PRM for the first time."""

  written: int = 0
  read: int = 0


def draw(logits: torch.Tensor, rows: list[tuple[int, int, int]]) -> torch.Tensor:
  """A `Draw` at temperature 1."""
  del rows
  return torch.multinomial(torch.softmax(logits, -1), 1)[:, 0]


class Texts:
  """What a trunk has read of R texts."""

  def __init__(self, trunk: torch.nn.Module, rows: int):
    self._trunk, self._cache = trunk, DynamicCache(config=trunk.config)
    self._real = torch.zeros((rows, 0), dtype=torch.bool)  # of each row and column, no padding

  def extend(self, new: Sequence[Sequence[int]]) -> torch.Tensor:
    """Reads tokens, of a row perhaps none --> hidden state of each row's last one [R, D]."""
    lengths = torch.tensor([len(tokens) for tokens in new])
    ids = torch.zeros((len(new), max(1, int(lengths.max()))), dtype=torch.long)
    for r, tokens in enumerate(new):
      ids[r, :len(tokens)] = torch.tensor(tokens, dtype=torch.long)
    place = torch.arange(ids.shape[1])
    positions = self._real.sum(1, keepdim=True) + place
    self._real = torch.cat([self._real, place < lengths[:, None]], 1)
    hidden = self._trunk(input_ids=ids, attention_mask=self._real.long(), position_ids=positions,
                         past_key_values=self._cache, use_cache=True).last_hidden_state
    return hidden[torch.arange(len(new)), (lengths - 1).clamp(min=0)]

  def take(self, rows: Sequence[int]) -> None:
    """Goes on with these rows alone, some perhaps several times, without columns of padding."""
    index = torch.tensor(rows, dtype=torch.long)
    real = self._real[index]
    width = int(real.sum(1).max())
    columns = torch.argsort(~real, dim=1, stable=True)[:, :width]
    crop = not bool(real.all())
    for layer in self._cache.layers:
      for name in ('keys', 'values'):
        x = getattr(layer, name)[index]
        if crop:
          x = x.gather(2, columns[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
        setattr(layer, name, x)
    self._real = real.gather(1, columns)


def step(models: Models, texts: Texts, new: Sequence[Sequence[int]], rows: Sequence[Row],
         rules: Rules, draw: Draw) -> None:
  """Writes one step of every row, into the row. `new`: what `texts` have not read of each.

  The step's last token is not read.
  """
  hidden = texts.extend(new)
  for row in rows:
    row.new = []
  going = [True] * len(rows)
  delimiters, ends = set(rules.delimiters), set(rules.ends)
  while True:
    drawn = draw(models.head(hidden)[:, :rules.size].float(),
                 [(row.question, row.slot, len(row.tokens)) for row in rows]).tolist()
    for r, (row, token) in enumerate(zip(rows, drawn)):
      if not going[r]:
        continue
      row.tokens, row.new = [*row.tokens, token], [*row.new, token]
      ended, row.finished = token in delimiters, token in ends
      row.steps += ended
      full = len(row.tokens) >= rules.max_tokens or row.steps >= rules.max_steps
      row.live = not row.finished and not full
      going[r] = row.live and not ended
    if not any(going):
      return
    hidden = texts.extend([[row.new[-1]] if on else [] for row, on in zip(rows, going)])


def select(score: np.ndarray, live: np.ndarray, finished: np.ndarray,
           kept: int) -> np.ndarray | None:
  """The row that each slot goes on from, or None where the search stops; `beam.select` in numpy."""
  order = np.lexsort((-score, ~live & ~finished))
  keep = np.zeros(len(score), bool)
  keep[order[:kept]] = True
  parents = keep & live
  if not parents.any():
    return None
  spare, num = len(score) - np.sum(keep & ~live), np.sum(parents)
  children = spare // num + (np.cumsum(parents) - 1 < spare % num)
  return np.repeat(np.arange(len(score)), np.where(parents, children, keep))


def search(models: Models, prompts: Sequence[Sequence[int]], rules: Rules, keep: bool,
           draw: Draw = draw) -> tuple[list[list[Row]], Counts]:
  """PRM beam search of questions, their rounds side by side.

  Args:
    models: generator and PRM.
    prompts: ids of each question.
    rules: of the search.
    keep: whether keys and values are kept from step to step.
    draw: chooses the tokens.

  Returns:
    (each question's N rows, tokens).
  """
  with torch.inference_mode():
    return _search(models, prompts, rules, keep, draw)


def _search(models: Models, prompts: Sequence[Sequence[int]], rules: Rules, keep: bool,
            draw: Draw) -> tuple[list[list[Row]], Counts]:
  counts = Counts()
  rows = [[Row(q, n) for n in range(rules.num)] for q in range(len(prompts))]
  batch = [row for of in rows for row in of]  # those that go on
  owns = [row.question for row in batch]
  if keep:
    writing, reading = (Texts(models.trunk, len(prompts)) for _ in range(2))
    writing.extend([prompt[:-1] for prompt in prompts])
    reading.extend(prompts)
    for texts in (writing, reading):
      texts.take(owns)
  while batch:
    if keep:
      step(models, writing, [[row.tokens[-1] if row.tokens else prompts[row.question][-1]]
                             for row in batch], batch, rules, draw)
      hidden = reading.extend([row.new for row in batch])
    else:
      step(models, Texts(models.trunk, len(batch)),
           [[*prompts[row.question], *row.tokens] for row in batch], batch, rules, draw)
      hidden = _read_again(models, [[*prompts[row.question], *row.tokens] for row in batch])
    counts.written += sum(len(row.new) for row in batch)
    counts.read += sum(len(row.new) for row in batch)
    for row, score in zip(batch, torch.sigmoid(hidden @ models.value).tolist()):
      row.score = score
    place = {id(row): i for i, row in enumerate(batch)}
    following, parents = [], []
    for q in dict.fromkeys(row.question for row in batch):
      rows[q], from_row = _branched(rows[q], rules)
      if from_row is None:
        continue
      going = [(row, from_row[row.slot]) for row in rows[q] if row.live]
      following += [row for row, _ in going]
      parents += [place[id(parent)] for _, parent in going]
    batch = following
    if keep and batch:
      for texts in (writing, reading):
        texts.take(parents)
  return rows, counts


def _read_again(models: Models, texts: list[list[int]]) -> torch.Tensor:
  """Hidden state at each whole text's end [R, D]; those of similar lengths are read together."""
  order = sorted(range(len(texts)), key=lambda r: len(texts[r]))
  found = [None] * len(texts)
  for first in range(0, len(order), READ_ROWS):
    chunk = order[first:first + READ_ROWS]
    hidden = Texts(models.trunk, len(chunk)).extend([texts[r] for r in chunk])
    for r, of_row in zip(chunk, hidden):
      found[r] = of_row
  return torch.stack(found)


def _branched(rows: list[Row], rules: Rules) -> tuple[list[Row], list[Row] | None]:
  """(a question's rows after a selection, the row that each is from; None where it stops)."""
  of = lambda name, dtype: np.array([getattr(row, name) for row in rows], dtype)
  parent = select(of('score', np.float32), of('live', bool), of('finished', bool),
                  max(1, rules.num // rules.width))
  if parent is None:
    return rows, None
  from_row = [rows[p] for p in parent]
  return [dataclasses.replace(row, slot=n) for n, row in enumerate(from_row)], from_row
