"""Tables of what a run was: its key numbers, its tokens, its time, its seeds, as HTML and texts."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from tts.eval.figures.figure import judges, lines as lines_of, main, main_label, number, rival
from tts.eval.figures.figure import verifiers
from tts.eval.report import page, tables, training_seeds
from tts.eval.storage.samples import COUNTS


def _rows(results: Mapping[str, Any], strategy: str) -> list[dict[str, Any]]:
  found = [r for r in results['curves'] if r['strategy'] == strategy and r['bin'] is None]
  return sorted(found, key=lambda r: r['budget'])


def _called(results: Mapping[str, Any], name: str) -> str:
  """A model's name; one that was quantised is another model than its release, and says so."""
  quantised = (results['models'][name] or {}).get('quantisation')
  return f'{name} model' + (f' ({quantised})' if quantised else '')


def summary(results: Mapping[str, Any]) -> list[str]:
  """Three lines: what a budget buys, what the search adds, how good the verifier is."""
  weighted, majority = _rows(results, 'best_of_n_weighted'), _rows(results, 'majority')
  lines = []
  if not majority:
    return ['No question has been answered yet: there are no records that have been graded.']
  top = majority[-1]
  one = number(majority[0]['accuracy'], majority[0]['ci95'])
  oracle = _rows(results, 'oracle')[-1]
  text = (f'One sample of the {_called(results, "base")} is right on {one} of {top["n"]} '
          f'questions; majority over {top["budget"]} on {number(top["accuracy"], top["ci95"])}')
  if weighted:
    text += (f', best-of-{top["budget"]} weighted by the {main_label(results)} on '
             f'{number(weighted[-1]["accuracy"], weighted[-1]["ci95"])}')
  lines.append(f'{text}; some sample is right on {number(oracle["accuracy"])}.')
  beams = _rows(results, 'beam')
  large = (results['models']['large'] or {})
  versus = (f' Greedy answer of the {_called(results, "large")}: '
            f'{number(large.get("greedy"), large.get("greedy_ci95"))}.')
  if beams and weighted:
    best = max((b for b in beams if b['budget'] == beams[-1]['budget']),
               key=lambda b: b['accuracy'])
    same = next((w for w in weighted if w['budget'] == best['budget']), None)
    lines.append(
        f'Beam search at N = {best["budget"]} (M = {best["beam_width"]}): '
        f'{number(best["accuracy"], best["ci95"])}'
        + (f', {best["accuracy"] - same["accuracy"]:+z.3f} against best-of-N weighted.' if same
           else '.') + versus)
  else:
    lines.append('No beam search yet.' + versus)
  prm, label = results['verifier'][main(results)] or {}, main_label(results)
  other = rival(results, main(results))
  if prm.get('auc_within') is not None:
    lines.append(
        f'Between right and wrong answers of the same question the {label}\'s AUC is '
        f'{number(prm["auc_within"], prm["auc_within_ci95"])}'
        + (f', {prm["auc_gain_within"]:+z.3f} against the {other}\'s'
           if other and prm['auc_gain_within'] is not None else '')
        + '; it closes '
        f'{number(prm["gap_closed"], prm["gap_closed_ci95"])} of the gap from majority to pass@16.')
  else:
    lines.append(f'The {label} has not scored the pool yet.')
  return lines


def _key_numbers(results: Mapping[str, Any]) -> list[list[Any]]:
  """Name, value, interval, n."""
  rows = []
  asked = max((r['n'] for r in _rows(results, 'majority')), default=None)

  def add(name, value, interval, n):
    rows.append([name, number(value), tables.span(interval, 'z.3f'), '' if n is None else n])

  for model, m in results['models'].items():
    if m is not None:
      for field, name in (('pass_at_1', 'one sample'), ('greedy', 'greedy')):
        add(f'{_called(results, model)}, {name}', m[field], m[f'{field}_ci95'], m[f'{field}_n'])
  for label, found in lines_of(
      [r for r in results['curves'] if r['bin'] is None]).items():
    last = found[-1]
    add(f'{label}, N = {last["budget"]}', last['accuracy'], last['ci95'], last['n'])
  for name, v in verifiers(results).items():
    if v is not None:
      n, tag = v['auc_within_n'], judges(results)[name]
      add(f'{tag}: AUC within a question', v['auc_within'], v['auc_within_ci95'], n)
      if other := rival(results, name):
        add(f'{tag}: gain over {other}', v['auc_gain_within'], v['auc_gain_within_ci95'], n)
        if name == main(results):
          add(f'{other}: AUC within a question', v['auc_logprob_within'], None, n)
      if v['prefix_auc_within'] is not None:
        add(f'{tag}: AUC of unfinished steps', v['prefix_auc_within'], None,
            v['prefix_auc_within_n'])
      add(f'{tag}: AUC over all answers', v['auc_pooled'], None, asked)
      add(f'{tag}: share of the gap closed, N = 16', v['gap_closed'], v['gap_closed_ci95'], asked)
  prm = results['verifier'][main(results)]
  if prm is not None:
    add('knowing only the question: AUC over all answers', prm['auc_question_only'], None, asked)
  return rows


def key_numbers(results: Mapping[str, Any]) -> str:
  """The table of what was measured, and the names of what was not."""
  rows = _key_numbers(results)
  missing = ', '.join(name for name, value, *_ in rows if value == number(None))
  known = [row for row in rows if row[1] != number(None)]
  return page.table(['', 'value', '95% interval', 'questions'], known, label='Key numbers') + (
      f'<p class="meta">Not measured: {html.escape(missing)}.</p>' if missing else '')


def _count(value: int | float | None) -> str:
  return '' if value is None else f'{value:,.0f}'


def ledger(results: Mapping[str, Any]) -> str:
  rows, bad = [], []
  for stage, models in results['ledger'].items():
    for model, entry in models.items():
      ratio = entry['ratio']
      bad.append(ratio is not None and ratio != 1)  # counts are whole: one lost token is an error
      rows.append([f'{stage}: {model}', *(_count(entry[c]) for c in COUNTS),
                   '' if entry['flops'] is None else f'{entry["flops"]:.3e}',
                   '' if ratio is None else f'{ratio:.7f} (!)' if bad[-1] else f'{ratio:.3f}',
                   _count(computed := entry['computed']),
                   f'{computed / entry["entered"]:.2f}' if computed and entry['entered'] else ''])
  return page.table(
      ['stage: model', *COUNTS, 'FLOPs', 'ratio', 'computed', 'computed / entered'], rows, bad,
      'Tokens by stage and model')


def stages(results: Mapping[str, Any]) -> str:
  rows, bad = [], []
  for s in results['stages']:
    wall, plan = s['wall_seconds'], s['budget_seconds']
    share = f'{wall / plan:.0%}' if wall is not None and plan else ''
    bad.append(bool(plan and wall and wall > plan))
    memory = '' if s['peak_rss_bytes'] is None else f'{s["peak_rss_bytes"] / 1e9:.2f}'
    rows.append([s['stage'], _count(plan), '' if wall is None else f'{wall:.1f}', share,
                 _count(s['cpu_seconds']), memory])
  return page.table(['stage', 'planned s', 'actual s', 'of plan', 'CPU s', 'peak GB'], rows, bad,
                    'Time by stage')


def voting(results: Mapping[str, Any]) -> list[str]:
  """What votes take for one candidate, where that is more than a normal form."""
  found = results.get('verdicts')
  if found is None:
    return []
  text = (f'Votes take answers for the same where the grader {found["grader"]} does: of '
          f'{found["compared"]:,} pairs of different normal forms {found["equal"]:,} are the same, '
          f'in {found["questions"]:,} votes of a question and setting')
  if found['exceeded']:
    text += (f'; {found["exceeded"]:,} pairs exceeded a limit of work and count as different')
  return [f'<p class="meta">{html.escape(text)}.</p>']


def over_seeds(results: Mapping[str, Any]) -> str:
  rows = [[r['strategy'], '' if r['beam_width'] is None else r['beam_width'],
           '' if r['lookahead'] is None else r['lookahead'], r['budget'],
           number(r['accuracy'], r['ci95']), ' '.join(f'{a:.3f}' for a in r['by_seed']), r['n']]
          for r in training_seeds.main_rows(results['pooled'], main(results))]
  return page.table(['strategy', 'M', 'k', 'N', 'accuracy', 'by seed', 'questions'], rows)
