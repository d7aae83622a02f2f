"""The report's first screen in words: what more compute buys, by which method at what cost, where.

Made from `results.json`'s contents. All methods are compared at one budget, on the same questions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import called, LOGPROB, main, main_label, number
from tts.eval.report import page
from tts.eval.report.compared import by_bin, Difference, difference, Row

MOST_ROWS = 10
_NOT_METHODS = ('greedy', 'oracle')  # one answer without a choice; knowing which one is right
# What a method at a budget is.
_IS = ('strategy', 'beam_width', 'lookahead', 'theta', 'chains', 'chain_length', 'budget')
_OTHERS = 'other questions'
_NAMED = 2  # of those that are not told apart from the best


@dataclasses.dataclass(frozen=True)
class Compared:
  """The methods at one budget.

  Attributes:
    budget: generations a question.
    one: the mean of one sample, on the same questions.
    methods: rows of `curves` over all questions, the highest accuracy first.
  """

  budget: int
  one: Row
  methods: Sequence[Row]

  @property
  def best(self) -> Row:
    return self.methods[0]


def compared(results: Mapping[str, Any]) -> Compared | None:
  """What is compared: at the budget that most methods were run at, the largest of those.

  On as many questions as any row has. None where nothing but single samples was drawn.
  """
  whole = [r for r in results['curves'] if r['bin'] is None]
  most = max((r['n'] for r in whole), default=0)
  whole = [r for r in whole if r['n'] == most and r['strategy'] not in _NOT_METHODS]
  one = next((r for r in whole if (r['strategy'], r['budget']) == ('majority', 1)), None)
  at: dict[int, list[Row]] = {}
  for row in whole:
    if row['budget'] > 1:
      at.setdefault(row['budget'], []).append(row)
  if one is None or not at:
    return None
  budget = max(at, key=lambda b: (len({r['strategy'] for r in at[b]}), b))
  return Compared(budget, one, sorted(at[budget], key=lambda r: -r['accuracy']))


def sentences(results: Mapping[str, Any]) -> list[str]:
  """Three: how much, by which method at what cost, on which questions."""
  found = compared(results)
  if found is not None:
    return [_much(results, found), _which(results, found), _where(results, found)]
  single = next((r for r in results['curves'] if r['bin'] is None
                 and (r['strategy'], r['budget']) in (('majority', 1), ('greedy', 1))), None)
  if single is None:
    return ['How much more compute buys is not known: no question has an answer that was graded.',
            'Which method is best, and what it costs, is not known.',
            'Which questions gain is not known.']
  what = 'The greedy answer' if single['strategy'] == 'greedy' else 'One sample'
  return ['How much more compute buys is not known: each question has single samples '
          f'alone. {what} is right on {number(single["accuracy"], single["ci95"])} of '
          f'{single["n"]:,} questions.',
          'No method has spent more than one generation a question, so none can be compared.',
          'Which questions gain is not known.']


def _much(results: Mapping[str, Any], found: Compared) -> str:
  best, one = found.best, found.one
  gain = difference(results, best, one)
  start = (f'With {found.budget} generations a question {called(best)} is right on '
           f'{number(best["accuracy"], best["ci95"])} of {best["n"]:,} questions, one sample on '
           f'{number(one["accuracy"], one["ci95"])}')
  if not gain.sign:
    return f'{start}: the two are not told apart ({gain.text()}, n = {gain.n:,}).'
  return f'{start}: {"a gain" if gain.sign > 0 else "a loss"} of {gain.text()}.'


def _which(results: Mapping[str, Any], found: Compared) -> str:
  """Who is highest, from whom that is told apart, and what it costs."""
  best, others = found.best, [(r, difference(results, found.best, r)) for r in found.methods[1:]]
  price = _price(best, found.one)
  if not others:
    return f'No other method was run at that budget; {called(best)} {price}.'
  level = [(r, d) for r, d in others if not d.sign]
  behind = [(r, d) for r, d in others if d.sign > 0]
  text = f'Of {len(found.methods)} methods at N = {found.budget} {called(best)} is the highest'
  if level:
    named = ', '.join(f'{called(r)} ({d.text()})' for r, d in level[:_NAMED])
    more = f' and {len(level) - _NAMED} more' if len(level) > _NAMED else ''
    text += f', not told apart from {named}{more} (n = {best["n"]:,})'
  if behind:
    reference = next((p for p in behind if p[0]['strategy'] == 'majority'), behind[0])
    text += f', ahead of {called(reference[0])} by {reference[1].text()}'
  return f'{text}; it {price}.'


def _price(row: Row, one: Row) -> str:
  """What a method costs beside one sample: FLOPs where they are counted, else tokens."""
  for field, what in (('flops', 'the FLOPs'), ('generated_tokens', 'the written tokens')):
    if row[field] and one[field]:
      read = ', its verifier\'s included' if field == 'flops' and row['verifier_tokens'] else ''
      return f'costs {times(row[field] / one[field])} times {what} of one sample{read}'
  return f'costs {row["budget"]} times the generations of one sample, tokens and FLOPs not counted'


def times(ratio: float) -> str:
  return f'{ratio:,.0f}' if ratio >= 9.95 else f'{ratio:.2g}'


def binned(results: Mapping[str, Any], a: Row, b: Row) -> dict[int, Difference]:
  """The difference of two methods in each bin of difficulty that both have; {} without bins."""
  def rows(method: Row) -> dict[int, Row]:
    return {r['bin']: r for r in results['curves'] if r['bin'] is not None
            and all(r.get(k) == method.get(k) for k in _IS)}

  mine, others = rows(a), rows(b)
  found = {place: difference(results, mine[place], others[place])
           for place in sorted(mine.keys() & others.keys())}
  return {place: d for place, d in found.items() if d is not None}


def _where(results: Mapping[str, Any], found: Compared) -> str:
  """In which bins of difficulty the best method gains over one sample."""
  if 'small_bins' in results:
    return results['small_bins']
  gains = binned(results, found.best, found.one)
  if not gains:
    reason = results['reasons'].get('curves.bin')
    return f'Which questions gain is not known{f": {reason}" if reason else ""}.'
  return f'By difficulty (bin 1 = easiest of {len(gains)}), over one sample: {by_bin(gains)}.'


_HEADER = ('', 'right', 'minus one sample', 'beside the highest', 'FLOPs, × one sample')


def _shown(results: Mapping[str, Any], found: Compared) -> tuple[list[Row], dict[str, Row]]:
  """Methods of the table, then answers without any choice by name; `MOST_ROWS` in all."""
  single = {'one sample': found.one}
  cost = {r['strategy']: r['flops'] for r in results['curves'] if r['bin'] is None
          and r['strategy'] == 'greedy'}
  for name, m in results['models'].items():
    if m is not None and m['greedy'] is not None and len(single) < MOST_ROWS // 2:
      single[f'greedy, {name} model'] = {
          'strategy': f'greedy of {name}', 'budget': 1, 'bin': None, 'accuracy': m['greedy'],
          'ci95': m['greedy_ci95'], 'n': m['greedy_n'],
          'flops': cost.get('greedy') if name == 'base' else None}
  room = MOST_ROWS - len(single)
  methods = list(found.methods[:room])
  vote = next((r for r in found.methods[room:] if r['strategy'] == 'majority'), None)
  # What needs no verifier is always there.
  return [*methods[:-1], vote] if vote else methods, single


def table(results: Mapping[str, Any]) -> str:
  """Methods at one budget and single answers by accuracy, of equal ones the cheaper first."""
  found = compared(results)
  if found is None:
    return ''
  methods, single = _shown(results, found)
  named = [*((called(r), r) for r in methods), *single.items()]
  rows = []
  for name, r in sorted(named, key=lambda x: (-x[1]['accuracy'], x[1]['budget'])):
    rows.append([name, number(r['accuracy'], r['ci95']),
                 '' if r is found.one else _gain(results, r, found.one),
                 f'highest at N = {found.budget}' if r is found.best
                 else _beside(results, r, found.best),
                 times(r['flops'] / found.one['flops'])
                 if r['flops'] and found.one['flops'] else ''])
  return page.table(_HEADER, rows, label=f'Methods at N = {found.budget}')


def _gain(results: Mapping[str, Any], a: Row, b: Row) -> str:
  found = difference(results, a, b)
  if found is None:
    return _OTHERS
  return found.text() if found.sign else f'not told apart ({found.value:+z.3f})'


def _beside(results: Mapping[str, Any], a: Row, b: Row) -> str:
  found = difference(results, a, b)
  return _OTHERS if found is None else (
      f'{("not told apart", "ahead", "behind")[found.sign]} ({found.value:+z.3f})')


def note(results: Mapping[str, Any]) -> str:
  """What the table's words mean; '' without a table."""
  found = compared(results)
  if found is None:
    return ''
  left = len(found.methods) - len(_shown(results, found)[0])
  return (f'N = {found.budget} generations a question, {found.best["n"]:,} questions; a verifier, '
          f'where one is read, is the {main_label(results)}'
          + (' a token, and the log-probability vote goes by the sum' if main(results) == LOGPROB
             else '') + '. Brackets: 95% intervals, of '
          'differences question by question where the run has them so, else from both accuracies\' '
          'intervals, which is wider. Not told apart: the interval includes 0. The highest '
          'was chosen by these numbers, which flatters it.'
          + (' Of the first training seed; all seeds stand below.' if results['pooled'] else '')
          + (f' Not shown here: {left} of the methods.' if left else ''))
