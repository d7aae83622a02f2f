"""Texts as paths of nodes: what several share is there once, and freed when unused."""

import itertools

import numpy as np

from tts.engine import nodes
from tts.engine.nodes import Table
from tts.engine.pages import SIZE


def path(node):
  """A text's ancestors and itself, from the first."""
  return [*path(node.parent), node] if node else []


def test_pages_are_given_back_when_nobody_uses_them():
  table = Table(10)
  question = table.add(None, SIZE + 1)
  step, other = table.add(question, 1), table.add(question, 3 * SIZE)
  assert [len(n.pages) for n in (question, step, other)] == [2, 1, 3] and table.free == 4
  assert (question.start, question.end, step.start, step.end) == (0, SIZE + 1, SIZE + 1, SIZE + 2)
  table.release(question)  # two texts go on from it
  assert table.free == 4
  table.release(other)
  assert table.free == 7
  step.uses += 1  # one more holds it
  table.release(step)
  assert table.free == 7
  table.release(step)
  assert table.free == 10
  table.release(None)


def test_a_node_without_a_token_has_its_parents_last_page():
  table = Table(4)
  question = table.add(None, 2)
  same = table.add(question, 0)
  assert not same.pages and same.last_page == question.pages[-1] and table.free == 3


def test_a_table_grows():
  table = Table(2)
  used = table.add(None, 2 * SIZE)
  table.grow(5)
  assert table.free == 3
  new = table.add(used, 3 * SIZE)
  assert sorted(used.pages + new.pages) == list(range(5)) and table.free == 0


def test_random_trees_never_share_a_page():
  """What is used and what is free is all there is, whatever is added and released."""
  gen, table, held, size = np.random.default_rng(0), Table(8), [], 8
  for _ in range(600):
    if held and gen.random() < 0.5:
      table.release(held.pop(gen.integers(len(held))))
    else:
      parent = held[gen.integers(len(held))] if held and gen.random() < 0.8 else None
      tokens = int(gen.integers(0 if parent else 1, 3 * SIZE))
      if table.free < nodes.pages_for(tokens):
        size *= 2
        table.grow(size)
      held.append(table.add(parent, tokens))
    alive = {id(n): n for text in held for n in path(text)}
    pages = [page for n in alive.values() for page in n.pages]
    assert len(set(pages)) == len(pages) == size - table.free
  assert size > 8
  for text in held:
    table.release(text)
  assert table.free == size


def test_common_and_missing():
  table = Table(80)
  root = table.add(None, 20)
  texts = [root]
  gen = np.random.default_rng(1)
  for _ in range(14):
    texts.append(table.add(texts[gen.integers(len(texts))], int(gen.integers(1, 20))))
  texts.append(table.add(None, 5))  # of another question
  for one, other in itertools.product(texts, texts):
    shared = [a for a, b in zip(path(one), path(other)) if a is b]
    want = shared[-1] if shared else None
    assert nodes.common(one, other) is want
    columns = [(page, n.start + SIZE * i) for n in path(one) if n not in shared
               for i, page in enumerate(n.pages)]
    assert nodes.missing(one, want) == columns
  assert nodes.common(root, None) is None is nodes.common(None, None)
  # Where a node has no token of its own less may be found, never more than there is.
  empty = table.add(texts[-2], 0)
  assert nodes.common(empty, texts[-2]) in [None, *path(texts[-2])]
  assert nodes.missing(root, None) == [(root.pages[0], 0), (root.pages[1], SIZE)]


def test_nearest_is_the_lane_that_has_most():
  table = Table(40)
  question, other = table.add(None, 5), table.add(None, 50)
  step = table.add(question, 5)
  after, beside = table.add(step, 5), table.add(step, 5)
  held = [None, question, other, beside, step]
  assert nodes.nearest(after, held, [0, 1, 2]) == 1
  assert nodes.nearest(after, held, [0, 1, 2, 3]) == 3
  assert nodes.nearest(after, held, [2, 4]) == 4
  assert nodes.nearest(after, held, [0, 2]) in (0, 2)
  assert nodes.nearest(after, [None] * 50, list(range(50))) in range(50)
