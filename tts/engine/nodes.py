"""Which pages hold which text: a tree of nodes, host side.

A node is what was added to its parent's text at one time: a question, a step. Its pages are given
back once nobody uses it and nothing continues it.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from tts.engine.pages import SIZE

_LOOKED = 8  # lanes: to look for the best of more would take longer than copying


@dataclasses.dataclass(eq=False)
class Node:
  """A text: its parent's, and `end - parent.end` tokens more.

  Attributes:
    parent: None for one that begins.
    end: tokens of the whole text.
    pages: of the tokens beyond its parent's, in order.
    first: one object for all texts that begin with the same node.
    uses: holders and children.
  """

  parent: Node | None
  end: int
  pages: list[int]
  first: object
  uses: int = 1

  @property
  def start(self) -> int:
    return 0 if self.parent is None else self.parent.end

  @property
  def last_page(self) -> int:
    """The page of its last token; a node may have none of its own."""
    if self.pages:
      return self.pages[-1]
    assert self.parent is not None  # a text has a token
    return self.parent.last_page


def common(one: Node | None, other: Node | None) -> Node | None:
  """The longest text that both begin with."""
  if one is None or other is None or one.first is not other.first:
    return None
  while one is not other:
    if one is None or other is None:  # one was past a node without tokens
      return None
    if one.end >= other.end:
      one = one.parent
    else:
      other = other.parent
  return one


def missing(node: Node | None, base: Node | None) -> list[tuple[int, int]]:
  """(page, column) of all that a text has beyond `base`, which it begins with, in order."""
  found: list[tuple[int, int]] = []
  while node is not base:
    assert node is not None  # before it comes to `base`
    start = node.start
    for i in range(len(node.pages) - 1, -1, -1):
      found.append((node.pages[i], start + SIZE * i))
    node = node.parent
  return found[::-1]


def nearest(node: Node | None, held: Sequence[Node | None], free: Sequence[int]) -> int:
  """Of the last few free lanes the one that has most of a text already, by what each holds."""
  best, most = free[-1], 0
  for lane in free[-_LOOKED:]:
    shared = common(held[lane], node)
    if shared is not None and shared.end > most:
      best, most = lane, shared.end
  return best


class Table:
  """The pages of one device group that are free, and those of its nodes."""

  def __init__(self, count: int):
    self._free = list(range(count))[::-1]
    self._count = count

  @property
  def free(self) -> int:
    return len(self._free)

  def grow(self, count: int) -> None:
    """To `count` pages."""
    self._free = list(range(self._count, count))[::-1] + self._free
    self._count = count

  def add(self, parent: Node | None, tokens: int) -> Node:
    """A node of its own for `tokens` more than the parent's; the caller holds it.

    There must be `pages_for(tokens)` free ones.
    """
    if parent is not None:
      parent.uses += 1
    start, first = (0, object()) if parent is None else (parent.end, parent.first)
    return Node(parent, start + tokens, [self._free.pop() for _ in range(pages_for(tokens))], first)

  def release(self, node: Node | None) -> None:
    """The caller holds it no longer."""
    while node is not None:
      node.uses -= 1
      if node.uses:
        return
      self._free.extend(reversed(node.pages))
      node = node.parent


def pages_for(tokens: int) -> int:
  return -(-tokens // SIZE)
