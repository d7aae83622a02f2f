"""The measurements as tables, with ratios to our own."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.setting import SAMPLES, Row

OURS = 'ours'


def tables(rows: Sequence[Row]) -> str:
  """Sampling, searches, and seconds a problem; of those that there are."""
  return '\n\n'.join(filter(None, (sampling(rows), searches(rows), problems(rows))))


def sampling(rows: Sequence[Row]) -> str:
  """Tokens a second of plain sampling, and how many times as many ours are."""
  found = [row for row in rows if row.task == 'sampling']
  own = next((_rate(row) for row in found if (row.engine, row.num) == (OURS, SAMPLES)), None)
  lines = []
  for row in found:
    ratio = '-' if own is None or row.num != SAMPLES else f'{own / _rate(row):.2f}'
    lines.append((row.engine, row.num, row.questions, row.written, f'{row.seconds:.1f}',
                  f'{row.cpu_seconds:.1f}', f'{_rate(row):.0f}', ratio, row.note))
  return _table(('sampling', 'samples', 'questions', 'tokens', 'seconds', 'CPU-seconds',
                 'tokens/s', 'ours is times as fast', 'note'), lines)


def searches(rows: Sequence[Row]) -> str:
  """PRM beam searches. Other engines write other tokens, so they are compared by the token too.

  The floor is the time that the search's tokens take at our own rates of sampling and scoring.
  """
  lines = []
  for row in rows:
    if row.task != 'search':
      continue
    own = _of(rows, OURS, 'search', row.num)
    floor = floor_of(rows, row) if row.engine == OURS else None
    a_token = row.seconds / row.written
    lines.append((
        row.engine, row.num, row.questions, row.written, row.read, f'{row.seconds:.1f}',
        f'{row.cpu_seconds:.1f}', f'{row.seconds / row.questions:.2f}', f'{1 / a_token:.0f}',
        '-' if floor is None else f'{floor:.1f}',
        '-' if floor is None else f'{row.seconds / floor:.2f}',
        *(('-', '-') if own is None else (
            f'{row.seconds / row.questions / (own.seconds / own.questions):.2f}',
            f'{a_token / (own.seconds / own.written):.2f}')), row.note))
  return _table(('PRM beam search', 'N', 'questions', 'written', 'read', 'seconds', 'CPU-seconds',
                 'seconds a question', 'tokens/s', 'floor, seconds', 'seconds / floor',
                 'ours is times as fast, by the question', 'by the token', 'note'), lines)


def problems(rows: Sequence[Row]) -> str:
  """Seconds a problem of our own search and each loop."""
  found = [row for row in rows if row.task == 'search']
  nums = sorted({row.num for row in found})
  lines = []
  for engine in dict.fromkeys(row.engine for row in found):
    each = [_of(rows, engine, 'search', num) for num in nums]
    lines.append((engine, *('-' if row is None else f'{row.seconds / row.questions:.2f}'
                            for row in each)))
  return _table(('seconds a problem', *(f'N = {num}' for num in nums)), lines)


def floor_of(rows: Sequence[Row], row: Row) -> float | None:
  """Seconds that a search's tokens take at our rates of sampling and scoring."""
  sample, score = (_of(rows, OURS, task, row.num) for task in ('sampling', 'scoring'))
  if sample is None or score is None:
    return None
  return row.written * sample.seconds / sample.written + row.read * score.seconds / score.read


def _of(rows: Sequence[Row], engine: str, task: str, num: int) -> Row | None:
  return next((r for r in rows if (r.engine, r.task, r.num) == (engine, task, num)), None)


def _rate(row: Row) -> float:
  return row.written / row.seconds


def _table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
  """Markdown; nothing where there are no lines."""
  if not lines:
    return ''
  return '\n'.join(f'| {" | ".join(map(str, line))} |'
                   for line in (head, ('---',) * len(head), *lines))
