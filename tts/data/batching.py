"""Ragged sequences into fixed shapes: packed for training, blocked for work."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from tts.types import InputError
from tts.types import PAD_ID


@dataclasses.dataclass(frozen=True)
class Packed:
  """Several sequences a row. R rows, W columns, all int32.

  Attributes:
    tokens: [R, W], `PAD_ID` where no sequence is.
    loss_mask: [R, W], 1 where the token is to be predicted; 0 on padding.
    segments: [R, W], 1, 2, ... for the sequences of a row; 0 on padding.
    positions: [R, W], place in the sequence, from 0; 0 on padding.
  """

  tokens: np.ndarray
  loss_mask: np.ndarray
  segments: np.ndarray
  positions: np.ndarray


def pack(
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
    width: int,
    seed: int = 0,
    window: int = 4096,
) -> Packed:
  """Packs (tokens, loss mask) pairs into rows, each pair whole and in one row.

  Sequences are shuffled and cut into windows; in a window the longest comes
  first, into the fullest row that has room; then all rows are shuffled. So any
  run of rows is a fair sample, and padding stays at a few per cent where a
  sequence is short against `width`.

  Args:
    sequences: pairs of equal length; empty ones are left out.
    width: columns of a row.
    seed: of the two shuffles.
    window: sequences packed together; more pads less and shuffles worse.

  Raises:
    InputError: a sequence longer than `width`.
  """
  lengths = np.array([len(tokens) for tokens, _ in sequences], np.int64)
  if any(len(mask) != n for (_, mask), n in zip(sequences, lengths)):
    raise ValueError('a loss mask differs in length from its tokens')
  if lengths.size and lengths.max() > width:
    longest = int(lengths.argmax())
    raise InputError(
        f'sequence {longest} has {lengths[longest]} tokens and a row {width}: '
        'raise the width or shorten the text'
    )
  rng = np.random.default_rng(seed)
  order = rng.permutation(len(lengths))
  order = order[lengths[order] > 0]
  row = np.zeros(len(lengths), np.int64)
  start = np.zeros(len(lengths), np.int64)
  segment = np.zeros(len(lengths), np.int64)
  rows = 0
  for begin in range(0, len(order), window):
    chosen = order[begin : begin + window]
    chosen = chosen[np.argsort(-lengths[chosen], kind='stable')]
    rows = _best_fit(chosen, lengths, width, rows, row, start, segment)
  row = rng.permutation(rows)[row] if rows else row

  packed = Packed(*(np.zeros((rows, width), np.int32) for _ in range(4)))
  packed.tokens.fill(PAD_ID)
  if not rows:
    return packed
  # One flat index per token, in the order in which the sequences were given.
  total = lengths.sum()
  position = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
  place = np.repeat(row * width + start, lengths) + position
  packed.tokens.flat[place] = _concatenate([t for t, _ in sequences])
  packed.loss_mask.flat[place] = _concatenate([m for _, m in sequences])
  packed.segments.flat[place] = np.repeat(segment, lengths)
  packed.positions.flat[place] = position
  return packed


def _best_fit(chosen, lengths, width, rows, row, start, segment) -> int:
  """Places the chosen sequences into new rows from `rows` on; returns their end."""
  by_room = [[] for _ in range(width + 1)]  # rows with exactly that much room
  count = {}
  for i in chosen:
    n = int(lengths[i])
    room = next((room for room in range(n, width + 1) if by_room[room]), None)
    if room is None:
      room, target = width, rows
      rows += 1
    else:
      target = by_room[room].pop()
    row[i] = target
    start[i] = width - room
    segment[i] = count[target] = count.get(target, 0) + 1
    by_room[room - n].append(target)
  return rows


def _concatenate(parts: list[Sequence[int]]) -> np.ndarray:
  return np.concatenate([np.asarray(part, np.int32) for part in parts])


def length_sorted_blocks(
    lengths: Sequence[int], block_size: int
) -> list[np.ndarray]:
  """Cuts items into blocks of similar length, shortest first.

  Args:
    lengths: one per item.
    block_size: items of a block; the last block may have fewer.

  Returns:
    Arrays of indices, int64; together they hold each item once. Equal lengths
    keep their order.
  """
  order = np.argsort(np.asarray(lengths, np.int64), kind='stable')
  return [
      order[begin : begin + block_size]
      for begin in range(0, len(order), block_size)
  ]
