"""Difficulty from the prompt alone: a linear probe on the base model's hidden state.

Fitted on the training questions that were sampled for labels, whose share of right samples is
known; one prefill a question, which every strategy pays anyway. So as an estimator it is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts import hosts, parallel
from tts.eval.storage import records
from tts.library import features as features_lib
from tts.models.latent import Head
from tts.runs import blocks as blocks_lib
from tts.runs.models_at_work import reads_states
from tts.runs.run import Run
from tts.runs.workdir import fingerprint
from tts.types import InputError, Problem

_PENALTIES = tuple(10.0**p for p in range(-3, 5))
_FORMAT = 2
_ANY = (0,)  # a solution of one token, whichever


def fit_ridge(features: np.ndarray, target: np.ndarray,
              penalties: tuple[float, ...] = _PENALTIES) -> tuple[np.ndarray, float]:
  """Least squares with an intercept and a penalty chosen on the last tenth, then on everything.

  Args:
    features: float64 [Q, D].
    target: float64 [Q].
    penalties: to choose from, of standardised features' weights, per question.

  Returns:
    (weights float64 [D + 1], the intercept last; the held-out tenth's R^2, NaN if it is constant).
  """
  scale = features.std(axis=0)
  scale[scale == 0] = 1.0

  def solve(x, y, penalty):
    z = (x - x.mean(axis=0)) / scale
    gram = z.T @ z + penalty * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, z.T @ (y - y.mean())) / scale
    return np.append(weights, y.mean() - x.mean(axis=0) @ weights)

  held = max(1, len(target) // 10)
  x, y, x_held, y_held = features[:-held], target[:-held], features[-held:], target[-held:]
  errors = {p: ((predict(solve(x, y, p), x_held) - y_held) ** 2).mean() for p in penalties}
  best = min(errors, key=errors.get)
  variance = ((y_held - y.mean()) ** 2).mean()
  return solve(features, target, best), 1 - errors[best] / variance if variance else np.nan


def predict(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
  """float64 [Q] from features [Q, D]."""
  return features @ weights[:-1] + weights[-1]


def head(num_layers: int) -> Head:
  """Of what is read to be fitted on: the stream behind the last layer."""
  return Head((num_layers,))


def hidden_states(run: Run, problems: Sequence[Problem]) -> np.ndarray:
  """The base model's state at the end of each prompt, float64 [Q, D], in order."""
  base = run.model('base')
  arch = base.arch
  prompts = [blocks_lib.encode(p, run.prompts, run.experiment.limits.max_prompt_tokens)
             for p in problems]
  # A token is judged by the state before it: the first of any solution by the prompt's last one.
  found = features_lib.read(reads_states(run, base, head(arch.num_layers)), arch.width, prompts,
                            [[_ANY]] * len(prompts), [[0]] * len(prompts))
  return found.features.astype(np.float64)


def _training(run: Run) -> tuple[list[Problem], np.ndarray]:
  """Questions that were sampled for labels, and the share of their samples that were right."""
  right: dict[str, list[bool]] = {}
  for row in records.iterate(run.workdir.root, 'labels', 'rollouts'):
    if row['labels']:
      right.setdefault(row['problem_id'], []).append(bool(row['correct']))
  asked = run.problems('verifier', run.experiment.labels.questions, 'labels.questions')
  problems = [p for p in asked if p.id in right]
  return problems, np.array([np.mean(right[p.id]) for p in problems])


def run_probe(run: Run) -> None:
  """Writes `probe.json`: an estimate of every reported question's pass@1. Needs the label stage."""
  if 0 in parallel.members(run.mesh):
    _probe(run)
  hosts.wait()


def _probe(run: Run) -> None:
  """In the first process, and in those that share its models."""
  labels = run.workdir.mark('records/labels/rollouts')
  if labels is None:
    return
  config = run.experiment.search
  mark = fingerprint(labels, run.model('base').mark, run.data_mark(config.split), config.split,
                     config.questions, _FORMAT)
  path = run.workdir.path('probe.json')
  if _mark(path) == mark:
    return
  problems, share = _training(run)
  weights, explained = fit_ridge(hidden_states(run, problems), share)
  asked = run.problems(config.split, config.questions)
  estimate = predict(weights, hidden_states(run, asked))
  if not hosts.is_first():
    return
  run.workdir.write_json('probe.json', {
      'fingerprint': mark, 'questions': len(problems),
      'held_out_r2': None if np.isnan(explained) else float(explained),
      'weights': weights.tolist(),
      'estimate': {p.id: float(e) for p, e in zip(asked, estimate)}})


def _mark(path: str) -> Any:
  try:
    return records.read_json(path).get('fingerprint')
  except (InputError, AttributeError):  # not there, or damaged: it is made anew
    return None
