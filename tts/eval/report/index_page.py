"""`index.html`: one screen that answers, then everything else folded, a part a subject."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tts.eval.figures import exchange_figures
from tts.eval.figures.figure import Figure
from tts.eval.policy import decomposition
from tts.eval.report import findings, headline, page, question_data, run_tables, svg, tables
from tts.eval.report import tree_list

_FIRST = 'accuracy_vs_budget'  # on the first screen
_STYLE = """
main { max-width: 1240px; padding-top: .6em; }
h1 { margin: .2em 0; }
.summary { padding-left: 1.2em; margin: .3em 0 .6em; font-size: 16px; line-height: 1.4; }
.summary li { margin: .2em 0; }
.first { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 56%); gap: 0 1.4em;
  align-items: start; }
.first figure { margin: 0; } .first table { font-size: 12.5px; margin: 0; width: 100%; }
.first th, .first td { padding: .26em .45em; } .first td + td { white-space: nowrap; }
.first .meta { margin: .4em 0; font-size: 12.5px; }
figure { margin: 1em 0 2em; } figcaption { color: var(--soft); font-size: 14px; max-width: 62em;
  margin-top: .4em; }
.part figure svg { max-width: 860px; }
.drawing { overflow-x: auto; } .drawing svg { min-width: 520px; }
.meta { color: var(--soft); font-size: 13px; }
.fools td { text-align: left; white-space: pre-wrap; vertical-align: top; }
details { margin: 1em 0; } details ul { font-size: 14px; }
.part { margin: 0; border-top: 1px solid var(--rule); padding: .5em 0; }
.part > summary { cursor: pointer; } .part > summary h2 { display: inline; margin: 0 .5em 0 0; }
.part > summary span { color: var(--soft); }
.part[open] { padding-bottom: 1.5em; }
@media (max-width: 900px) { .first { grid-template-columns: minmax(0, 1fr); } }
/* On paper every part is open; what is folded inside one, long tables, is not. */
@media print { .drawing { overflow: visible; } .drawing svg { min-width: 0; }
  .summary, figcaption { font-size: 11px; }
  .part::details-content { content-visibility: visible; display: block; } }
"""


@dataclasses.dataclass(frozen=True)
class _Part:
  """A folded part: `finding` is what it says, in a sentence; `body` is HTML."""

  title: str
  finding: str
  body: Sequence[str]

  def html(self) -> str:
    return (f'<details class="part"><summary><h2>{html.escape(self.title)}</h2>'
            f'<span>{html.escape(self.finding)}</span></summary>\n'
            + '\n'.join(self.body) + '</details>')


def render(results: Mapping[str, Any], figures: Sequence[Figure], trees: tree_list.Trees,
           voted: tree_list.Votes) -> str:
  """The page.

  Args:
    results: contents of `results.json`.
    figures: of `all_figures.draw`.
    trees: pages of search trees beside this one.
    voted: of `tree_list.votes`.
  """
  name = str((results['config'] or {}).get('name', 'a run'))
  drawn = {f.name: f for f in figures}
  body = [f'<h1>Test-time scaling: {html.escape(name)}</h1>', *_first(results, drawn.get(_FIRST))]
  parts = [p for p in _parts(results, drawn, trees, voted) if p.body]
  body += [p.html() for p in parts]
  return page.document(f'Test-time scaling: {name}', '\n'.join(body), svg.STYLE + _STYLE)


def _first(results: Mapping[str, Any], figure: Figure | None) -> list[str]:
  """The screen that answers: three sentences, a figure, a table."""
  said = ''.join(f'<li>{html.escape(line)}</li>' for line in headline.sentences(results))
  body = [f'<ol class="summary">{said}</ol>', '<div class="first">']
  if figure is not None:
    body.append(_figure(figure, 'A point says its value and n under a pointer; bands are 95% '
                        'intervals over questions.'))
  if table := headline.table(results):
    body.append(f'<div>{table}<p class="meta">{html.escape(headline.note(results))}</p></div>')
  return [*body, '</div>']


def _figure(figure: Figure, caption: str | None = None) -> str:
  drawing = svg.labelled(figure.svg, figure.title)
  return (f'<figure><div class="drawing" role="group" tabindex="0" '
          f'aria-label="{html.escape(figure.title)}">{drawing}</div><figcaption>'
          f'{html.escape(figure.caption if caption is None else caption)} '
          f'(<a href="{figure.name}.csv">CSV</a>, <a href="{figure.name}.png">PNG</a>)'
          '</figcaption></figure>')


def _parts(results: Mapping[str, Any], drawn: Mapping[str, Figure], trees: tree_list.Trees,
           voted: tree_list.Votes) -> Iterator[_Part]:
  """Every part; those without a body are not shown."""
  def figures(*names: str) -> list[str]:
    return [text for name in names if (f := drawn.get(name)) is not None
            for text in (f'<h3>{html.escape(f.title)}</h3>', _figure(f))]

  first = drawn.get(_FIRST)
  yield _Part('Every method and budget', findings.methods(results), [
      *([] if first is None else [f'<p>{html.escape(first.caption)}</p>']),
      '<ul>' + ''.join(f'<li>{html.escape(line)}</li>' for line in run_tables.summary(results))
      + '</ul>', *run_tables.voting(results), run_tables.key_numbers(results)])
  yield _Part('On which questions', findings.difficulty(results),
              figures('accuracy_vs_budget_by_bin'))
  yield _Part('At what cost', findings.cost(results),
              figures('accuracy_vs_flops', 'accuracy_vs_seconds'))
  yield _Part('Votes that stop early', findings.votes(results), _early(results))
  yield _Part('A strategy per question', findings.policy(results), [
      *figures('compute_optimal'), *_policy(results)])
  yield _Part('The verifier', findings.verifier(results), figures(
      'prm_vs_orm', 'aggregation', 'auc_by_step', 'over_optimisation', 'calibration'))
  if fools := tables.fools(results):
    yield _Part('What fools the verifiers', findings.fools(results), [
        '<p>Of all questions with right and wrong answers, those where the highest-scored wrong '
        'one leads the best right one by most. A step\'s score stands before it.</p>', *fools])
  yield _Part('Against larger models', findings.exchange(results), [
      *figures('exchange'), *exchange_figures.tables(results)])
  yield _Part('Revisions', findings.revisions(results), [
      *figures('revision_chain', 'revision_depth', 'revision_ratio', 'mechanisms'),
      *_folded('Paired differences', tables.contrasts(results['revisions']['contrasts'])
               if results['revisions'] is not None else '')])
  yield _Part('Thinking', findings.thinking(results), figures('accuracy_vs_thinking'))
  if results['contrasts']:
    yield _Part('Paired differences', findings.contrasts(results),
                [tables.contrasts(results['contrasts'])])
  if results['claims']:
    groups = tables.claim_groups(results)
    yield _Part('The paper\'s claims', findings.claims(results, groups), tables.claims(groups))
  if results['pooled']:
    yield _Part('Over training seeds', findings.seeds(results), [run_tables.over_seeds(results)])
  if trees:
    questions = tree_list.by_question(trees, voted)
    yield _Part('Search trees', tree_list.finding(questions), tree_list.render(questions, voted))
  yield _Part('Where tokens and time went', findings.spent(results), [
      run_tables.ledger(results),
      '<p class="meta">ratio = entered / (prompt + kept + pruned + simulated + reencoded − '
      'last): 1.000, or tokens are missing from the account.</p>',
      *figures('stages'), run_tables.stages(results)])
  yield _Part('This run, and what is not known of it',
              f'{len(results["reasons"])} fields are null, each with a reason.', _about(results))


def _folded(title: str, body: str) -> list[str]:
  return [f'<details><summary>{html.escape(title)}</summary>{body}</details>'] if body else []


def _early(results: Mapping[str, Any]) -> list[str]:
  body = []
  if results['settled']:
    body += ['<h3>Votes stopped once no further sample can change them</h3>',
             tables.settled(results)]
  if results.get('votes'):
    body += ['<h3>Votes without a verifier, beside a majority of the same mean cost</h3>',
             tables.votes(results)]
  return body


def _policy(results: Mapping[str, Any]) -> list[str]:
  body = []
  if results['decomposition']:
    body += ['<h3>What each part of the policy is worth</h3>',
             '<p>Policies that pay for their estimate of difficulty first, free ones after them. '
             'Random bins go through the same choices: what they gain is not difficulty\'s.</p>',
             tables.decomposition(decomposition.headline(results['decomposition'])),
             *_folded('At every budget', tables.decomposition(results['decomposition']))]
  if results['efficiency']:
    body += _folded('Efficiency of the policies: how much less they spend for what the baseline '
                    'reaches', tables.efficiency(results['efficiency']))
  if results['moved']:
    body += _folded('Budget moved between questions: N on average, more where a generation buys '
                    'more', tables.moved(results) + tables.efficiency(results['moved_efficiency']))
  return body


def _about(results: Mapping[str, Any]) -> list[str]:
  return [f'<p>{html.escape(str(results["device"]))}; config '
          f'{html.escape(str(results["config_hash"]))}; seeds '
          f'{html.escape(str(results["seeds"]))}; intervals are over questions, given these '
          'models. All numbers: <a href="results.json">results.json</a>; what each question\'s '
          f'answers were: <a href="{question_data.FILE}">{question_data.FILE}</a>.</p>',
          '<ul>' + ''.join(f'<li><code>{html.escape(k)}</code>: {html.escape(v)}</li>'
                           for k, v in results['reasons'].items()) + '</ul>']
