"""A model's pages, and the programs that move texts between them and lanes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tts import parallel
from tts.engine import all_programs, nodes, pages as pages_lib
from tts.engine.nodes import Node, Table
from tts.engine.pages import Pages, SIZE
from tts.protocols import Carry, Texts


def room(pages: int, first: int) -> int:
  """How many pages a group has that began with `first` and has needed so many."""
  while first < pages:
    first *= 2
  return first


class Store:
  """The texts of one model that are not in a lane, of every group. All arrays have G in front."""

  def __init__(self, mesh: parallel.Mesh, first: int):
    """first: pages that a group begins with."""
    self.mesh = mesh
    self.tables = [Table(first) for _ in range(parallel.num_groups(mesh))]
    self._count = first
    self._pages: Any = None  # `Pages`, once there are texts

  def copies(self, texts: Texts, width: int, wanted: list[list[tuple[int, Node | None]]],
             held: list[list[Node | None]]) -> tuple[Pages, np.ndarray, np.ndarray]:
    """What `pages.load` needs, to give lanes other texts.

    Args:
      texts: the lanes'.
      width: their room.
      wanted: per group (lane, text) for each lane that has another now; None is an empty text.
      held: per group and lane the text whose columns it has still.

    Returns:
      (the pages, copies int32 [G, n, 3], each lane's `fresh`, `length` and `last` int32 [G, 3, L]).
    """
    self._begin(texts)
    rows = np.zeros((len(wanted), 3, len(held[0])), np.int32)
    rows[:, 2] = -1
    copies: list[list[tuple[int, int, int]]] = []
    for g, of_group in enumerate(wanted):
      copies.append([
          (lane, page, column) for lane, node in of_group
          for page, column in nodes.missing(node, nodes.common(held[g][lane], node))])
      if of_group:
        rows[g][:, [lane for lane, _ in of_group]] = np.array([
            (1, 0, -1) if node is None else (1, node.end, node.last_page)
            for _, node in of_group]).T
    return self._pages, _padded(copies, len(held[0]), width), rows

  def save(self, texts: Texts, width: int, carry: Carry,
           wanted: list[list[tuple[int, Node]]]) -> None:
    """Keeps what lanes of that room have, (lane, a node of the table) per group."""
    self._begin(texts)
    copies = [[(lane, page, node.start + SIZE * i) for lane, node in of_group
               for i, page in enumerate(node.pages)] for of_group in wanted]
    self._pages = all_programs.save(self.mesh)(
        (), self._pages, texts, carry, _padded(copies, texts.length.shape[1], width))

  def reserve(self, texts: Texts, needed: list[int]) -> None:
    """Makes room for so many pages more in each group."""
    while any(table.free < more for table, more in zip(self.tables, needed)):
      self._begin(texts)
      self._count *= 2
      for table in self.tables:
        table.grow(self._count)
      self._pages = all_programs.more(self.mesh, self._count)((), self._pages)

  def _begin(self, texts: Texts) -> None:
    if self._pages is None:
      self._pages = all_programs.empty_pages(self.mesh, self._count)((), texts)


def _padded(wanted: list[list[tuple[int, int, int]]], rows: int, width: int) -> np.ndarray:
  """Copies of every group as int32 [G, n, 3].

  As many as lanes full of long texts need, so that few programs are compiled; texts of short steps
  may need more.
  """
  num = pages_lib.padded(max(rows * nodes.pages_for(width), *map(len, wanted)))
  array = np.full((len(wanted), num, 3), -1, np.int32)
  for g, of_group in enumerate(wanted):
    if of_group:
      array[g, :len(of_group)] = of_group
  return array
