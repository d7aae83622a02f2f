"""Assembles `results.json` from a run's files alone.

What has not been measured is null, never 0; `reasons` says why, by field.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from tts.eval.claims import claim_sides
from tts.eval.exchange import exchange, exchange_sides
from tts.eval.measures import chain_strategies, chains, contrasts, curves
from tts.eval.measures import difficulty_agreement, equal_flops, outcomes as outcomes_lib
from tts.eval.measures import statistics, verifier_quality
from tts.eval.measures.outcomes import Outcome
from tts.eval.policy import compute_optimal, decomposition, difficulty, estimators, mechanisms
from tts.eval.policy import over_questions, strategy_options, trials as trials_lib
from tts.eval.policy.trials import Trial
from tts.eval.storage.runfiles import RunFiles
from tts.eval.votes import compared, early_stopping


def _model(run: RunFiles, name: str, reasons: dict[str, str]) -> dict[str, Any] | None:
  """A generator: its size, mean accuracy of its samples, accuracy of its greedy answer."""
  meta = run.models.get(name)
  measured = {'pass_at_1': run.setting(name, 'sample'), 'greedy': run.setting(name, 'greedy')}
  if meta is None and not any(measured.values()):
    return None
  out: dict[str, Any] = {'params': meta and meta['params'], 'checkpoint': None,
                         'quantisation': None}
  if meta is not None and meta.get('arch') is not None:
    out['checkpoint'] = run.checkpoint(name) or f'models/{name}'
    out['quantisation'] = (meta.get('open') or {}).get('quantisation')
  if engine := (meta or {}).get('engine'):
    out['engine'] = engine
    reasons[f'models.{name}.engine'] = (
        f'{engine["name"]} {engine["version"] or ""} wrote for this model: its records are not '
        'reproducible bit for bit'.replace('  ', ' '))
  for field, samples in measured.items():
    out.update({field: None, f'{field}_ci95': None, f'{field}_n': 0})
    if samples is None:
      reasons[f'models.{name}.{field}'] = 'not sampled yet'
      continue
    accuracy = (samples.correct & samples.votes).mean(axis=1)
    out.update({field: float(accuracy.mean()), f'{field}_ci95': statistics.mean_interval(accuracy),
                f'{field}_n': len(accuracy)})
  pool = measured['pass_at_1']
  out['pass_at_k'] = []
  if pool is not None:
    right, size = (pool.correct & pool.votes).sum(axis=1), pool.setting.strategy.budget
    out['pass_at_k'] = [[k, float(statistics.pass_at_k(right, size, k).mean())]
                        for k in outcomes_lib.budgets(size)]
  return out


def _stages(run: RunFiles) -> list[dict[str, Any]]:
  fields = ('wall_seconds', 'budget_seconds', 'compile_seconds', 'cpu_seconds', 'peak_rss_bytes')
  return [{'stage': name, **{f: stage.get(f) for f in fields}}
          for name, stage in run.stages.items()]


def _known(values: list[float | None]) -> list[float]:
  return [v for v in values if v is not None]


def schemes_of(run: RunFiles) -> dict[str, dict[str, int]]:
  """Every binning of the reported questions."""
  return difficulty.schemes(run.difficulty_pool, run.setting('base', 'sample'), _cuts(run))


def _cuts(run: RunFiles) -> tuple[float, ...]:
  """What the config cuts estimates at; () for quintiles."""
  return tuple(((run.run.get('config') or {}).get('difficulty') or {}).get('cuts') or ())


def measured(run: RunFiles) -> list[Outcome]:
  """Every outcome that can be measured from what the run has recorded so far."""
  return [*outcomes_lib.every(run), *(o for o in chain_strategies.every(run) if o is not None)]


def trials_of(run: RunFiles, found: list[Outcome]) -> list[Trial]:
  """All strategies by every way to estimate the difficulty of the reported questions."""
  return trials_lib.every(found, [dataclasses.replace(e, cuts=_cuts(run)) for e in (
      *difficulty.estimators(run.difficulty_pool, run.setting('base', 'sample'),
                             lambda samples: strategy_options.price(found, samples)),
      *estimators.every(run, lambda samples: strategy_options.price(found, samples),
                        dict.fromkeys(strategy_options.AXES, 0.0)))])


def assemble(run: RunFiles, found: list[Outcome] | None = None,
             trials: list[Trial] | None = None, mapped: Callable = map) -> dict[str, Any]:
  """Everything that the report shows, as strict JSON values.

  Args:
    run: from `runfiles.load`; parts that are not there yet give nulls and fewer rows.
    found: the run's outcomes where the caller has them.
    trials: the same, of these outcomes.
    mapped: `map`, or an executor's, for what may go on beside the rest.

  Returns:
    The contents of `results.json`.
  """
  reasons: dict[str, str] = {}
  found = measured(run) if found is None else found
  trials = trials_of(run, found) if trials is None else trials
  voting = mapped(functools.partial(compared.rows, meta=run.models.get('base')),
                  [run.pools('base')])
  moving = mapped(over_questions.rows, [trials])
  schemes = schemes_of(run)
  if 'oracle' not in schemes:
    reasons['curves.bin'] = 'no difficulty pool yet, so no bins'
  reasons['curves.seconds'] = 'null in bins: blocks are timed, and hold questions of every bin'
  if any(o.generated_tokens is None for o in found):
    reasons['curves.generated_tokens'] = 'these samples came without their numbers of tokens'
  if any(o.verifier_tokens is None for o in found):
    reasons['curves.verifier_tokens'] = 'what the verifier read of these samples is not known'
  if any(o.flops is None for o in found):
    reasons['curves.flops'] = 'the parameters of a model, or its tokens, are not known'
  stages = _stages(run)
  models = {name: _model(run, name, reasons)
            for name in (*run.generators, *filter(run.models.__contains__, run.revisers))}
  oracle = schemes.get('oracle', {})
  verifiers = {name: verifier_quality.describe(run, name, oracle, reasons)
               for name in run.verifiers}
  for part, values in (('models', models), ('verifier', verifiers)):
    for name in (n for n, v in values.items() if v is None):
      reasons[f'{part}.{name}'] = 'not part of the run, or not trained yet'
  larger = list(exchange_sides.larger_sides(run))
  small = exchange_sides.small_side(trials)
  revising = exchange_sides.small_side(trials, 'revision')
  if not larger:
    reasons['flops_matched'] = 'no larger model has answered yet'
  policies, distances = compute_optimal.rows(trials, reasons)
  decomposed = decomposition.rows(trials)
  matched = [
      *exchange.rows(larger, small, schemes, exchange_sides.once(run)),
      # What training a revision model costs is not in `once`.
      *(exchange.rows(larger, revising, schemes, None, ('paper',)) if revising.budgets else ())]
  even = [*exchange.break_even(larger, small, schemes),
          *exchange.break_even(larger, revising, schemes)]
  claimed = claim_sides.rows(run.root, claim_sides.look(found, trials, larger, schemes))
  (shared, saved), = moving  # which went on beside all that
  votes, = voting
  return {
      'config': run.run.get('config'), 'config_hash': run.run.get('config_hash'),
      'versions': run.run.get('versions'), 'device': run.run.get('device'),
      'wall_seconds': {s['stage']: s['wall_seconds'] for s in stages},
      'budget_seconds': {s['stage']: s['budget_seconds'] for s in stages},
      'cpu_seconds': sum(c) if (c := _known([s['cpu_seconds'] for s in stages])) else None,
      'peak_rss_bytes': max(_known([s['peak_rss_bytes'] for s in stages]), default=None),
      'seeds': run.run.get('seeds'), 'stages': stages,
      'models': models, 'verifier': {'main': run.main, **verifiers},
      'logprob': verifier_quality.logprob(run, oracle),
      'curves': curves.curve_rows(found, schemes),
      'ablations': curves.ablation_rows(found, schemes),
      'contrasts': contrasts.rows(found, run.setting('base', 'sample'), schemes),
      'equal_flops': list(equal_flops.rows(found)),
      'ledger': run.ledger.table(run.models),
      'difficulty': difficulty_agreement.rows(run.difficulty_pool),
      'compute_optimal': policies, 'efficiency': distances,
      'decomposition': decomposed,
      'revisions': chains.describe(run, found, oracle),
      'mechanisms': mechanisms.rows(trials),
      'moved': shared, 'moved_efficiency': saved, 'settled': list(early_stopping.rows(run)),
      'votes': votes,
      'flops_matched': matched, 'break_even': even, 'claims': claimed,
      # Only of a run whose grader says more than normal forms do.
      **({} if run.verdicts is None else {'verdicts': run.verdicts}),
      'reasons': reasons,
  }
