"""Host side of a search: its rounds as a tree, and the candidates that it ended with. numpy alone.

A node is one step that was emitted, once, however many children went on from it. So the tokens of
all nodes are what the generator was charged: those on a path to a candidate were kept, the others
pruned.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.types import NO_PARENT


@dataclasses.dataclass(frozen=True)
class Node:
  """One step. `parent` is a node's index, or NO_PARENT for a first step."""

  parent: int
  round: int
  slot: int
  tokens: np.ndarray  # [length] int32
  score: float        # verifier's value at the step's end
  logprob: float      # summed, natural log at temperature 1
  live: bool          # the row could go on after it
  finished: bool      # the row ended by itself here


@dataclasses.dataclass(frozen=True)
class Tree:
  """One problem's search."""

  nodes: list[Node]
  candidates: list[tuple[int, int]]  # (slot, index of its last node), slots ascending
  entered: np.ndarray                # [2] int, own tokens that entered generator, verifier
  attended: np.ndarray               # [2] int, and what those attended to

  def path(self, index: int) -> list[int]:
    """Node indices from the first step to `index`."""
    path = []
    while index != NO_PARENT:
      path.append(index)
      index = self.nodes[index].parent
    return path[::-1]

  def statuses(self) -> list[str]:
    """Per node: `finished` or `truncated` candidates, `kept` on the way to one, or `pruned`."""
    status = ['pruned'] * len(self.nodes)
    for _, last in self.candidates:
      for index in self.path(last)[:-1]:
        status[index] = 'kept'
    for _, last in self.candidates:
      status[last] = 'finished' if self.nodes[last].finished else 'truncated'
    return status


def unroll(history) -> list[Tree]:
  """The trees of a block. `history` has the fields of `tts.search.search.Round`, [S, B, ...].

  Raises:
    FloatingPointError: a verifier value is not a number.
  """
  arrays = {f: np.asarray(getattr(history, f)) for f in (
      'parent', 'token', 'length', 'logprob', 'score', 'live', 'finished', 'entered', 'attended')}
  emitted = arrays['length'] > 0
  if np.isnan(arrays['score'][emitted]).any():
    raise FloatingPointError('the verifier gave NaN: its weights are broken')
  return [_one_tree({f: a[:, b] for f, a in arrays.items()}) for b in range(emitted.shape[1])]


def _one_tree(a: dict[str, np.ndarray]) -> Tree:
  """Tree of one problem's arrays, [S, ...] each."""
  num_rounds = int(np.count_nonzero(a['length'].any(axis=1)))
  num_slots = a['length'].shape[1]
  nodes: list[Node] = []
  newest = np.full(num_slots, NO_PARENT)  # node that each slot stands on
  for r in range(num_rounds):
    newest = newest[a['parent'][r]]
    for slot in np.flatnonzero(a['length'][r]):
      length = a['length'][r, slot]
      nodes.append(Node(
          parent=int(newest[slot]), round=r, slot=int(slot), tokens=a['token'][r, slot, :length],
          score=float(a['score'][r, slot]), logprob=float(a['logprob'][r, slot]),
          live=bool(a['live'][r, slot]), finished=bool(a['finished'][r, slot])))
      newest[slot] = len(nodes) - 1
  candidates = [(slot, int(newest[slot])) for slot in range(num_slots)
                if num_rounds and not a['live'][num_rounds - 1, slot]]
  return Tree(nodes=nodes, candidates=candidates, entered=a['entered'].sum(axis=0),
              attended=a['attended'].sum(axis=0))
