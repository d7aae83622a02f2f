"""Trees that are built from a search's rounds, by hand and against rows followed independently."""

import types

import jax
import numpy as np
import pytest

from tests import toy
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.search import search, tree
from tts.types import EOS_ID, NO_PARENT

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, N, P = 24, 6, 5
VALID = np.arange(B) % 5 != 3


@pytest.fixture(scope='module')
def inputs():
  return toy.random_tables(3, B), *toy.prompts(3, B, P)


@pytest.fixture(scope='module')
def history(inputs):
  """Rounds of a search in which problems end in their own time, numpy."""
  table, prefix, prefix_len = inputs

  @jax.jit
  def program(keys):
    models = toy.TableGenerator(table), toy.TableVerifier()
    state = search.init(*models, prefix, prefix_len, keys, VALID, LIMITS)
    return search.run(*models, state, search.BeamConfig(N, 2), SamplingConfig(), LIMITS)[0]

  return jax.device_get(program(toy.slot_keys(B, N)))


@pytest.fixture(scope='module')
def trees(history):
  found = tree.unroll(history)
  assert len(found) == B
  return found


@pytest.fixture
def prompts(inputs):
  _, prefix, prefix_len = inputs
  return [list(p[:n]) for p, n in zip(prefix, prefix_len)]


def own_tokens(found, index):
  return [int(t) for i in found.path(index) for t in found.nodes[i].tokens]


def followed(history, b, last_round, slot):
  """Tokens of the row that stands on a slot, back from `last_round` to its beginning."""
  tokens = []
  for r in range(last_round, -1, -1):
    tokens = history.token[r, b, slot, :history.length[r, b, slot]].tolist() + tokens
    slot = history.parent[r, b, slot]
  return tokens


def test_the_search_shows_every_case(history, trees):
  statuses = [s for found in trees for s in found.statuses()]
  assert {s: statuses.count(s) > 5 for s in set(statuses)} == dict.fromkeys(
      ('kept', 'pruned', 'finished', 'truncated'), True)
  rounds = (history.length > 0).any(axis=2).sum(axis=0)
  assert len(set(rounds[VALID].tolist())) >= 3
  carried = [(found.nodes[last].round + 1 < rounds[b]) and found.nodes[last].slot != slot
             for b, found in enumerate(trees) for slot, last in found.candidates]
  assert any(carried), 'no answer waited for the others in another slot'


def test_every_emitted_token_is_in_one_node(history, trees):
  for b, found in enumerate(trees):
    assert sum(len(node.tokens) for node in found.nodes) == history.length[:, b].sum()
    assert [(n.round, n.slot) for n in found.nodes] == [
        tuple(x) for x in np.argwhere(history.length[:, b] > 0).tolist()]


def test_candidates_are_the_rows_that_ended(history, trees):
  rounds = (history.length > 0).any(axis=2).sum(axis=0)
  for b in np.flatnonzero(VALID):
    found, last = trees[b], rounds[b] - 1
    assert [slot for slot, _ in found.candidates] == np.flatnonzero(
        ~history.live[last, b]).tolist()
    for slot, index in found.candidates:
      text = own_tokens(found, index)
      assert text == followed(history, b, last, slot)
      node = found.nodes[index]
      assert node.finished == (text[-1] == EOS_ID) and not node.live
      assert node.finished == history.finished[last, b, slot]
      assert node.score == history.score[last, b, slot]  # of a row that ended rounds ago, too


def test_every_node_continues_its_path(inputs, trees, prompts):
  """Its score and log-probability are those of the whole text, pruned nodes' as well."""
  for table, prompt, found in zip(inputs[0], prompts, trees):
    for i, node in enumerate(found.nodes):
      text = prompt + own_tokens(found, i)
      begin = len(text) - len(node.tokens)
      assert node.score == toy.text_value(text)
      logits = [toy.next_logits(table, text[:k]) for k in range(begin, len(text))]
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


def test_pad_problems_give_empty_trees(trees):
  for found, valid in zip(trees, VALID):
    assert bool(found.nodes) == bool(found.candidates) == valid
    if not valid:
      assert found.statuses() == [] and not found.entered.any() and not found.attended.any()


def test_nan(history):
  broken = np.array(history.score)
  broken[history.length == 0] = np.nan  # nobody asked the verifier there
  assert len(tree.unroll(history.replace(score=broken))) == B
  broken = np.array(history.score)
  broken[tuple(np.argwhere(history.length > 0)[-1])] = np.nan
  with pytest.raises(FloatingPointError, match='NaN'):
    tree.unroll(history.replace(score=broken))


def test_two_rounds_by_hand():
  """Four slots, two kept: a finished row moves to slot 0, a live one is shared by the others.

  The second problem has stopped after its first round.
  """
  rounds, problems, slots, width = 3, 2, 4, 3  # the last round never happened
  tokens = {
      (0, 0): [[5, 4], [6, 2], [7, 4], [5, 5, 5]], (1, 0): [[], [6, 2], [6, 4], [8, 8, 8]],
      (0, 1): [[2], [8, 2], [8, 8, 8], [5, 4]]}
  shape = rounds, problems, slots
  a = types.SimpleNamespace(
      parent=np.zeros(shape, np.int32), token=np.zeros((*shape, width), np.int32),
      length=np.zeros(shape, np.int32), logprob=np.zeros(shape, np.float32),
      score=np.zeros(shape, np.float32), live=np.zeros(shape, bool),
      finished=np.zeros(shape, bool),
      entered=np.array([[[5, 9], [4, 8]], [[4, 7], [0, 0]], [[0, 0], [0, 0]]]),
      attended=np.array([[[10, 30], [8, 20]], [[20, 40], [0, 0]], [[0, 0], [0, 0]]]),
      simulation=None)
  for (r, b), rows in tokens.items():
    for n, row in enumerate(rows):
      a.token[r, b, n, :len(row)], a.length[r, b, n] = row, len(row)
  a.parent[0] = range(slots)
  a.parent[1, 0] = 1, 2, 2, 2
  a.score[0, 0], a.score[1, 0] = (0.25, 0.75, 0.5, 1.0), (0.75, 0.125, 0.625, 0.875)
  a.logprob[0, 0], a.logprob[1, 0] = (-1, -2, -3, -4), (0, -5, -6, -7)
  a.live[0, 0], a.live[1, 0] = (1, 0, 1, 0), (0, 0, 1, 0)
  a.finished[0, 0], a.finished[1, 0] = (0, 1, 0, 0), (1, 1, 0, 0)
  a.live[0, 1], a.finished[0, 1] = (0, 0, 0, 1), (1, 1, 0, 0)
  first, second = tree.unroll(a)

  facts = [(n.parent, n.round, n.slot, n.tokens.tolist(), n.score, n.logprob, n.live, n.finished)
           for n in first.nodes]
  assert facts == [
      (NO_PARENT, 0, 0, [5, 4], 0.25, -1.0, True, False),
      (NO_PARENT, 0, 1, [6, 2], 0.75, -2.0, False, True),
      (NO_PARENT, 0, 2, [7, 4], 0.5, -3.0, True, False),
      (NO_PARENT, 0, 3, [5, 5, 5], 1.0, -4.0, False, False),
      (2, 1, 1, [6, 2], 0.125, -5.0, False, True),
      (2, 1, 2, [6, 4], 0.625, -6.0, True, False),
      (2, 1, 3, [8, 8, 8], 0.875, -7.0, False, False)]
  assert first.candidates == [(0, 1), (1, 4), (3, 6)]  # slot 2 was live when the search stopped
  assert [first.path(i) for i in range(7)] == [[0], [1], [2], [3], [2, 4], [2, 5], [2, 6]]
  # Node 3 was cut off, but it is nobody's: its row was dropped.
  assert first.statuses() == ['pruned', 'finished', 'kept', 'pruned', 'finished', 'pruned',
                              'truncated']
  assert first.entered.tolist() == [9, 16] and first.attended.tolist() == [30, 70]

  assert [n.tokens.tolist() for n in second.nodes] == tokens[0, 1]
  assert [n.parent for n in second.nodes] == [NO_PARENT] * 4
  assert second.candidates == [(0, 0), (1, 1), (2, 2)]
  assert second.statuses() == ['finished', 'finished', 'truncated', 'pruned']
  assert second.entered.tolist() == [4, 8] and second.attended.tolist() == [8, 20]
