"""The sentence that each part of the report begins with: what it found.

Made from `results.json`'s contents; what was not measured is said to be so, and a difference whose
interval includes 0 is called not told apart, with n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tts.eval.figures.figure import called, judges, main, main_label, NAMES, number, overall
from tts.eval.figures.figure import rival, verifiers
from tts.eval.policy.difficulty import CHARGED
from tts.eval.report.compared import by_bin, Difference, difference, said
from tts.eval.report.headline import binned, compared

Results = Mapping[str, Any]


def methods(results: Results) -> str:
  rows = [r for r in results['curves'] if r['bin'] is None]
  if not rows:
    return 'No question has an answer that was graded yet.'
  most = max(r['budget'] for r in rows)
  text = (f'{len(overall(results))} methods and settings were run with up to {most} generations a '
          f'question, on {max(r["n"] for r in rows):,} questions')
  oracle = overall(results).get(NAMES['oracle'])
  return text + ('.' if not oracle else
                 f'; some sample of {oracle[-1]["budget"]} is right on '
                 f'{number(oracle[-1]["accuracy"])} of them.')


def difficulty(results: Results) -> str:
  """Where a search gains over the weighted vote of as many samples, or that over the majority."""
  found = compared(results)
  if found is None or not any(r['bin'] for r in results['curves']):
    return 'By difficulty nothing can be compared.'
  a = next((r for r in found.methods if r.get('guided')), None)
  names = ('best_of_n_weighted', 'majority') if a else ('majority',)
  a = a or next((r for r in found.methods if r['strategy'] == 'best_of_n_weighted'), None)
  b = next((r for name in names for r in found.methods if r['strategy'] == name), None)
  if a is None or b is None:
    return f'By difficulty {called(found.best)} alone can be shown.'
  gains = binned(results, a, b)
  if not gains:
    return 'By difficulty nothing can be compared.'
  return f'{called(a)} over {called(b)} at N = {found.budget}: {by_bin(gains)}.'


def cost(results: Results) -> str:
  rows = [r for r in results['curves'] if r['bin'] is None and r['flops']
          and r['strategy'] != 'oracle']
  rows = [r for r in rows if r['n'] == max(r['n'] for r in rows)]  # the same questions
  if not rows:
    return 'What an answer costs was not counted: tokens, FLOPs and seconds are not known.'
  best = max(rows, key=lambda r: r['accuracy'])
  cheap = min(rows, key=lambda r: r['flops'])
  text = (f'The highest accuracy, {number(best["accuracy"], best["ci95"])}, is {called(best)} at '
          f'N = {best["budget"]} for {best["flops"]:.3g} FLOPs a question')
  if cheap is best:
    return f'{text}, which is the cheapest answer too.'
  return (f'{text}; the cheapest answer, {called(cheap)} at N = {cheap["budget"]} for '
          f'{cheap["flops"]:.3g}, is right on {number(cheap["accuracy"], cheap["ci95"])}.')


def policy(results: Results) -> str:
  kinds = (('predicted', CHARGED, 'its difficulty paid for'),
           ('predicted', 'pool', 'its difficulty predicted for nothing'),
           ('oracle', 'pool', 'its difficulty known for nothing'))
  for bins, estimator, how in kinds:
    rows = [r for r in results['compute_optimal']
            if (r['mechanism'], r['bins'], r['estimator']) == ('search', bins, estimator)
            and r['best_fixed_difference'] is not None]
    at = [r for r in rows if r['budget'] <= 16] or rows
    if at:
      row = max(at, key=lambda r: r['budget'])
      d = Difference(row['best_fixed_difference'], row['best_fixed_difference_ci95'], row['n'])
      return (f'Choosing a strategy per question, {how}, beside the best single strategy at '
              f'N = {row["budget"]}: {said(d)}.')
  return 'No policy could be chosen: there are no estimates of difficulty.'


def verifier(results: Results) -> str:
  about, label = results['verifier'].get(main(results)) or {}, main_label(results)
  if about.get('auc_within') is None:
    return f'The {label} has not scored the pool yet.'
  text = (f'Between right and wrong answers of the same question the {label}\'s AUC is '
          f'{number(about["auc_within"], about["auc_within_ci95"])} (a coin has 0.5, '
          f'n = {about["auc_within_n"]})')
  other = rival(results, main(results))
  if other and about.get('auc_gain_within') is not None:
    d = Difference(about['auc_gain_within'], about['auc_gain_within_ci95'], about['auc_within_n'])
    text += f'; beside the model\'s own {other}: {said(d)}'
  return f'{text}.'


def fools(results: Results) -> str:
  about = [(name, max(f['margin'] for f in v['fools']))
           for name, v in verifiers(results).items() if v is not None and v['fools']]
  name, most = max(about, key=lambda p: p[1])
  return (f'The worst case: the {judges(results)[name]} puts a wrong answer above the best right '
          f'one of the same question by {most:.3f}.')


def exchange(results: Results) -> str:
  rows = [r for r in results['flops_matched']
          if (r['mechanism'], r['accounting'], r['larger_strategy'], r['bin']) == (
              'search', 'paper', 'greedy', None) and r['difference'] is not None]
  if not rows:
    return 'No comparison with a larger model at equal FLOPs was measured.'
  parts = []
  for larger in dict.fromkeys(r['larger'] for r in rows):
    mine = [r for r in rows if r['larger'] == larger]
    mine = [r for r in mine if r['bins'] == mine[0]['bins']]
    parts.append(f'{larger} ({mine[0]["m"]:.1f} times the parameters): ' + ', '.join(
        f'{_exchanged(r)} at R = {r["R"]:g}' for r in mine))
  return ('The small model with more compute beside a larger one\'s greedy answer at equal FLOPs: '
          + '; '.join(parts) + '.')


def _exchanged(row: Mapping[str, Any]) -> str:
  d = Difference(row['difference'], row['ci95'], row['n'])
  if row['underspent'] and d.sign < 0:  # it could have had more than twice as much
    return f'undecided, less than half was spent ({d.text()})'
  return said(d)


def revisions(results: Results) -> str:
  made = results['revisions']
  if made is None:
    return 'No revisions were drawn.'
  for c in made['contrasts']:
    if c['id'] == f'chain_step_{made["chain_length"]}_minus_1':
      return (f'Answer {made["chain_length"]} of a chain beside its first: '
              f'{said(Difference(c["difference"], c["ci95"], c["n"]))}.')
  return f'Chains of {made["chain_length"]} answers were drawn on {made["questions"]} questions.'


def thinking(results: Results) -> str:
  rows = [r for r in results['curves'] if r['bin'] is None and r['strategy'] == 'budget_forcing']
  alone = next((r for r in results['curves'] if r['bin'] is None
                and (r['strategy'], r['budget']) == ('majority', 1)), None)
  if not rows:
    return 'No thought was cut or made longer.'
  best = max(rows, key=lambda r: r['accuracy'])
  text = f'{called(best)} has the highest accuracy, {number(best["accuracy"], best["ci95"])}'
  d = alone and difference(results, best, alone)
  return f'{text}; beside a thought left to itself: {said(d)}.' if d else f'{text}.'


def contrasts(results: Results) -> str:
  signs = [Difference(c['difference'], c['ci95'], c['n']).sign for c in results['contrasts']]
  return (f'Of {len(signs)} paired differences {signs.count(1)} are above 0, {signs.count(-1)} '
          f'below, and {signs.count(0)} are not told apart from 0.')


def votes(results: Results) -> str:
  signs = [Difference(v['difference'], v['difference_ci95'], v['n']).sign
           for v in results.get('votes', ())]
  stopped = [s for s in results['settled'] if s['strategy'] == 'majority']
  parts = []
  if stopped:
    most = max(stopped, key=lambda s: s['budget'])
    parts.append(f'A majority of {most["budget"]} is settled after '
                 f'{most["generations"]:.1f} samples on average (n = {most["n"]:,})')
  if signs:
    parts.append(f'of {len(signs)} votes that stop early or weigh by confidence {signs.count(1)} '
                 f'are ahead of a majority of the same cost, {signs.count(-1)} behind, '
                 f'{signs.count(0)} not told apart')
  return '; '.join(parts) + '.' if parts else 'No vote was stopped early.'


def claims(results: Results, groups: Mapping[str, Sequence[Any]]) -> str:
  """`groups`: of `tables.claim_groups`."""
  return (f'Of {sum(map(len, groups.values()))} claims '
          + ', '.join(f'{len(found)} {what}' for what, found in groups.items()) + '.')


def seeds(results: Results) -> str:
  return (f'Models, labels and searches of {len(results["seeds"])} seeds; intervals are over seeds '
          'and questions. All else on this page is the first seed\'s.')


def spent(results: Results) -> str:
  ratios = [e['ratio'] for models in results['ledger'].values() for e in models.values()
            if e['ratio'] is not None]
  lost = sum(ratio != 1 for ratio in ratios)
  times = [s for s in results['stages'] if s['wall_seconds'] is not None]
  return '; '.join(_spent(len(ratios), lost, times)) + '.'


def _spent(counted: int, lost: int, times: Sequence[Mapping[str, Any]]) -> Iterator[str]:
  if counted:
    yield (f'{lost} of {counted} token accounts do not add up' if lost
           else 'All tokens are accounted for')
  else:
    yield 'No tokens were counted'
  if times:
    over = [s['stage'] for s in times if s['budget_seconds']
            and s['wall_seconds'] > s['budget_seconds']]
    planned = any(s['budget_seconds'] for s in times)
    yield (f'the run took {sum(s["wall_seconds"] for s in times):,.0f} s'
           + (f', longer than planned in {", ".join(over)}' if over else
              ', no stage over its plan' if planned else ''))
