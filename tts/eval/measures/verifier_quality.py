"""How good a verifier is: the `verifier` part of the results.

What selection needs is telling right from wrong answers of the same question; an AUC over all
answers is mostly about which questions are hard, so it stands beside one that knows that alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, flops, statistics, verifier_diagnostics, vote_groups
from tts.eval.measures.outcomes import scores
from tts.eval.policy.difficulty import oracle_estimate
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import Samples

_GAP_BUDGET = 16
_FIELDS = (
    'auc_within', 'auc_within_ci95', 'auc_within_n', 'auc_within_plain', 'auc_logprob_within',
    'logprob_weight', 'auc_pooled', 'auc_question_only', 'prefix_auc_within',
    'prefix_auc_within_n', 'val_bce', 'ece', 'gap_closed', 'gap_closed_ci95', 'auc_gain_within',
    'auc_gain_within_ci95', 'calibration', 'params', 'quantisation',
    'params_relative', 'flops_per_token', 'auc_by_step',
    'auc_by_bin', 'over_optimisation', 'fools')


def describe(run: RunFiles, name: str, bins: Mapping[str, int],
             reasons: dict[str, str]) -> dict[str, Any] | None:
  """Quality of a verifier on the reported questions' independent pool.

  Args:
    run: the files.
    name: one of `run.verifiers`.
    bins: id -> oracle bin; empty where there is none.
    reasons: gets `verifier.<name>.<field>` -> why it is null.

  Returns:
    None where the model is neither trained nor seen in any record.
  """
  meta = run.models.get(name)
  pool = run.setting('base', 'sample')
  score = None if pool is None else scores(pool, name, 'last')
  if meta is None and score is None:
    return None
  out: dict[str, Any] = dict.fromkeys(_FIELDS)
  if meta is not None:
    fitted = meta.get('metrics') or {}  # an imported checkpoint may have none
    out['params'] = meta['params']
    out['quantisation'] = (meta.get('open') or {}).get('quantisation')
    out['params_relative'], out['flops_per_token'] = _relative(meta, run.models.get('base'))
    out['val_bce'] = fitted.get('val_bce')
    out['logprob_weight'] = fitted.get('logprob_weight', 0.0)
  if score is None:
    reasons[f'verifier.{name}'] = ('no scored samples of the reported questions yet'
                                   if pool is None else 'its pool is not scored, or only in part')
    return out
  stepwise = run.stepwise(name)
  _within(pool, score, name, stepwise, out, reasons)
  _pooled(run, pool, score, name, out, reasons)
  _gap(pool, score, name, out, reasons)
  out['auc_by_step'] = verifier_diagnostics.auc_by_step(pool, name, stepwise)
  out['auc_by_bin'] = verifier_diagnostics.auc_by_bin(pool, score, bins)
  out['over_optimisation'] = verifier_diagnostics.over_optimisation(run, name)
  out['fools'] = verifier_diagnostics.fools(run, pool, name)
  return out


def _relative(meta: Mapping[str, Any],
              base: Mapping[str, Any] | None) -> tuple[float | None, float | None]:
  """A verifier's parameters and its FLOPs of a token, as shares of the generator's."""
  if base is None or not base.get('params'):
    return None, None
  own, whole = flops.of_token(meta), flops.of_token(base)
  return (None if meta.get('params') is None else meta['params'] / base['params'],
          None if None in (own, whole) else own / whole)


def logprob(run: RunFiles, bins: Mapping[str, int]) -> dict[str, Any] | None:
  """The same of the summed log-probability, the verifier that nobody has to train."""
  pool = run.setting('base', 'sample')
  if pool is None or not pool.logprob_known:
    return None
  within = statistics.auc_by_question(pool.logprob, pool.correct, pool.votes)
  mean, interval, n = statistics.known_means(within[None])[0]
  return {'auc_within': mean, 'auc_within_ci95': interval, 'auc_within_n': n,
          'auc_by_bin': verifier_diagnostics.auc_by_bin(pool, pool.logprob, bins),
          'over_optimisation': verifier_diagnostics.over_optimisation(run, None)}


def _mean(values: np.ndarray) -> float | None:
  known = values[~np.isnan(values)]
  return float(known.mean()) if known.size else None


def _within(pool: Samples, score: np.ndarray, name: str, stepwise: bool, out: dict[str, Any],
            reasons: dict[str, str]) -> None:
  mine = statistics.auc_by_question(score, pool.correct, pool.votes)
  both = ~np.isnan(mine)
  out['auc_within_n'] = int(both.sum())
  if not both.any():
    reasons[f'verifier.{name}.auc_within'] = 'no question has both right and wrong answers'
    return
  mine = mine[both]
  out['auc_within'], out['auc_within_ci95'] = _mean(mine), statistics.mean_interval(mine)
  alone = scores(pool, f'{name}_alone', 'last')
  if alone is not None:
    out['auc_within_plain'] = _mean(
        statistics.auc_by_question(alone, pool.correct, pool.votes)[both])
  elif out['logprob_weight']:
    reasons[f'verifier.{name}.auc_within_plain'] = 'records hold the combined score alone'
  else:
    out['auc_within_plain'] = out['auc_within']
  per_token = pool.logprob / np.maximum(pool.length, 1)
  if pool.logprob_known:
    rivals = [statistics.auc_by_question(s, pool.correct, pool.votes)[both]
              for s in (pool.logprob, per_token)]
    rival = max(rivals, key=np.mean)
    out['auc_logprob_within'] = _mean(rival)
    out['auc_gain_within'] = _mean(mine - rival)
    out['auc_gain_within_ci95'] = statistics.mean_interval(mine - rival)
  else:
    reasons[f'verifier.{name}.auc_gain_within'] = 'samples without log-probabilities'
  if not stepwise:
    reasons[f'verifier.{name}.prefix_auc_within'] = 'it scores whole answers alone'
    return
  prefix = statistics.prefix_auc_by_question(pool.scored(name), pool.correct, pool.votes)
  out['prefix_auc_within'] = _mean(prefix)
  out['prefix_auc_within_n'] = int((~np.isnan(prefix)).sum())
  if out['prefix_auc_within'] is None:
    reasons[f'verifier.{name}.prefix_auc_within'] = 'no unfinished steps with both outcomes'


def _pooled(run: RunFiles, pool: Samples, score: np.ndarray, name: str, out: dict[str, Any],
            reasons: dict[str, str]) -> None:
  votes = pool.votes
  flat, right = score[votes], pool.correct[votes]
  pooled = statistics.auc(flat, right)
  if math.isnan(pooled):
    reasons[f'verifier.{name}.auc_pooled'] = 'all answers are right, or all are wrong'
  else:
    out['auc_pooled'] = pooled
    # The other pool's pass@1 where there is one: this pool's holds the very outcomes to be told.
    estimate = dict(zip(pool.ids, oracle_estimate(pool)))
    if run.difficulty_pool is not None:
      estimate |= dict(zip(run.difficulty_pool.ids, oracle_estimate(run.difficulty_pool)))
    known = np.array([estimate[i] for i in pool.ids])
    out['auc_question_only'] = statistics.auc(
        np.broadcast_to(known[:, None], votes.shape)[votes], right)
  if flat.min() < 0 or flat.max() > 1:
    reasons[f'verifier.{name}.ece'] = 'its scores are not probabilities'
  else:
    out['ece'] = statistics.expected_calibration_error(flat, right)
    out['calibration'] = statistics.calibration(flat, right)


def _gap(pool: Samples, score: np.ndarray, name: str, out: dict[str, Any],
         reasons: dict[str, str]) -> None:
  field = f'verifier.{name}.gap_closed'
  if pool.setting.strategy.budget < _GAP_BUDGET:
    reasons[field] = (f'it is defined at {_GAP_BUDGET} samples; the pool has '
                      f'{pool.setting.strategy.budget}')
    return
  weighted, majority, oracle = (
      answer_choice.outcome(s, _GAP_BUDGET, answer=vote_groups.tries(pool, _GAP_BUDGET),
                     correct=pool.correct, score=score, logprob=pool.logprob)[0]
      for s in ('best_of_n_weighted', 'majority', 'oracle'))
  value, interval = statistics.gap_closed(weighted, majority, oracle)
  if math.isnan(value):
    reasons[field] = 'majority already reaches pass@N: there is no gap'
    return
  out['gap_closed'], out['gap_closed_ci95'] = value, interval
