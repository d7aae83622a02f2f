"""Trees of searches: every node against its whole text, and what became of it, by hand as well."""

import numpy as np
import pytest

from tests import toy
from tts.engine.shape import Shape
from tts.sampling import decode
from tts import methods
from tts.searching.tree import Node, Tree
from tts.types import EOS_ID, NO_PARENT

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, N, P = 24, 6, 5


@pytest.fixture(scope='module')
def table():
  return toy.random_tables(3, B)


@pytest.fixture(scope='module')
def prompts():
  return toy.ragged(*toy.prompts(3, B, P))


@pytest.fixture(scope='module')
def trees(table, prompts):
  """Of a search in which problems end in their own time."""
  shape = Shape(lanes=20, write=3, readers=9, tile=4)
  return toy.search(toy.generator(toy.TableGenerator, table, LIMITS, shape=shape),
                    toy.verifier(toy.TableVerifier, np.zeros(()), shape=shape), prompts,
                    toy.slot_keys(B, N), methods.Beam(2))


def own_tokens(found, index):
  return [int(t) for i in found.path(index) for t in found.nodes[i].tokens]


def rounds(found):
  return max(node.round for node in found.nodes) + 1


def test_the_search_shows_every_case(trees):
  statuses = [s for found in trees for s in found.statuses()]
  assert {s: statuses.count(s) > 5 for s in set(statuses)} == dict.fromkeys(
      ('kept', 'pruned', 'finished', 'truncated'), True)
  assert len({rounds(found) for found in trees}) >= 3
  carried = [(found.nodes[last].round + 1 < rounds(found)) and found.nodes[last].slot != slot
             for found in trees for slot, last in found.candidates]
  assert any(carried), 'no answer waited for the others in another slot'


def test_a_slot_writes_one_node_a_round(trees):
  for found in trees:
    places = [(n.round, n.slot) for n in found.nodes]
    assert places == sorted(set(places)) and all(0 <= slot < N for _, slot in places)
    assert all(len(node.tokens) for node in found.nodes)


def test_candidates_are_rows_that_ended(trees):
  for found in trees:
    slots = [slot for slot, _ in found.candidates]
    assert slots == sorted(set(slots))
    for _, index in found.candidates:
      node, text = found.nodes[index], own_tokens(found, index)
      assert node.finished == (text[-1] == EOS_ID) and not node.live
    # Who lives after the last round is no candidate, and all that ended in it are.
    last = [(i, n) for i, n in enumerate(found.nodes) if n.round == rounds(found) - 1]
    assert {(n.slot, i) for i, n in last if not n.live} <= set(found.candidates)
    assert not {n.slot for _, n in last if n.live} & set(slots)


def test_every_node_continues_its_path(table, trees, prompts):
  """Its score and log-probability are those of the whole text, pruned nodes' as well."""
  for of_problem, prompt, found in zip(table, prompts, trees):
    for i, node in enumerate(found.nodes):
      text = prompt + own_tokens(found, i)
      begin = len(text) - len(node.tokens)
      assert node.score == toy.text_value(text)
      logits = [toy.next_logits(of_problem, text[:k]) for k in range(begin, len(text))]
      want = sum(x[t] - np.logaddexp.reduce(x) for x, t in zip(logits, text[begin:]))
      assert node.logprob == pytest.approx(want, abs=1e-4)
      if node.parent != NO_PARENT:
        above = found.nodes[node.parent]
        assert above.live and above.round == node.round - 1
      else:
        assert node.round == 0


def test_statuses(trees):
  for found in trees:
    lasts = {last for _, last in found.candidates}
    children = {i: [j for j, n in enumerate(found.nodes) if n.parent == i]
                for i in range(len(found.nodes))}

    def survives(i, lasts=lasts, children=children):
      return i in lasts or any(survives(j) for j in children[i])

    want = [('finished' if node.finished else 'truncated') if i in lasts
            else 'kept' if survives(i) else 'pruned' for i, node in enumerate(found.nodes)]
    assert found.statuses() == want


def test_counts(trees, prompts):
  """All tokens enter the verifier; the generator never reads the last one of a row that ended."""
  for found, prompt in zip(trees, prompts):
    entered, attended = [0, 0], [0, 0]
    for i, node in enumerate(found.nodes):
      end = len(prompt) + len(own_tokens(found, i))
      columns = range(end - len(node.tokens) + 1, end + 1)
      for which, seen in enumerate((columns if node.live else columns[:-1], columns)):
        entered[which] += len(seen)
        attended[which] += sum(seen)
    tokens, ended = sum(len(n.tokens) for n in found.nodes), sum(not n.live for n in found.nodes)
    assert found.entered.tolist() == entered == [tokens - ended, tokens]
    assert found.attended.tolist() == attended


def test_two_rounds_by_hand():
  """Four slots, two kept: a finished row moves to slot 0, a live one is shared by the others."""
  node = lambda parent, round_, slot, tokens, live, finished: Node(
      parent, round_, slot, np.array(tokens, np.int32), 0.5, -1.0, live, finished)
  found = Tree(
      nodes=[node(NO_PARENT, 0, 0, [5, 4], True, False), node(NO_PARENT, 0, 1, [6, 2], False, True),
             node(NO_PARENT, 0, 2, [7, 4], True, False),
             node(NO_PARENT, 0, 3, [5, 5, 5], False, False),
             node(2, 1, 1, [6, 2], False, True), node(2, 1, 2, [6, 4], True, False),
             node(2, 1, 3, [8, 8, 8], False, False)],
      candidates=[(0, 1), (1, 4), (3, 6)],  # slot 2 was live when the search stopped
      entered=np.array([9, 16]), attended=np.array([30, 70]))
  assert [found.path(i) for i in range(7)] == [[0], [1], [2], [3], [2, 4], [2, 5], [2, 6]]
  # Node 3 was cut off, but it is nobody's: its row was dropped.
  assert found.statuses() == ['pruned', 'finished', 'kept', 'pruned', 'finished', 'pruned',
                              'truncated']
  assert Tree([], [], np.zeros(2), np.zeros(2)).statuses() == []
