"""A search tree as a page: what the search wrote, how it was scored, what it kept, who voted."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import Any

from tts import answers
from tts.eval.report import page
from tts.eval.storage.columns import form
from tts.eval.storage.equal_answers import Pairs
from tts.eval.storage.samples import NO_ANSWER, numbered
from tts.types import InputError, Strategy

# status -> (symbol, what it means); shape and word, so that colour is not needed
_STATUS = {
    'kept': ('▶', 'kept: the search went on from here'),
    'finished': ('●', 'finished: an answer that votes'),
    'truncated': ('■', 'truncated: cut off, it has no vote'),
    'pruned': ('×', 'pruned: dropped by its score'),
}
_DEAD_END = ('▷', 'dead end: kept at first, all that followed was pruned')
_FIELDS = {'problem_id': str, 'prompt': str, 'answer': str | None, 'winner': str | None,
           'strategy': str, 'theta': dict, 'budget': int, 'nodes': list}
_NODE_FIELDS = {'id': int, 'parent': int | None, 'round': int, 'slot': int, 'text': str,
                'score': int | float, 'tokens': int, 'status': str}
_SIMULATION_FIELDS = {'text': str, 'score': int | float, 'tokens': int}
_LOW, _MIDDLE, _HIGH = (246, 163, 92), (245, 243, 238), (118, 178, 226)  # orange, paper, blue
_STYLE = """
main { max-width: none; }
@media print { .scroll { overflow: visible; } }
.question { white-space: pre-wrap; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .6em .9em; font-family: ui-monospace, monospace; max-width: 60em; }
.legend span.node { display: inline-flex; width: auto; margin: 0 .9em .4em 0; }
.scale { display: inline-block; width: 9em; height: .9em; vertical-align: middle; margin: 0 .5em;
  border: 1px solid var(--rule); }
.scroll { overflow-x: auto; padding: .5em 0 2em; }
.rounds { display: flex; }
.rounds b { flex: none; width: 210px; margin-right: 36px; color: var(--soft); font-size: 12px;
  text-transform: uppercase; letter-spacing: .06em; border-bottom: 1px solid var(--rule); }
.tree, .tree ul { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column;
  justify-content: center; }
.tree { padding-top: .5em; }
.tree li { display: flex; align-items: center; position: relative; padding: 2px 0; }
.tree li > ul { margin-left: 18px; }
.tree ul > li { padding-left: 18px; }
.tree li.open > .node::after, .tree ul > li::after { content: ''; position: absolute; top: 50%;
  width: 18px; border-top: 2px solid #a9a9a9; }
.tree li.open > .node::after { left: 100%; width: 20px; }
.tree ul > li::after { left: 0; }
.tree ul > li::before { content: ''; position: absolute; left: 0; top: 0; bottom: 0;
  border-left: 2px solid #a9a9a9; }
.tree ul > li:first-child::before { top: 50%; }
.tree ul > li:last-child::before { bottom: 50%; }
.node { position: relative; flex: none; box-sizing: border-box; width: 210px; display: flex;
  align-items: stretch; background: var(--card); border: 1.5px solid #8a8a8a; border-radius: 5px;
  font-size: 12.5px; line-height: 1.3; }
.node .score { flex: none; min-width: 36px; padding: 3px 5px; text-align: right; color: #222;
  border-radius: 3px 0 0 3px; border-right: 1px solid #ccc; font-variant-numeric: tabular-nums; }
.node code { flex: 1; padding: 3px 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
.node small { display: block; margin-top: 3px; padding-left: 5px; color: var(--soft);
  border-left: 4px solid; }
.node .mark { flex: none; padding: 3px 6px 3px 0; color: var(--soft); }
.node.pruned { border: 1px dashed #b5b5b5; background: transparent; }
.node.dead { border: 1px solid #b5b5b5; background: transparent; }
.node:is(.pruned, .dead) :is(code, .mark) { color: var(--soft); }
.node.finished { border: 2px solid var(--ink); border-radius: 13px; }
.node.finished .score { border-radius: 11px 0 0 11px; }
.node.truncated { border: 2px dotted var(--ink); }
.node.winner { box-shadow: 0 0 0 3px #ffd54a; }
.node.way { border-color: var(--ink); border-width: 2px; }
"""


@dataclasses.dataclass(frozen=True)
class Voter:
  """A finished candidate: its last node, its answer as written, its score, its votes."""

  node: int
  answer: str | None
  score: float
  weight: int


def colour(score: float) -> str:
  """Orange at 0, paper at 1/2, blue at 1, all light enough for dark text."""
  score = min(max(score, 0.0), 1.0)
  ends, share = ((_LOW, _MIDDLE), 2 * score) if score < 0.5 else ((_MIDDLE, _HIGH), 2 * score - 1)
  return '#' + ''.join(f'{round(a + (b - a) * share):02x}' for a, b in zip(*ends))


def _typed(values: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
  for name, kind in fields.items():
    if not isinstance(values[name], kind):
      raise TypeError(f'{name} = {values[name]!r}')


def checked(tree: Mapping[str, Any], source: str) -> None:
  """InputError unless every node has what a page needs and a parent that came before it."""
  known: set[int] = set()
  try:
    _typed(tree, _FIELDS)
    _typed(tree['theta'], {'beam_width': int | None, 'lookahead': int | None,
                           **dict.fromkeys(tree['theta'].keys() - {'beam_width', 'lookahead'},
                                           int | float | str | None)})
    for node in tree['nodes']:
      _typed(node, _NODE_FIELDS)
      if 'simulation' in node:
        _typed(node['simulation'], _SIMULATION_FIELDS)
      _typed({'weight': 1, **node}, {'weight': int})
      if node['status'] not in _STATUS:
        raise ValueError(f'status {node["status"]!r}')
      if node['id'] in known:
        raise ValueError(f'node {node["id"]} twice')
      if node['parent'] is not None and node['parent'] not in known:
        raise ValueError(f'node {node["id"]} before its parent {node["parent"]}')
      known.add(node['id'])
    for pair in tree.get('equal', ()):
      if not (len(pair) == 2 and all(isinstance(answer, str) for answer in pair)):
        raise TypeError(f'equal = {pair!r}')
  except (KeyError, TypeError, ValueError) as e:
    raise InputError(f'{source}: not a search tree ({e}); delete it; the run recomputes it') from e


def setting(tree: Mapping[str, Any]) -> str:
  """`N = 16, M = 4`, and for lookahead what it is charged."""
  how = Strategy.of(tree['strategy'], tree['budget'], **tree['theta'])
  parts = [('N', how.num_candidates), ('M', how.beam_width), ('k', how.lookahead),
           *how.others.items()]
  text = ', '.join(f'{name} = {value}' for name, value in parts if value is not None)
  return text if how.charge == 1 else f'{text}, charged {how.budget} generations'


def path(tree: Mapping[str, Any], node: int) -> list[dict[str, Any]]:
  """Nodes from the first step to the one with this id."""
  by_id = {n['id']: n for n in tree['nodes']}
  steps = [by_id[node]]
  while steps[-1]['parent'] is not None:
    steps.append(by_id[steps[-1]['parent']])
  return steps[::-1]


def voters(tree: Mapping[str, Any]) -> list[Voter]:
  """The finished candidates in the vote's order, with the answers that their texts end in."""
  place = {node: i for i, node in enumerate(tree.get('voters', ()))}
  found = [n for n in tree['nodes'] if n['status'] == 'finished']
  return [Voter(n['id'], answers.extract('\n'.join(s['text'] for s in path(tree, n['id']))),
                n['score'], n.get('weight', 1))
          for n in sorted(found, key=lambda n: place.get(n['id'], len(place)))]


def _candidates(tree: Mapping[str, Any], found: list[Voter]) -> list[int]:
  """Numbers of the voters' answers, equal where the vote took them for the same."""
  return numbered([v.answer for v in found], _equal(tree))


def _equal(tree: Mapping[str, Any]) -> Pairs:
  return [(form(a), form(b)) for a, b in tree.get('equal', ())]


def token_counts(tree: Mapping[str, Any]) -> dict[str, int]:
  """Tokens by status, each step once however many candidates share it."""
  out = dict.fromkeys(_STATUS, 0)
  for node in tree['nodes']:
    out[node['status']] += node['tokens']
  return out


def right(tree: Mapping[str, Any], answer: str | None) -> bool:
  """Whether an answer is the gold one of a tree's question."""
  return None not in (answer, tree['answer']) and len(set(
      numbered([tree['answer'], answer], _equal(tree)))) == 1


def _won(tree: Mapping[str, Any], found: list[Voter]) -> list[Voter]:
  """The voters for the chosen answer."""
  number = _candidates(tree, found)
  chosen = [n for n, v in zip(number, found)
            if None not in (v.answer, tree['winner']) and form(v.answer) == form(tree['winner'])]
  return [v for n, v in zip(number, found) if n in chosen[:1]]


def _node(node: Mapping[str, Any], won: bool = False, way: bool = False,
          dead: bool = False) -> str:
  symbol, meaning = _DEAD_END if dead else _STATUS[node['status']]
  classes = ['node', 'dead' if dead else node['status'], *['winner'] * won,
             *['way'] * (way and not won)]
  title = (f'round {node["round"] + 1}, slot {node["slot"]}, {node["tokens"]} tokens, score '
           f'{node["score"]:.4f}; {meaning}')
  ahead, shown = node.get('simulation'), ''
  if ahead is not None:
    title += f'; {ahead["tokens"]} tokens simulated, which score {ahead["score"]:.4f}'
    shown = (f'<small style="border-color:{colour(ahead["score"])}">{ahead["score"]:.2f} '
             f'{html.escape(ahead["text"])}</small>')
  return (f'<span class="{" ".join(classes)}" title="{html.escape(title)}">'
          f'<span class="score" style="background:{colour(node["score"])}">'
          f'{node["score"]:.2f}</span><code>{html.escape(node["text"])}{shown}</code>'
          f'<span class="mark">{symbol}{" ★" if won else ""}</span></span>')


def _nested(tree: Mapping[str, Any], won: set[int], way: set[int]) -> str:
  children: dict[int | None, list] = {}
  for node in tree['nodes']:
    children.setdefault(node['parent'], []).append(node)

  def items(parent: int | None) -> str:
    out = []
    for node in children.get(parent, []):
      below = items(node['id'])
      out.append(f'<li{" class=open" if below else ""}>'
                 + _node(node, node['id'] in won, node['id'] in way,
                         dead=bool(below) and node['status'] == 'pruned')
                 + (f'<ul>{below}</ul>' if below else '') + '</li>')
    return ''.join(out)

  return f'<ul class="tree">{items(None)}</ul>'


def _summed(group: list[Voter]) -> float:
  return sum(v.weight * v.score for v in group)


def _votes(tree: Mapping[str, Any], found: list[Voter]) -> str:
  groups: dict[int, list[Voter]] = {}
  for number, v in zip(_candidates(tree, found), found):
    groups.setdefault(number, []).append(v)
  won, rows = _won(tree, found), []
  for number, group in sorted(groups.items(), key=lambda kv: (
      kv[0] == NO_ANSWER, -_summed(kv[1]))):
    answer = group[0].answer
    notes = ['★ chosen'] * (group[0] in won) + ['right'] * right(tree, answer)
    rows.append(['no answer could be read' if number == NO_ANSWER else answer,
                 sum(v.weight for v in group), f'{_summed(group):.3f}', ', '.join(notes)])
  return page.table(['answer', 'voters', 'summed score', ''], rows)


def _summary(tree: Mapping[str, Any], found: list[Voter]) -> str:
  tokens = token_counts(tree)
  pruned = sum(n['status'] == 'pruned' for n in tree['nodes'])
  cut = sum(n['status'] == 'truncated' for n in tree['nodes'])
  verdict = 'it has no gold answer to compare with'
  if tree['answer'] is not None:
    verdict = ('right' if right(tree, tree['winner'])
               else f'wrong, the answer is {tree["answer"]}')
  chose = 'No candidate finished with an answer'
  if tree['winner'] is not None:
    chose = f'The vote chose {tree["winner"]}: {verdict}'
  return (f'{len(tree["nodes"])} steps written in '
          f'{1 + max((n["round"] for n in tree["nodes"]), default=-1)} rounds, {pruned} of them '
          f'pruned ({tokens["pruned"]} of {sum(tokens.values())} tokens). '
          f'{_simulated(tree)}{len(found)} candidates finished, cut off: {cut}. {chose}.')


def _simulated(tree: Mapping[str, Any]) -> str:
  ahead = [n['simulation'] for n in tree['nodes'] if 'simulation' in n]
  if not ahead:
    return ''
  return (f'{sum(s["tokens"] for s in ahead)} more tokens were simulated, at temperature 0, to '
          f'choose by: small print under {len(ahead)} steps. ')


def render(tree: Mapping[str, Any], source: str) -> str:
  """The page of one tree file, self-contained.

  Args:
    tree: contents of a file under `trees/`.
    source: its name, for messages.

  Raises:
    InputError: it is not a search tree.
  """
  checked(tree, source)
  found = voters(tree)
  won = {v.node for v in _won(tree, found)}
  way = {n['id'] for node in won for n in path(tree, node)}
  rounds = 1 + max((n['round'] for n in tree['nodes']), default=-1)
  example = {'round': 0, 'slot': 0, 'tokens': 0, 'score': 0.5}
  legend = ''.join(_node({**example, 'status': s, 'text': meaning})
                   for s, (_, meaning) in _STATUS.items())
  legend += _node({**example, 'status': 'pruned', 'text': _DEAD_END[1]}, dead=True)
  legend += _node({**example, 'status': 'finished', 'text': 'a voter for the chosen answer'},
                  won=True)
  stops = ', '.join(colour(s) for s in (0, 0.25, 0.5, 0.75, 1))
  body = [
      '<p><a href="index.html">← report</a></p>',
      f'<h1>{html.escape(tree["strategy"])} search, {setting(tree)}: '
      f'{html.escape(tree["problem_id"])}</h1>',
      f'<div class="question">{html.escape(tree["prompt"].strip())}</div>',
      f'<p>{html.escape(_summary(tree, found))}</p>', _votes(tree, found),
      f'<p class="legend">{legend}<br>score: 0<span class="scale" '
      f'style="background:linear-gradient(to right, {stops})"></span>1 &nbsp; heavy border: on the '
      'way to a voter for the chosen answer</p>',
      '<div class="scroll" role="group" tabindex="0" aria-label="The search tree">'
      '<div class="rounds">',
      ''.join(f'<b>round {r + 1}</b>' for r in range(rounds)), '</div>',
      _nested(tree, won, way), '</div>']
  return page.document(f'{tree["problem_id"]}: {tree["strategy"]}', '\n'.join(body), _STYLE)
