"""Tables of the report about policies, claims, differences and what fools verifiers, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import judges, number, verifiers
from tts.eval.policy.efficiency import SHARES
from tts.eval.report import page


def span(interval: Sequence[float | None] | None, form: str = '+z.3f') -> str:
  if interval is None:
    return ''
  low, high = ('' if end is None else f'{end:{form}}' for end in interval)
  return f'{low} to {high}' if low and high else f'above {low}' if low else f'below {high}'


_UNDECIDABLE = 'undecidable here with this n'


def _whose(row: Mapping[str, Any]) -> str:
  """A policy by what it goes by."""
  over = '' if row['mechanism'] == 'search' else f'{row["mechanism"]}: '
  return f'{over}{row["bins"]} bins by {row["estimator"]}{", charged" if row["charged"] else ""}'


def contrasts(found: Sequence[Mapping[str, Any]]) -> str:
  rows = [[c['what'], f'{c["difference"]:+z.3f}', span(c['ci95']), c['n']] for c in found]
  return page.table(['', 'difference', '95% interval', 'questions'], rows)


def claim_groups(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
  """Claims by what became of them; each group is there, an empty one too."""
  groups = {'held': [], 'did not hold': [], _UNDECIDABLE: [], 'not measured in this run': []}
  verdict = {True: 'held', False: 'did not hold', 'inconclusive': _UNDECIDABLE}
  for c in results['claims']:
    known = c['effect'] is not None
    groups[verdict[c['reproduced']] if known else 'not measured in this run'].append(c)
  return groups


def claims(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
  """A heading and a table per group that has any."""
  out = []
  for what, found in groups.items():
    if found:
      rows = [[c['claim'], '' if c['effect'] is None else f'{c["effect"]:+z.3f}', span(c['ci95']),
               c['n'] or '', f'{c["direction"]}; {c["evidence"]}{_power(c)}'] for c in found]
      out += [f'<h3>{what.capitalize()}: {len(found)}</h3>', page.table(
          ['claim', 'difference', '95% interval', 'questions', 'claimed; measured on'], rows,
          label=f'Claims: {what}')]
  return out


def _power(claim: Mapping[str, Any]) -> str:
  """What was known of a claim before it was tested."""
  if claim['power'] is None:
    return ''
  return f'; power on dev {claim["power"]:.2f}' + (
      ': so many questions cannot decide it' if claim['undecidable'] else '')


def efficiency(found: Sequence[Mapping[str, Any]]) -> str:
  """Every row that has a share; a censored one says on which side of what was measured it lies."""
  value = lambda x, side: side or f'{x:.2f}'
  rows = [[_whose(e), e['baseline'], e['axis'],
           '' if e['ratio'] is None and e['ratio_censored'] is None
           else value(e['ratio'], e['ratio_censored']), span(e['ci95'], '.2f'),
           *(value(x, side) for (_, x), side in zip(e['at'], e['censored'])), e['n']]
          for e in found if e['at']]
  return page.table(['policy', 'against', 'cost in', 'ratio', '95% interval',
                     *(f'at {share:.0%}' for share in SHARES), 'questions'], rows)


_STEPS = {
    'one_sample': 'one sample', 'greedy': 'greedy answer', 'best_of_n_weighted':
    'best-of-N weighted', 'search': 'best single search', 'fixed': 'best single strategy',
    'choosing': 'chosen per question', 'moving': 'budget moved between questions',
    'choosing_random_bins': 'placebo: chosen in random bins',
    'moving_random_bins': 'placebo: moved between random bins',
    'majority_at_equal_flops': 'majority at the same FLOPs',
    'logprob_weighted_at_equal_flops': 'log-probability vote at the same FLOPs'}


def decomposition(found: Sequence[Mapping[str, Any]]) -> str:
  rows = [[_whose(r), r['budget'], _STEPS[r['step']] + (
      '' if r.get('reached', True) else ' (of fewer: no more were drawn)'),
           number(r['accuracy']), f'{r["generations"]:.1f}',
           '' if r['gain'] is None else f'{r["gain"]:+z.3f}', span(r['ci95']),
           '' if r['against'] is None else _STEPS[r['against']], r['n']] for r in found]
  return page.table(['policy', 'N', 'step', 'accuracy', 'generations', 'gain', '95% interval',
                     'over', 'questions'], rows)


def moved(results: Mapping[str, Any]) -> str:
  rows = [[_whose(m), m['budget'], f'{m["generations"]:.1f}', number(m['accuracy'], m['ci95']),
           f'{m["difference"]:+z.3f}', span(m['difference_ci95']), m['n']]
          for m in results['moved']]
  return page.table(['policy', 'N', 'spent', 'accuracy', 'minus N for every question',
                     '95% interval', 'questions'], rows)


def settled(results: Mapping[str, Any]) -> str:
  rows = [[s['strategy'], s['budget'], number(s['generations'], s['ci95']), s['n']]
          for s in results['settled']]
  return page.table(['vote', 'N', 'samples drawn', 'questions'], rows)


def votes(results: Mapping[str, Any]) -> str:
  """Rules of `tts.eval.votes`, beside a majority that costs as much."""
  signed = lambda pairs: ' '.join(f'{k} {v:g}' if isinstance(v, float) else f'{k} {v}'
                                  for k, v in pairs.items())
  rows = [[v['rule'], signed(v['parameters']), v['budget'], f'{v["generations"]:.1f}',
           '' if v['tokens'] is None else f'{v["tokens"]:.0f}',
           number(v['accuracy'], v['accuracy_ci95']), number(v['majority'], v['majority_ci95']),
           f'{v["difference"]:+.3f}', span(v['difference_ci95']), v['n']]
          for v in results['votes']]
  return page.table(['rule', 'parameters', 'N at most', 'samples begun', 'tokens written',
                     'accuracy',
                     'majority at that cost', 'difference', '95% interval', 'questions'], rows)


def _solution(answer: Mapping[str, Any]) -> str:
  """An answer's score, then its steps, each with its own."""
  lines = [f'{answer["score"]:.3f}']
  for text, score in answer['steps']:
    lines.append(f'{"" if score is None else f"{score:.2f}  "}{"" if text is None else text}')
  return '\n'.join(lines)


def fools(results: Mapping[str, Any]) -> list[str]:
  """A table per verifier, the main one's open."""
  out = []
  for name, v in verifiers(results).items():
    if v is None or not v['fools']:
      continue
    rows = [[f'{f["problem_id"]}\n{(f["prompt"] or "").strip()}',
             '' if f['gold'] is None else f['gold'], _solution(f['wrong']), _solution(f['right']),
             f'{f["margin"]:+.3f}'] for f in v['fools']]
    table = page.table(['question', 'answer', 'the wrong one, its steps', 'the best right one',
                        'margin'], rows)
    out.append(f'<details{" open" if not out else ""}><summary>{judges(results)[name]}</summary>'
               f'<div class="fools">{table}</div></details>')
  return out
