"""A model's pages, and the programs that move texts between them and lanes."""

from __future__ import annotations

import numpy as np

from tts import parallel
from tts.engine import all_programs, nodes, pages as pages_lib
from tts.engine.nodes import Node, Table
from tts.engine.pages import Pages, SIZE
from tts.protocols import Carry, Texts

_FIRST = 64  # pages that a group begins with


def room(pages: int) -> int:
  """How many pages a group has that has needed so many."""
  count = _FIRST
  while count < pages:
    count *= 2
  return count


class Store:
  """The texts of one model that are not in a lane, of every group. All arrays have G in front."""

  def __init__(self, mesh: parallel.Mesh):
    self.mesh = mesh
    self.tables = [Table(_FIRST) for _ in range(parallel.num_groups(mesh))]
    self._count, self._pages = _FIRST, None

  def copies(self, texts: Texts, wanted: list[list[tuple[int, Node | None]]],
             held: list[list[Node | None]]) -> tuple[Pages, np.ndarray, np.ndarray]:
    """What `pages.load` needs, to give lanes other texts.

    Args:
      texts: the lanes'.
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
      mine = []
      for lane, node in of_group:
        rows[g, :, lane] = 1, *((0, -1) if node is None else (node.end, node.last_page))
        base = nodes.common(held[g][lane], node)
        mine += [(lane, page, column) for page, column in nodes.missing(node, base)]
      copies.append(mine)
    return self._pages, _padded(copies), rows

  def save(self, texts: Texts, carry: Carry, wanted: list[list[tuple[int, Node]]]) -> None:
    """Keeps what lanes have, (lane, a node of the table) per group."""
    self._begin(texts)
    copies = [[(lane, page, node.start + SIZE * i) for lane, node in of_group
               for i, page in enumerate(node.pages)] for of_group in wanted]
    self._pages = all_programs.save(self.mesh)((), self._pages, texts, carry, _padded(copies))

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


def _padded(wanted: list[list[tuple[int, int, int]]]) -> np.ndarray:
  """Copies of every group as int32 [G, n, 3]."""
  array = np.full((len(wanted), pages_lib.padded(max(map(len, wanted))), 3), -1, np.int32)
  for g, of_group in enumerate(wanted):
    if of_group:
      array[g, :len(of_group)] = of_group
  return array
