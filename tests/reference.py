"""Plain python sampling and beam search over the table models, written from the rules, not the code.

The rules of a beam round: step every live row; score; stop if none is live or the rounds are used
up. Keep K = max(1, N // M) rows by (score descending, slot ascending), truncated ones last. If none
of them is live, stop. Otherwise survivors in slot order, each with its children side by side, fill
the slots: a kept row that is not live gets one, live ones an equal share of the rest, the first
ones one more. The voters are the rows finished at the stop, before pruning.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from tests import toy
from tts.types import EOS_ID


@dataclasses.dataclass
class Row:
  """A candidate. `text` has the prompt in front."""

  text: list[int]
  num_prompt: int
  status: str = 'live'  # live, finished, truncated
  score: float = 0.0
  logprobs: list[float] = dataclasses.field(default_factory=list)
  rule: str = ''  # which limit cut it off
  entered: int = 0   # over its life, generator
  attended: int = 0

  @property
  def own(self) -> list[int]:
    return self.text[self.num_prompt:]


def step(row: Row, table, uniform, limits) -> None:
  """Emits up to a delimiter, the end, or a limit. uniform [steps, positions] of the row's slot."""
  begin = len(row.own)
  num_steps = row.own.count(limits.delimiter)
  while True:
    token, logprob = toy.draw(toy.next_logits(table, row.text), uniform[num_steps, len(row.own)])
    row.text.append(token)
    row.logprobs.append(logprob)
    delimiter = token == limits.delimiter
    if token == EOS_ID:
      row.status = 'finished'
    elif len(row.own) == limits.max_tokens:
      row.status, row.rule = 'truncated', 'tokens'
    elif delimiter and num_steps + 1 == limits.max_steps:
      row.status, row.rule = 'truncated', 'steps'
    elif not delimiter and len(row.own) - begin == limits.max_step_tokens:
      row.status, row.rule = 'truncated', 'step_tokens'
    if row.status == 'live':  # the token goes through the generator
      row.entered += 1
      row.attended += len(row.text)
    if delimiter or row.status != 'live':
      return


def sample(table, prompt, uniform, limits) -> Row:
  """One full sample."""
  row = Row(list(map(int, prompt)), len(prompt))
  while row.status == 'live':
    step(row, table, uniform, limits)
  return row


def deal(kept, live) -> list[int]:
  """Parents of the slots."""
  num_slots = len(kept)
  parents = [n for n in range(num_slots) if kept[n] and live[n]]
  others = [n for n in range(num_slots) if kept[n] and not live[n]]
  room = num_slots - len(others)
  share, extra = divmod(room, len(parents))
  slots = []
  for n in sorted(parents + others):
    slots += [n] * (1 if n in others else share + (parents.index(n) < extra))
  return slots


def best(rows, num_kept) -> list[bool]:
  """Which rows are kept."""
  order = sorted(range(len(rows)), key=lambda n: (
      rows[n].status == 'truncated', -rows[n].score, n))
  return [n in order[:num_kept] for n in range(len(rows))]


@dataclasses.dataclass
class Search:
  """`rounds`: per round a dict of lists over slots; `rows`: what was there at the stop."""

  rounds: list[dict]
  rows: list[Row]
  stop: str  # which rule stopped it


def beam_search(table, prompt, uniforms, beam_width, limits) -> Search:
  """uniforms [N, steps, positions]; N is its length."""
  num = len(uniforms)
  num_kept = max(1, num // beam_width)
  rows = [Row(list(map(int, prompt)), len(prompt)) for _ in range(num)]
  parent = list(range(num))
  rounds = []
  while True:
    before = [copy.deepcopy(row) for row in rows]
    for slot, row in enumerate(rows):
      if row.status == 'live':
        step(row, table, uniforms[slot], limits)
        row.score = toy.text_value(row.text)
    new = [row.text[len(old.text):] for row, old in zip(rows, before)]
    kept = best(rows, num_kept)
    live = [row.status == 'live' for row in rows]
    rounds.append(dict(
        parent=parent, token=new, length=[len(t) for t in new], live=live, kept=kept,
        score=[row.score for row in rows],
        finished=[row.status == 'finished' for row in rows],
        logprob=[sum(row.logprobs[len(old.own):]) for row, old in zip(rows, before)],
        entered=[sum(row.entered - old.entered for row, old in zip(rows, before)),
                 sum(map(len, new))],
        attended=[sum(row.attended - old.attended for row, old in zip(rows, before)),
                  sum(sum(range(len(old.text) + 1, len(row.text) + 1))
                      for row, old in zip(rows, before))]))
    if not any(live):
      return Search(rounds, rows, 'none live')
    if not any(k and l for k, l in zip(kept, live)):
      return Search(rounds, rows, 'none kept live')
    parent = deal(kept, live)
    rows = [copy.deepcopy(rows[p]) for p in parent]


def tie_at_the_cut(score, status, num_kept) -> bool:
  """Whether the slot decided who was kept."""
  rank = sorted((s == 'truncated', -x) for x, s in zip(score, status))
  return num_kept < len(rank) and rank[num_kept - 1] == rank[num_kept]


def padded(lists, width) -> np.ndarray:
  """Ragged token lists --> int32 [N, width], zeros after."""
  return np.array([t + [0] * (width - len(t)) for t in lists], np.int32)
