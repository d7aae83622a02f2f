"""Writes `W/report`: `results.json`, what each question's answers were, figures, `index.html`, and
a page for each search tree.

Everything is made anew from the run's files, at any moment of the run.
"""

from __future__ import annotations

import base64
import functools
import html
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from tts import plugins
from tts.eval.claims import claim_sides
from tts.eval.exchange import exchange_sides
from tts.eval.figures import all_figures, exchange_figures
from tts.eval.figures.figure import Figure, judges, lines as lines_of, main, main_label, number
from tts.eval.figures.figure import verifiers
from tts.eval.policy import decomposition, estimators, policy
from tts.eval.report import opening, page, question_data, results as results_lib, tables
from tts.eval.report import training_seeds, tree_page
from tts.eval.report.training_seeds import Cell, CLAIMS
from tts.eval.storage import outcome_table, records, runfiles
from tts.eval.storage.samples import COUNTS
from tts.types import InputError

_STYLE = """
.summary { padding-left: 1.2em; font-size: 16px; } .summary li { margin: .35em 0; }
figure { margin: 1.4em 0 2em; } figure img { max-width: 100%; height: auto; background: #fff;
  border: 1px solid #e4e2dd; border-radius: 6px; }
figcaption { color: #444; font-size: 14px; max-width: 62em; margin-top: .4em; }
.meta { color: #666; font-size: 13px; }
.fools td { text-align: left; white-space: pre-wrap; vertical-align: top; }
details { margin: 1em 0; } details ul { font-size: 13px; color: #555; }
"""


def _rows(results: Mapping[str, Any], strategy: str) -> list[dict[str, Any]]:
  found = [r for r in results['curves'] if r['strategy'] == strategy and r['bin'] is None]
  return sorted(found, key=lambda r: r['budget'])


def _called(results: Mapping[str, Any], name: str) -> str:
  """A model's name; one that was quantised is another model than its release, and says so."""
  quantised = (results['models'][name] or {}).get('quantisation')
  return f'{name} model' + (f' ({quantised})' if quantised else '')


def _summary(results: Mapping[str, Any]) -> list[str]:
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
  if prm.get('auc_within') is not None:
    lines.append(
        f'Between right and wrong answers of the same question the {label}\'s AUC is '
        f'{number(prm["auc_within"], prm["auc_within_ci95"])}'
        + ('' if prm['auc_gain_within'] is None else
           f', {prm["auc_gain_within"]:+z.3f} against the log-probability\'s')
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
      add(f'{tag}: gain over log-probability', v['auc_gain_within'], v['auc_gain_within_ci95'], n)
      if name == main(results):
        add('log-probability: AUC within a question', v['auc_logprob_within'], None, n)
      if v['prefix_auc_within'] is not None:
        add(f'{tag}: AUC of unfinished steps', v['prefix_auc_within'], None,
            v['prefix_auc_within_n'])
      add(f'{tag}: AUC over all answers', v['auc_pooled'], None, asked)
      add(f'{tag}: share of the gap closed, N = 16', v['gap_closed'], v['gap_closed_ci95'], asked)
  prm = results['verifier'][main(results)]
  if prm is not None:
    add('knowing only the question: AUC over all answers', prm['auc_question_only'], None, asked)
  return rows


def _count(value: int | float | None) -> str:
  return '' if value is None else f'{value:,.0f}'


def _ledger(results: Mapping[str, Any]) -> str:
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
      ['stage: model', *COUNTS, 'FLOPs', 'ratio', 'computed', 'computed / entered'], rows, bad)


def _stages(results: Mapping[str, Any]) -> str:
  rows, bad = [], []
  for s in results['stages']:
    wall, plan = s['wall_seconds'], s['budget_seconds']
    share = f'{wall / plan:.0%}' if wall is not None and plan else ''
    bad.append(bool(plan and wall and wall > plan))
    memory = '' if s['peak_rss_bytes'] is None else f'{s["peak_rss_bytes"] / 1e9:.2f}'
    rows.append([s['stage'], _count(plan), '' if wall is None else f'{wall:.1f}', share,
                 _count(s['cpu_seconds']), memory])
  return page.table(['stage', 'planned s', 'actual s', 'of plan', 'CPU s', 'peak GB'], rows, bad)


def _figure(figure: Figure) -> str:
  data = base64.b64encode(figure.png).decode()
  return (f'<h2>{html.escape(figure.title)}</h2><figure><img alt="{html.escape(figure.title)}" '
          f'src="data:image/png;base64,{data}"><figcaption>{html.escape(figure.caption)} '
          f'(<a href="{figure.name}.csv">CSV</a>, <a href="{figure.name}.png">PNG</a>)'
          '</figcaption></figure>')


def _index(results: Mapping[str, Any], figures: Sequence[Figure],
           trees: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
  name = (results['config'] or {}).get('name', 'a run')
  body = [f'<h1>Test-time scaling: {html.escape(str(name))}</h1>',
          '<ol class="summary">'
          + ''.join(f'<li>{html.escape(line)}</li>' for line in _summary(results)) + '</ol>',
          f'<p class="meta">{html.escape(str(results["device"]))}; config '
          f'{html.escape(str(results["config_hash"]))}; seeds '
          f'{html.escape(str(results["seeds"]))}; intervals are over questions, given these '
          'models. All numbers: <a href="results.json">results.json</a>; what each question\'s '
          f'answers were: <a href="{question_data.FILE}">{question_data.FILE}</a>.</p>',
          *_voting(results), '<h2>Key numbers</h2>',
          page.table(['', 'value', '95% interval', 'questions'], _key_numbers(results))]
  if results['contrasts']:
    body += ['<h2>Paired differences</h2>', tables.contrasts(results['contrasts'])]
  if results['claims']:
    body += ['<h2>The paper\'s claims</h2>', tables.claims(results)]
  if results['pooled']:
    body += ['<h2>Over training seeds</h2>', '<p>Models, labels and searches of '
             f'{len(results["seeds"])} seeds; intervals over seeds and questions. All else on this '
             'page is the first seed\'s.</p>', _over_seeds(results)]
  body += [_figure(f) for f in figures]
  body += exchange_figures.tables(results)
  if results['decomposition']:
    body += ['<h2>What each part of the policy is worth</h2>',
             '<p>Policies that pay for their estimate of difficulty first, free ones after them. '
             'Random bins go through the same choices: what they gain is not difficulty\'s.</p>',
             tables.decomposition(decomposition.headline(results['decomposition'])),
             '<details><summary>At every budget</summary>'
             f'{tables.decomposition(results["decomposition"])}</details>']
  if results['efficiency']:
    body += ['<details><summary>Efficiency of the policies: how much less they spend for what the '
             f'baseline reaches</summary>{tables.efficiency(results["efficiency"])}</details>']
  if (revised := results['revisions']) is not None:
    body += ['<details><summary>Revisions: paired differences</summary>'
             f'{tables.contrasts(revised["contrasts"])}</details>']
  if results['moved']:
    body += ['<details><summary>Budget moved between questions: N on average, more where a '
             f'generation buys more</summary>{tables.moved(results)}'
             f'{tables.efficiency(results["moved_efficiency"])}</details>']
  if results['settled']:
    body += ['<details><summary>Votes stopped once no further sample can change them</summary>'
             f'{tables.settled(results)}</details>']
  if results['votes']:
    body += ['<details><summary>Votes without a verifier, beside a majority of the same mean cost'
             f'</summary>{tables.votes(results)}</details>']
  if fools := tables.fools(results):
    body += ['<h2>What fools the verifiers</h2>',
             '<p>Of all questions with right and wrong answers, those where the highest-scored '
             'wrong one leads the best right one by most. A step\'s score stands before it.</p>',
             *fools]
  if trees:
    items = []
    for file, t in trees:
      verdict = ('no answer' if t['winner'] is None
                 else f'chose {t["winner"]}, the answer is {t["answer"]}')
      items.append(f'<li><a href="{html.escape(urllib.parse.quote(file))}">'
                   f'{html.escape(t["problem_id"])}</a>: {html.escape(t["strategy"])}, '
                   f'{tree_page.setting(t)}; {html.escape(verdict)}</li>')
    body += ['<h2>Search trees</h2>', '<p>Every step that a search wrote, with its score.</p>',
             '<ul>', *items, '</ul>']
  body += ['<h2>Where the tokens went</h2>', _ledger(results),
           '<p class="meta">ratio = entered / (prompt + kept + pruned + simulated + reencoded − '
           'last): 1.000, or tokens are missing from the account.</p>',
           '<h2>Where the time went</h2>', _stages(results)]
  if results['reasons']:
    body.append('<details><summary>What is null, and why</summary><ul>' + ''.join(
        f'<li><code>{html.escape(k)}</code>: {html.escape(v)}</li>'
        for k, v in results['reasons'].items()) + '</ul></details>')
  return page.document(f'Test-time scaling: {name}', '\n'.join(body), _STYLE)


def _voting(results: Mapping[str, Any]) -> list[str]:
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


def _cells(workdir: pathlib.Path, results: Mapping[str, Any]) -> dict[Cell, pathlib.Path]:
  """Report folders by training seed, on one benchmark, once each has one; else {}, and the reason.
  """
  first, *others = results['seeds'] or [None]
  folders = {first: workdir / 'report'} | {s: workdir / 'seeds' / str(s) / 'report' for s in others}
  waiting = [str(s) for s, folder in folders.items()
             if not all((folder / name).exists() for name in ('outcomes.csv.gz', CLAIMS))]
  if others and not waiting:
    return {(seed, 0): folder for seed, folder in folders.items()}
  results['reasons']['pooled'] = (
      f'no report yet of seeds {", ".join(waiting)}' if others else 'one training seed')
  return {}


def _over_seeds(results: Mapping[str, Any]) -> str:
  rows = [[r['strategy'], '' if r['beam_width'] is None else r['beam_width'],
           '' if r['lookahead'] is None else r['lookahead'], r['budget'],
           number(r['accuracy'], r['ci95']), ' '.join(f'{a:.3f}' for a in r['by_seed']), r['n']]
          for r in training_seeds.main_rows(results['pooled'], main(results))]
  return page.table(['strategy', 'M', 'k', 'N', 'accuracy', 'by seed', 'questions'], rows)


def _tree(folder: pathlib.Path, path: pathlib.Path) -> tuple[str, dict[str, Any]]:
  """Writes one tree's page; its name and what it shows."""
  contents = records.read_json(path)
  file = f'tree-{path.stem}.html'
  records.write_bytes(folder / file, tree_page.render(contents, str(path)).encode())
  return file, contents


def write(workdir: str | os.PathLike[str], mapped: Callable = map) -> dict[str, Any]:
  """Writes the whole report.

  Args:
    workdir: a run's folder; whatever is there so far is reported.
    mapped: `map`, or an executor's, to read files and draw figures in several processes.

  Returns:
    The contents of `results.json`.

  Raises:
    InputError: the folder is not a run's, or one of its files is damaged.
  """
  run = runfiles.load(workdir, mapped)
  try:
    plugins.load((run.run.get('config') or {}).get('plugins') or ())
  except InputError as error:  # of an estimator; what else they added is in the records
    logging.warning('%s: the report goes without its difficulty estimators', error)
  folder = pathlib.Path(workdir) / 'report'
  outcomes = results_lib.measured(run)
  bins = results_lib.schemes_of(run).get('oracle', {})
  encoding = mapped(functools.partial(outcome_table.encode, bins=bins), [outcomes])
  trials = results_lib.trials_of(run, outcomes)
  results = results_lib.assemble(run, outcomes, trials, mapped)
  records.write_bytes(folder / 'outcomes.csv.gz', *encoding)
  records.write_bytes(folder / CLAIMS, claim_sides.encode(run.root, claim_sides.look(
      outcomes, trials, list(exchange_sides.larger_sides(run)), results_lib.schemes_of(run))))
  records.write_bytes(folder / question_data.FILE, question_data.encode(
      run, list(dict.fromkeys(t.estimator for t in trials)), claim_sides.load(run.root)))
  cells = _cells(pathlib.Path(workdir), results)
  results['pooled'] = training_seeds.rows(cells) if cells else []
  if cells:  # one seed's verdicts are not the study's
    results['claims'] = training_seeds.claim_rows(
        cells, claim_sides.load(run.root), results['claims'])
  results['opening'] = opening.of(
      run, max((len(o.ids) for o in outcomes), default=0), results['claims'])
  records.write_json(folder / 'results.json', results)
  fits = (policy.fit([t for t in trials if t.estimator.name == name])
          for name in estimators.saved(run))
  if (fitted := next(filter(None, fits), None)) is not None:
    policy.save(fitted, run.root / 'policy.json')
  else:  # one from before would answer for records that are no longer there
    (run.root / 'policy.json').unlink(missing_ok=True)
  figures = all_figures.draw(results, mapped)
  for figure in figures:
    records.write_bytes(folder / f'{figure.name}.png', figure.png)
    records.write_bytes(folder / f'{figure.name}.csv', figure.csv())
  trees = list(mapped(functools.partial(_tree, folder), run.trees))
  records.write_bytes(folder / 'index.html', _index(results, figures, trees).encode())
  drawn = {f.name for f in figures}
  stale = [folder / f'{name}.{end}' for name in all_figures.FILES if name not in drawn
           for end in ('png', 'csv')]
  stale += [p for p in folder.glob('tree-*.html') if p.name not in dict(trees)]
  for path in stale:
    path.unlink(missing_ok=True)
  return results
