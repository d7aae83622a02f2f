"""Host side of a search: its rounds as a tree, and the candidates that it ended with. numpy alone.

A node is one step that was emitted, once, however many children went on from it. So the tokens of
all nodes are what the generator was charged: those on a path to a candidate were kept, the others
pruned. What lookahead wrote to judge a node is charged too, and leads nowhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tts.sampling.confidence import Statistics
from tts.types import NO_PARENT


@dataclasses.dataclass(frozen=True)
class Simulation:
  """How a node was judged by lookahead."""

  tokens: np.ndarray  # [length] int32, the likeliest continuation
  score: float        # verifier's value at its end, which the node was selected by
  ended: bool         # it came to an answer or to a limit, so its last token never entered


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
  simulation: Simulation | None = None  # where lookahead went on from it
  logprobs: np.ndarray | None = None    # [length] float32, of each token, where statistics are
  statistics: Statistics | None = None  # [length], asked for, of these tokens too


@dataclasses.dataclass(frozen=True)
class Tree:
  """One problem's search."""

  nodes: list[Node]
  candidates: list[tuple[int, int]]  # (slot, index of its last node), slots ascending; a node that
                                     # several slots have is as many particles of one generation
  # [2] of generator and verifier: own and simulated tokens, and what those attended to; int, or
  # objects where a server does not say, None then.
  entered: np.ndarray
  attended: np.ndarray
  discarded: int = 0  # tokens that a server wrote behind steps' ends

  def path(self, index: int) -> list[int]:
    """Node indices from the first step to `index`."""
    path = []
    while index != NO_PARENT:
      path.append(index)
      index = self.nodes[index].parent
    return path[::-1]

  def tokens(self, index: int) -> np.ndarray:
    """All tokens from the first step to the end of `index`, int32 [n]."""
    return np.concatenate([self.nodes[i].tokens for i in self.path(index)])

  def particles(self) -> dict[int, list[int]]:
    """Last node of each candidate --> its slots, in the order of their lowest."""
    found: dict[int, list[int]] = {}
    for slot, last in self.candidates:
      found.setdefault(last, []).append(slot)
    return found

  def statuses(self) -> list[str]:
    """Per node: `finished` or `truncated` candidates, `kept` on the way to one, or `pruned`."""
    status = ['pruned'] * len(self.nodes)
    for _, last in self.candidates:
      for index in self.path(last)[:-1]:
        status[index] = 'kept'
    for _, last in self.candidates:
      status[last] = 'finished' if self.nodes[last].finished else 'truncated'
    return status
