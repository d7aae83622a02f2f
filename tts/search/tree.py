"""Host side of a search: its rounds as a tree, and the candidates that it ended with. numpy alone.

A node is one step that was emitted, once, however many children went on from it. So the tokens of
all nodes are what the generator was charged: those on a path to a candidate were kept, the others
pruned. What lookahead wrote to judge a node is charged too, and leads nowhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np

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


@dataclasses.dataclass(frozen=True)
class Tree:
  """One problem's search."""

  nodes: list[Node]
  candidates: list[tuple[int, int]]  # (slot, index of its last node), slots ascending
  entered: np.ndarray                # [2] int, own and simulated tokens: generator, verifier
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
  arrays = _arrays(history, ('parent', 'token', 'length', 'logprob', 'score', 'live', 'finished',
                             'entered', 'attended'))
  scores = [arrays['score']]
  if history.simulation is not None:
    ahead = _arrays(history.simulation, ('token', 'length', 'score', 'ended'))
    scores.append(ahead['score'])
    arrays |= {f'ahead_{f}': a for f, a in ahead.items()}
    for f in ('entered', 'attended'):
      arrays[f] = arrays[f] + np.asarray(getattr(history.simulation, f))
  emitted = arrays['length'] > 0
  if any(np.isnan(score[emitted]).any() for score in scores):
    raise FloatingPointError('the verifier gave NaN: its weights are broken')
  return [_one_tree({f: a[:, b] for f, a in arrays.items()}) for b in range(emitted.shape[1])]


def _arrays(value, fields: tuple[str, ...]) -> dict[str, np.ndarray]:
  return {f: np.asarray(getattr(value, f)) for f in fields}


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
          live=bool(a['live'][r, slot]), finished=bool(a['finished'][r, slot]),
          simulation=_simulation(a, (r, slot))))
      newest[slot] = len(nodes) - 1
  candidates = [(slot, int(newest[slot])) for slot in range(num_slots)
                if num_rounds and not a['live'][num_rounds - 1, slot]]
  return Tree(nodes=nodes, candidates=candidates, entered=a['entered'].sum(axis=0),
              attended=a['attended'].sum(axis=0))


def _simulation(a: dict[str, np.ndarray], at: tuple[int, int]) -> Simulation | None:
  """What was simulated from the row of a (round, slot)."""
  if 'ahead_length' not in a or not a['live'][at]:
    return None
  steps = [step[:length] for step, length in zip(a['ahead_token'][at], a['ahead_length'][at])]
  return Simulation(tokens=np.concatenate(steps), score=float(a['ahead_score'][at]),
                    ended=bool(a['ahead_ended'][at]))
