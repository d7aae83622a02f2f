"""Which answers of a question are the same by the grader, though their normal forms differ.

A table lies beside each block of records, under `W/verdicts`. It is made with the records
(`tts.eval.storage.find_equal_answers`), and every vote of the report reads it: nothing is compared
there. Where there is none, answers are the same where their normal forms are.

A vote goes through its candidates in the order of their slots, and each one joins the first group
whose first member it is the same as, or begins a group. A verdict is about two answers: of three,
the first and the last may be the same as the second and not as each other. So groups are those of
one try of a vote, and never carried over to another.
"""

from __future__ import annotations

from collections.abc import Collection
import os
import pathlib
from typing import Any

import msgspec
import numpy as np

from tts.eval.storage import columns, records
from tts.types import InputError

# Two normal forms; a pair stands for both orders.
Pairs = Collection[tuple[str, str]]


class Verdicts(msgspec.Struct, frozen=True):
  """What a grader says of the answers of each of some questions to one another.

  Attributes:
    grader: its name.
    compared: pairs of different normal forms, over all questions.
    exceeded: how many of them exceeded a limit of work; they are different.
    equal: problem id -> pairs of answers, as written, that are the same. All others are different.
  """

  grader: str
  compared: int = 0
  exceeded: int = 0
  equal: dict[str, list[tuple[str, str]]] = {}

  def of(self, question: str) -> Pairs:
    """The normal forms of a question's answers that are the same."""
    return [(columns.form(a), columns.form(b)) for a, b in self.equal.get(question, ())]


_DECODER = msgspec.json.Decoder(Verdicts)


def path(workdir: str | os.PathLike[str], block: pathlib.Path) -> pathlib.Path:
  """Where the table of a record file is."""
  root = pathlib.Path(workdir)
  place = block.relative_to(root / 'records')
  return root / 'verdicts' / place.parent / (block.name.split('.jsonl')[0] + '.json')


def write(workdir: str | os.PathLike[str], block: pathlib.Path, found: Verdicts) -> None:
  """Writes a block's table, before the block itself. The exact grader has none.

  Args:
    workdir: the run's folder.
    block: the record file.
    found: of its rows.
  """
  place = path(workdir, block)
  if found.grader == 'exact':
    place.unlink(missing_ok=True)  # that of another grader's records
  else:
    records.write_json(place, msgspec.to_builtins(found))


def read(workdir: str | os.PathLike[str], block: pathlib.Path) -> Verdicts | None:
  """A block's table, or None where there is none; InputError where it is damaged."""
  place = path(workdir, block)
  try:
    data = place.read_bytes()
  except FileNotFoundError:
    return None
  try:
    return _DECODER.decode(data)
  except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
    raise InputError(f'{place}: no table of verdicts ({error}); delete it and {block} and run '
                     'again, which makes both anew') from error


def total(workdir: str | os.PathLike[str], stages: Collection[str]) -> dict[str, Any] | None:
  """What all tables of some stages' records come to, for the results; None without any.

  `questions` are those that have answers which are the same, each once in every setting.
  """
  blocks = [block for stage in stages for block in records.blocks(workdir, stage)]
  found = [table for table in (read(workdir, block) for block in blocks) if table is not None]
  if not found:
    return None
  return {'grader': found[0].grader, 'compared': sum(t.compared for t in found),
          'equal': sum(len(pairs) for t in found for pairs in t.equal.values()),
          'questions': sum(len(t.equal) for t in found),
          'exceeded': sum(t.exceeded for t in found)}


def grouped(answer: np.ndarray, pairs: Collection[tuple[int, int]]) -> np.ndarray:
  """Tries of one question, each answer numbered as the first member of its group.

  Args:
    answer: int64 [R, N], equal where the normal forms are, candidates in the order of their slots.
    pairs: two such numbers that are the same answer; each stands for both orders.

  Returns:
    int64 [R, N].
  """
  linked = np.unique(np.array(list(pairs), np.int64))  # [L], the others are alone
  same = np.zeros((len(linked),) * 2, bool)
  a, b = np.searchsorted(linked, np.array(list(pairs), np.int64).T)
  same[a, b] = same[b, a] = True
  here = answer[:, None, :] == linked[:, None]  # [R, L, N]
  leads = here.any(axis=2)
  size = answer.shape[1]
  first = np.where(leads, here.argmax(axis=2), size)  # [R, L]
  order = first.argsort(axis=1)
  leader = np.broadcast_to(np.arange(len(linked)), first.shape).copy()
  rows = np.arange(len(answer))
  for form in order.T[1:]:
    groups = leads & same[form] & (first < first[rows, form][:, None])
    joins = groups.any(axis=1)
    leader[rows[joins], form[joins]] = np.where(groups, first, size).argmin(axis=1)[joins]
    leads[rows[joins], form[joins]] = False
  which = np.take_along_axis(leader, here.argmax(axis=1), axis=1)  # [R, N]
  return np.where(here.any(axis=1), linked[which], answer)
