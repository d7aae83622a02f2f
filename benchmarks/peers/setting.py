"""What is measured, the same for every engine. It was fixed before anything was."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
import os
import pathlib
import sys
import time
from typing import Any

MAX_PROMPT_TOKENS = 512
MAX_TOKENS = 256     # of a solution; a step may take them all
MAX_STEPS = 40       # of a solution; each ends with a newline
BEAM_WIDTH = 4       # M: N // M rows are kept
CANDIDATES = (4, 16, 64)  # N
SAMPLES = 16         # of a question, where sampling alone is compared; each engine's best batch
ROWS = 16            # a peer's loop takes as many questions at a time as fill so many rows
HEAD_SEED = 0        # of the PRM's value head, on the weights of the model itself
TEMPERATURE = 1.0

BASE, VERIFIER, OPEN, HEAD = 'base', 'verifier', 'open', 'value.npy'  # what `prepare` makes


@dataclasses.dataclass(frozen=True)
class Setting:
  """Questions and step rules, as ids. An engine's process reads them from a file.

  Attributes:
    model: that was given: a folder or a GGUF file.
    questions: texts.
    prompts: ids of each.
    delimiters: ids that end a step.
    ends: ids that end a solution.
    size: ids are smaller.
    candidates: N of the searches.
    threads: that an engine may use.
  """

  model: str
  questions: list[str]
  prompts: list[list[int]]
  delimiters: list[int]
  ends: list[int]
  size: int
  candidates: list[int]
  threads: int

  def write(self, folder: pathlib.Path) -> None:
    (folder / 'setting.json').write_text(json.dumps(dataclasses.asdict(self)))


def read(folder: pathlib.Path) -> Setting:
  return Setting(**json.loads((folder / 'setting.json').read_text()))


@dataclasses.dataclass
class Row:
  """One measurement.

  Attributes:
    engine: and how it was set.
    task: `sampling`, `scoring` or `search`.
    num: N, samples or candidates of a question.
    questions: how many.
    seconds: of all of them, without loading and compiling.
    cpu_seconds: of all threads, in that time.
    written: tokens that the generator wrote, pruned ones included.
    read: tokens that the verifier was asked about: a solution's own, once each.
    note: what else was measured.
  """

  engine: str
  task: str
  num: int
  questions: int
  seconds: float
  cpu_seconds: float
  written: int = 0
  read: int = 0
  note: str = ''


def timed(function: Callable[[], Any],
          waited: Callable[[], float] = lambda: 0.0) -> tuple[Any, float, float]:
  """(what a function gives, its seconds without those that it `waited`, its CPU-seconds)."""
  begun, cpu, before = time.monotonic(), time.process_time(), waited()
  result = function()
  return result, time.monotonic() - begun - (waited() - before), time.process_time() - cpu


class Results:
  """The rows of one engine's process, in a file that is whole after each of them, and said."""

  def __init__(self, path: pathlib.Path):
    self._path, self._rows = path, []

  def add(self, row: Row) -> None:
    self._rows.append(dataclasses.asdict(row))
    aside = self._path.with_suffix('.new')
    aside.write_text(json.dumps(self._rows))
    os.replace(aside, self._path)
    print(f'{row.engine}, {row.task} of {row.num} a question: {row.written or row.read:,} tokens '
          f'in {row.seconds:.1f} s ({row.cpu_seconds:.1f} CPU-seconds) {row.note}', file=sys.stderr,
          flush=True)


def results(path: pathlib.Path) -> list[Row]:
  return [Row(**fields) for fields in json.loads(path.read_text())] if path.exists() else []


def length(tokens: list[int], ends: list[int]) -> int:
  """Of a solution, its end included, in ids that may go on behind it."""
  return next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
