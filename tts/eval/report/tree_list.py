"""The list of search trees: question by question, those on which methods differ first."""

from __future__ import annotations

import html
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import NAMES
from tts.eval.measures import curves
from tts.eval.measures.outcomes import Outcome
from tts.eval.report import tree_page

Trees = Sequence[tuple[str, Mapping[str, Any]]]  # name of a page, what it shows
Votes = Mapping[str, Mapping[str, float]]        # question -> vote -> whether it is right

_VOTES = ('majority', 'best_of_n_weighted')


def votes(outcomes: Sequence[Outcome], trees: Trees) -> Votes:
  """What votes over the most samples say on the questions of the trees."""
  shown = {tree['problem_id'] for _, tree in trees}
  out: dict[str, dict[str, float]] = {}
  for strategy in _VOTES:
    found = [o for o in outcomes if o.strategy == strategy and curves.is_main(o)]
    for o in sorted(found, key=lambda o: o.budget):  # the largest last
      for i, right in zip(o.ids, o.accuracy.tolist()):
        if i in shown:
          out.setdefault(i, {})[NAMES[strategy]] = right
  return out


def _differ(trees: Sequence[Mapping[str, Any]], voted: Mapping[str, float]) -> int:
  """2 where one method is right and another is not, 1 where answers differ, else 0."""
  graded = [t for t in trees if t['answer'] is not None]
  right = {tree_page.right(t, t['winner']) for t in graded}
  right |= {value == 1 for value in voted.values()} if graded else set()
  if len(right) > 1:
    return 2
  return int(len({t['winner'] for t in trees}) > 1)


def by_question(trees: Trees, voted: Votes) -> list[tuple[str, int, Trees]]:
  """(question, how much methods differ on it, its trees), the most first, else as they came."""
  found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
  for file, tree in trees:
    found.setdefault(tree['problem_id'], []).append((file, tree))
  rows = [(name, _differ([t for _, t in mine], voted.get(name, {})), mine)
          for name, mine in found.items()]
  return sorted(rows, key=lambda row: -row[1])


def finding(questions: Sequence[tuple[str, int, Trees]]) -> str:
  apart = sum(differ == 2 for _, differ, _ in questions)
  return (f'Of {len(questions)} questions whose trees were kept, methods differ in being right on '
          f'{apart}' + ('; those stand first.' if apart else '.'))


def render(questions: Sequence[tuple[str, int, Trees]], voted: Votes) -> list[str]:
  """A heading a question and a link a tree, as HTML."""
  body = ['<p>Every step that a search wrote, with its score.</p>']
  for name, _, trees in questions:
    gold = trees[0][1]['answer']
    body.append(f'<h3>{html.escape(name)}' + (
        '' if gold is None else f': the answer is {html.escape(gold)}') + '</h3><ul>')
    body += [f'<li><a href="{html.escape(urllib.parse.quote(file))}">'
             f'{html.escape(t["strategy"])}, {html.escape(tree_page.setting(t))}</a>: '
             f'{html.escape(_verdict(t))}</li>' for file, t in trees]
    body += [f'<li>{html.escape(label)}: {"right" if value == 1 else "wrong"}</li>'
             for label, value in voted.get(name, {}).items() if gold is not None]
    body.append('</ul>')
  return body


def _verdict(tree: Mapping[str, Any]) -> str:
  if tree['winner'] is None:
    return 'no answer'
  graded = '' if tree['answer'] is None else (
      ', right' if tree_page.right(tree, tree['winner']) else ', wrong')
  return f'chose {tree["winner"]}{graded}'
