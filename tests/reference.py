"""Plain python sampling and searches over the table models, written from the rules, not the code.

The rules of a beam round: step every live row; score; stop if none is live or the rounds are used
up. Keep K = max(1, N // M) rows by (score descending, slot ascending), truncated ones last. If none
of them is live, stop. Otherwise survivors in slot order, each with its children side by side, fill
the slots: a kept row that is not live gets one, live ones an equal share of the rest, the first
ones one more. The voters are the rows finished at the stop, before pruning.

Lookahead: a live row is selected not by its own score but by that of a copy of it that has gone on
for up to k more steps, always with the likeliest token. Everything else stays as it is.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from tests import toy


@dataclasses.dataclass
class Row:
  """A candidate. `text` has the prompt in front."""

  text: list[int]
  num_prompt: int
  status: str = 'live'  # live, finished, truncated
  score: float = 0.0
  logprobs: list[float] = dataclasses.field(default_factory=list)
  rule: str = ''  # which limit cut it off
  ends: list[int] = dataclasses.field(default_factory=list)  # of steps, by a delimiter
  entered: int = 0   # over its life, generator
  attended: int = 0

  @property
  def own(self) -> list[int]:
    return self.text[self.num_prompt:]


def step(row: Row, table, uniform, limits) -> None:
  """Emits up to a delimiter, the end, or a limit.

  uniform [steps, positions] of the row's slot, or None for the likeliest tokens.
  """
  begin, num_steps, roles = len(row.own), len(row.ends), limits.roles
  while True:
    token, logprob = toy.draw(toy.next_logits(table, row.text), None if uniform is None else
                              uniform[num_steps, len(row.own)])
    row.text.append(token)
    row.logprobs.append(logprob)
    begins = len(row.own) - begin == 1
    delimiter = token in roles.delimiters or (
        not begins and row.text[-2] in roles.first_halves and token in roles.second_halves)
    if delimiter:
      row.ends.append(len(row.own))
    if token in roles.ends or (begins and token in roles.blank_ends):
      row.status = 'finished'
    elif len(row.own) == limits.max_tokens:
      row.status, row.rule = 'truncated', 'tokens'
    elif delimiter and num_steps + 1 == limits.max_steps:
      row.status, row.rule = 'truncated', 'steps'
    elif not delimiter and len(row.own) - begin == limits.max_step_tokens:
      row.status, row.rule = 'truncated', 'step_tokens'
    if row.status == 'live':  # the token goes through the generator
      row.entered += 1
      row.attended += len(row.text)
    if delimiter or row.status != 'live':
      return


def sample(table, prompt, uniform, limits) -> Row:
  """One full sample."""
  row = Row(list(map(int, prompt)), len(prompt))
  while row.status == 'live':
    step(row, table, uniform, limits)
  return row


def deal(kept, live) -> list[int]:
  """Parents of the slots."""
  num_slots = len(kept)
  parents = [n for n in range(num_slots) if kept[n] and live[n]]
  others = [n for n in range(num_slots) if kept[n] and not live[n]]
  room = num_slots - len(others)
  share, extra = divmod(room, len(parents))
  slots = []
  for n in sorted(parents + others):
    slots += [n] * (1 if n in others else share + (parents.index(n) < extra))
  return slots


def best(rows, judged, num_kept) -> list[bool]:
  """Which rows are kept. judged: what each is selected by."""
  order = sorted(range(len(rows)), key=lambda n: (
      rows[n].status == 'truncated', -judged[n], n))
  return [n in order[:num_kept] for n in range(len(rows))]


@dataclasses.dataclass
class Search:
  """`rounds`: per round a dict of lists over slots; `rows`: what was there at the stop."""

  rounds: list[dict]
  rows: list[Row]
  stop: str  # which rule stopped it
  last: list[int] | None = None  # the row that each of `rows` was; None for itself


def simulate(row: Row, table, num_steps: int, limits) -> tuple[list[list[int]], Row]:
  """What a live row's copy writes, step by step; and the copy at the end of it."""
  ahead, written = copy.deepcopy(row), []
  while ahead.status == 'live' and len(written) < num_steps:
    begin = len(ahead.text)
    step(ahead, table, None, limits)
    written.append(ahead.text[begin:])
  ahead.score = toy.text_value(ahead.text)
  return written, ahead


def beam_search(table, prompt, uniforms, beam_width, limits, lookahead=0) -> Search:
  """uniforms [N, steps, positions]; N is its length."""
  num = len(uniforms)
  num_kept = max(1, num // beam_width)
  rows = [Row(list(map(int, prompt)), len(prompt)) for _ in range(num)]
  parent = list(range(num))
  rounds = []
  while True:
    before = [copy.deepcopy(row) for row in rows]
    for slot, row in enumerate(rows):
      if row.status == 'live':
        step(row, table, uniforms[slot], limits)
        row.score = toy.text_value(row.text)
    new = [row.text[len(old.text):] for row, old in zip(rows, before)]
    live = [row.status == 'live' for row in rows]
    simulated = [simulate(row, table, lookahead, limits) if row.status == 'live' else ([], row)
                 for row in rows]
    judged = [ahead.score for _, ahead in simulated]
    kept = best(rows, judged, num_kept)
    rounds.append(dict(
        parent=parent, token=new, length=[len(t) for t in new], live=live, kept=kept,
        score=[row.score for row in rows],
        finished=[row.status == 'finished' for row in rows],
        logprob=[sum(row.logprobs[len(old.own):]) for row, old in zip(rows, before)],
        entered=[sum(row.entered - old.entered for row, old in zip(rows, before)),
                 sum(map(len, new))],
        attended=[sum(row.attended - old.attended for row, old in zip(rows, before)),
                  sum(sum(range(len(old.text) + 1, len(row.text) + 1))
                      for row, old in zip(rows, before))],
        judged=judged, simulated=[written for written, _ in simulated],
        stopped_by=[ahead.rule or ahead.status if row.status == 'live' else ''
                    for row, (_, ahead) in zip(rows, simulated)],
        sim_entered=[sum(ahead.entered - row.entered for row, (_, ahead) in zip(rows, simulated)),
                     sum(len(step) for written, _ in simulated for step in written)],
        sim_attended=[sum(ahead.attended - row.attended
                          for row, (_, ahead) in zip(rows, simulated)),
                      sum(sum(range(len(row.text) + 1, len(ahead.text) + 1))
                          for row, (_, ahead) in zip(rows, simulated))]))
    if not any(live):
      return Search(rounds, rows, 'none live')
    if not any(k and x for k, x in zip(kept, live)):
      return Search(rounds, rows, 'none kept live')
    parent = deal(kept, live)
    rows = [copy.deepcopy(rows[p]) for p in parent]


def method_search(table, prompt, uniforms, allocate, limits) -> Search:
  """A search by another rule, without lookahead.

  allocate: (round, scores, statuses: live, finished, truncated or gone) --> (row of each slot, -1
  for none; whether it is over, and these are the last rows).
  """
  num = len(uniforms)
  rows = [Row(list(map(int, prompt)), len(prompt)) for _ in range(num)]
  parent, rounds = list(range(num)), []
  while True:
    before = copy.deepcopy(rows)
    for slot, row in enumerate(rows):
      if row is not None and row.status == 'live':
        step(row, table, uniforms[slot], limits)
        row.score = toy.text_value(row.text)
    of = lambda get, none: [none if row is None else get(row, old)
                            for row, old in zip(rows, before)]
    new = of(lambda row, old: row.text[len(old.text):], [])
    rounds.append(dict(
        parent=parent, token=new, live=of(lambda row, _: row.status == 'live', False),
        finished=of(lambda row, _: row.status == 'finished', False),
        score=of(lambda row, _: row.score, 0.5),
        logprob=of(lambda row, old: sum(row.logprobs[len(old.own):]), 0.0),
        entered=[sum(of(lambda row, old: row.entered - old.entered, 0)), sum(map(len, new))],
        attended=[sum(of(lambda row, old: row.attended - old.attended, 0)),
                  sum(of(lambda row, old: sum(range(len(old.text) + 1, len(row.text) + 1)), 0))],
        simulated=[[]] * num, judged=[None] * num, stopped_by=[''] * num,
        sim_entered=[0, 0], sim_attended=[0, 0]))
    parent, over = allocate(len(rounds) - 1, rounds[-1]['score'],
                            of(lambda row, _: row.status, 'gone'))
    rows = [None if p < 0 else copy.deepcopy(rows[p]) for p in parent]
    if over:
      return Search(rounds, rows, 'over', parent)


def tree_of(found: Search) -> tuple[list[dict], list[tuple[int, int]], list[int], list[int]]:
  """Nodes, candidates, tokens entered and attended to, as a `tts.searching.tree.Tree` has them."""
  nodes, last = [], {}
  for r, each in enumerate(found.rounds):
    last = {n: last.get(p, -1) for n, p in enumerate(each['parent'])}
    for n, tokens in enumerate(each['token']):
      if tokens:
        simulation = None
        if each['live'][n]:
          simulation = (sum(each['simulated'][n], []), each['judged'][n],
                        each['stopped_by'][n] != 'live')
        nodes.append(dict(
            parent=last[n], round=r, slot=n, tokens=tokens, score=each['score'][n],
            live=each['live'][n], finished=each['finished'][n], logprob=each['logprob'][n],
            simulation=simulation))
        last[n] = len(nodes) - 1
  if found.last is not None:
    last = {n: last.get(p) for n, p in enumerate(found.last)}
  candidates = [(n, last[n]) for n, row in enumerate(found.rows) if row and row.status != 'live']
  total = lambda name: [sum(each[name][i] + each[f'sim_{name}'][i] for each in found.rounds)
                        for i in range(2)]
  return nodes, candidates, total('entered'), total('attended')


def assert_tree(got, found: Search, simulations: bool) -> None:
  """That a tree is the one of a search: its numbers exactly, log-probabilities to rounding."""
  nodes, candidates, entered, attended = tree_of(found)
  assert len(got.nodes) == len(nodes)
  for node, want in zip(got.nodes, nodes):
    for field in ('parent', 'round', 'slot', 'score', 'live', 'finished'):
      assert getattr(node, field) == want[field], (field, node, want)
    assert node.tokens.tolist() == want['tokens']
    np.testing.assert_allclose(node.logprob, want['logprob'], atol=1e-4)
    simulation = node.simulation and (
        node.simulation.tokens.tolist(), node.simulation.score, node.simulation.ended)
    assert simulation == (want['simulation'] if simulations else None)
  assert got.candidates == candidates
  assert got.entered.tolist() == entered and got.attended.tolist() == attended


def tie_at_the_cut(score, status, num_kept) -> bool:
  """Whether the slot decided who was kept."""
  rank = sorted((s == 'truncated', -x) for x, s in zip(score, status))
  return num_kept < len(rank) and rank[num_kept - 1] == rank[num_kept]


def padded(lists, width) -> np.ndarray:
  """Ragged token lists --> int32 [N, width], zeros after."""
  return np.array([t + [0] * (width - len(t)) for t in lists], np.int32)


def distribution(logits, config):
  """What `sample` draws from, worked out in numpy. logits float32 [..., V] --> float64 [..., V]."""
  probs = np.exp(np.asarray(logits, np.float64) / config.temperature)
  if config.top_k:
    kth = -np.sort(-probs, axis=-1)[..., min(config.top_k, probs.shape[-1]) - 1, None]
    probs = np.where(probs >= kth, probs, 0.0)
  probs /= probs.sum(axis=-1, keepdims=True)
  order = np.argsort(-probs, axis=-1, kind='stable')
  ranked = np.take_along_axis(probs, order, axis=-1)
  kept = np.where(ranked.cumsum(axis=-1) - ranked < config.top_p, ranked, 0.0)
  probs = np.take_along_axis(kept, np.argsort(order, axis=-1), axis=-1)
  return probs / probs.sum(axis=-1, keepdims=True)
