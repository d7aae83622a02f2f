"""`questions.npz`: what each question's answers were, so that others can rebuild every number.

A report's figures are means over questions; this file holds what they are means of, in a form that
numpy alone reads, without pickle. `results/recompute.py` rebuilds the published numbers from it.

`about` (uint8) is JSON in UTF-8:

  ids           problem ids; everything else gives places in this list
  main          name of the main verifier
  models        name -> `params`; `flops`: of a token that entered, of a key that it attended to, of
                a token that was sampled, null where unknown; whether it `reads` tokens, and not
                its generator's states
  settings      of each setting what its rows have in common; `slots`, N; `used`, how many of them
                the tries of each size take up, whose counts are known
  estimators    of each way to estimate difficulty `scheme`, `name`, `charge`, `stay`
  claims        what was claimed, as it was written down before
  resampling    how the bootstrap draws: `seed`, the numbers of replicates, and a digest of them

Of setting k, Q questions by N slots:

  k/same        [Q, N], where samples repeat: which of its question's different samples each is,
                numbered as they come; every [Q, N] below is [D] then, of the different samples of
                one question behind another's
  k/questions   int32 [Q], places in `ids`
  k/answer      [Q, N], numbers that equal answers of a question share; -1 = none, no vote
  k/correct     bool [Q, N]
  k/weight      [Q, N], particles that a row stands for; absent where all are 1
  k/score/V     float32 [Q, N], verifier V at the last step; NaN where it has none
  k/least/V, k/product/V   float32 [Q, N], of its steps; of independent samples by the main one
  k/logprob     float32 [Q, N]; k/length [Q, N], tokens: of what no search wrote
  k/certainty   float16 [Q, N], self-certainty; k/confidence float16 [tokens], of each token, one
                sample's behind the other's; of the base's pools, where they are known. Such a
                number stands for its shortest decimal, as records have it
  k/equal       int32 [E, 3], question and two numbers in `answer` that the grader takes for one
  k/counts/M    int64 [Q, U, 4], of model M in the first `used[u]` slots: tokens sampled; tokens
                that entered, keys that these attended to, both without the prompt; tokens of the
                prompt

and `levels` int64 [ids], 0 = none; `folds` int8 [SPLITS, ids]; `estimate/i` float64 [ids] of
estimator i, NaN where it knows nothing; `bins/i` int8 [ids] where bins are given and not cut.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tts.eval.claims.claims import Claim
from tts.eval.measures import flops, outcomes, statistics
from tts.eval.policy import crossfit, over_bins
from tts.eval.policy.difficulty import Estimator
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import COUNTS, NO_ANSWER, Samples
from tts.eval.votes import rules

FILE = 'questions.npz'
_FORM = 2  # of this file; 1 had no `same`


def _small(values: np.ndarray) -> np.ndarray:
  """Whole numbers in the smallest type that holds them."""
  low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
  return values.astype(next(t for t in (np.int8, np.int16, np.int32, np.int64)
                            if np.iinfo(t).min <= low and high <= np.iinfo(t).max))


def _numbered(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
  """Answers [Q, N] numbered by their first slot in each question, and `equal` in these numbers."""
  answer = samples.answer
  span = int(answer.max(initial=NO_ANSWER)) + 2
  key = np.arange(len(answer))[:, None] * span + (answer - NO_ANSWER)
  forms, first, which = np.unique(key, return_index=True, return_inverse=True)
  shown = np.flatnonzero(forms % span)  # the others are NO_ANSWER
  shown = shown[np.argsort(first[shown])]  # by question, then by slot
  question = forms[shown] // span
  number = np.full(len(forms), NO_ANSWER)
  number[shown] = np.arange(len(shown)) - np.searchsorted(question, question)
  out = number[which].reshape(answer.shape)
  pairs = []
  for q, name in enumerate(samples.ids):
    if name in samples.equal:
      called = dict(zip(answer[q].tolist(), out[q].tolist()))
      pairs += [(q, called[a], called[b]) for a, b in samples.equal[name]
                if a in called and b in called]
  return out, np.array(sorted(pairs), np.int32).reshape(-1, 3)


def _used(samples: Samples) -> list[int]:
  """Slots that the tries of each size take up together; of a power of two all of them always."""
  slots = samples.setting.strategy.num_candidates
  parted = samples.setting.strategy.method == 'sample'
  return sorted({slots // size * size for size in outcomes.budgets(slots) if parted} | {slots})


def _counts(samples: Samples, model: str) -> np.ndarray:
  """int64 [Q, U, 4], see the module."""
  counts = samples.counts[model]
  at = lambda name: counts[..., COUNTS.index(name)]
  prompts = at('prompt')
  context = prompts * (prompts + 1) // 2  # token i of a prompt attends to i keys
  by_slot = np.stack([at('kept') + at('pruned') + at('simulated'), at('entered') - prompts,
                      at('attended') - context], axis=2)
  prompt = prompts.max(axis=1)[:, None]
  return np.stack([np.hstack([by_slot[:, :used].sum(axis=1), prompt]) for used in _used(samples)],
                  axis=1)


def _arrays(samples: Samples, place: Mapping[str, int]) -> Iterator[tuple[str, np.ndarray]]:
  """Name and values of everything that is kept of one setting."""
  answer, equal = _numbered(samples)
  yield 'questions', np.array([place[i] for i in samples.ids], np.int32)
  yield 'answer', _small(answer)
  yield 'correct', samples.correct
  if equal.size:
    yield 'equal', equal
  if (samples.weight != 1).any():
    yield 'weight', _small(samples.weight)
  for verifier in dict.fromkeys((samples.guide, *samples.others)):
    score = outcomes.scores(samples, verifier, 'last')
    if score is not None:
      yield f'score/{verifier}', score.astype(np.float32)
  if not samples.setting.guided:
    for name, how in (('least', 'min'), ('product', 'prod')):
      score = outcomes.scores(samples, samples.main, how)
      if score is not None:
        yield f'{name}/{samples.main}', score.astype(np.float32)
    yield 'logprob', samples.logprob.astype(np.float32)
    yield 'length', _small(samples.length)
  for model in samples.counts:
    yield f'counts/{model}', _counts(samples, model)


def _confidence(samples: Samples) -> Iterator[tuple[str, np.ndarray]]:
  """What votes without a verifier read of a pool beside answers and lengths."""
  if rules.sure(samples):
    yield 'certainty', samples.certainty.astype(np.float16)
  if rules.traced(samples):
    yield 'confidence', samples.confidence.value.astype(np.float16)


def _once(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Arrays of a setting with samples that are the same in all of [Q, N] kept once."""
  wide = {name: values for name, values in arrays.items()
          if values.ndim == 2 and name != 'equal'}
  shape = wide['answer'].shape
  parts = [np.ascontiguousarray(values)[..., None].view(np.uint8) for values in wide.values()]
  question = np.broadcast_to(np.arange(shape[0], dtype='>i4')[:, None, None], (*shape, 1))
  rows = np.concatenate([np.ascontiguousarray(question).view(np.uint8), *parts], axis=2)
  rows = np.ascontiguousarray(rows).view(f'V{rows.shape[2]}').ravel()
  _, first, which = np.unique(rows, return_index=True, return_inverse=True)
  if len(first) == rows.size:
    return arrays
  order = np.argsort(first)  # by question, then by slot
  number = np.empty(len(order), int)
  number[order] = np.arange(len(order))
  number = number[which].reshape(shape)
  first = first[order]
  same = number - number[:, :1]  # the first slot is its question's first
  return {'same': _small(same), **arrays,
          **{name: values.ravel()[first] for name, values in wide.items()}}


def _flops(meta: Mapping[str, Any]) -> list[float]:
  """What one token that entered costs, one key, one token that was sampled."""
  one = lambda **more: flops.spent(meta, dict.fromkeys(COUNTS, 0) | more)
  return [one(entered=1), one(attended=1), one(kept=1)]


def _model(meta: Mapping[str, Any]) -> dict[str, Any]:
  return {'params': meta.get('params'), 'reads': not flops.is_latent(meta),
          'flops': None if flops.of_token(meta) is None else _flops(meta)}


def _resampling(questions: int) -> dict[str, Any]:
  drawn = np.ascontiguousarray(statistics.resamples(questions).astype(np.uint8))
  return {'seed': statistics.SEED, 'replicates': statistics.REPLICATES,
          'policy_replicates': crossfit.REPLICATES, 'moved_replicates': over_bins.REPLICATES,
          'questions': questions, 'sha256': hashlib.sha256(drawn.tobytes()).hexdigest()}


def _estimates(found: Sequence[Estimator], ids: Sequence[str],
               ) -> Iterator[tuple[str, np.ndarray]]:
  for i, estimator in enumerate(found):
    known = dict(zip(estimator.ids, estimator.estimate.tolist()))
    yield f'estimate/{i}', np.array([known.get(name, np.nan) for name in ids], float)
    if estimator.fixed is not None:
      yield f'bins/{i}', estimator.bin_of(ids).astype(np.int8)


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
  """As `np.savez_compressed`, but smaller by a sixth, and with one date whenever it is written."""
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_LZMA) as archive:
    for name, values in arrays.items():
      info = zipfile.ZipInfo(f'{name}.npy', (1980, 1, 1, 0, 0, 0))
      info.compress_type = zipfile.ZIP_LZMA
      with archive.open(info, 'w', force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
  return buffer.getvalue()


def encode(run: RunFiles, estimators: Sequence[Estimator], claims: Sequence[Claim]) -> bytes:
  """The file's bytes; equal data, equal bytes.

  Args:
    run: its files.
    estimators: of the reported questions' difficulty.
    claims: those that the run was started with.
  """
  settings = [*run.search.values(), *run.difficulty.values()]
  ids = sorted({name for samples in settings for name in samples.ids})
  place = {name: i for i, name in enumerate(ids)}
  levels = np.zeros(len(ids), np.int64)
  arrays: dict[str, np.ndarray] = {}
  voting = run.pools('base')
  for k, samples in enumerate(settings):
    kept = _once(dict(
        [*_arrays(samples, place), *(_confidence(samples) if samples in voting else ())]))
    arrays.update({f'{k}/{name}': values for name, values in kept.items()})
    levels[[place[i] for i in samples.ids]] = samples.level
  about = {
      'form': _FORM, 'ids': ids, 'main': run.main, 'seeds': run.run.get('seeds'),
      'config_hash': run.run.get('config_hash'),
      'models': {name: _model(meta) for name, meta in run.models.items()},
      'larger': list(run.generators[1:]),
      'settings': [{
          'stage': s.stage, 'model': s.model, 'method': s.strategy.method,
          'name': s.strategy.name, 'budget': s.strategy.budget,
          'slots': s.strategy.num_candidates, 'used': _used(samples), 'theta': s.strategy.theta,
          'chain_length': s.strategy.chain_length, 'repeat': s.repeat, 'guide': s.verifier,
          'read': samples.guide, 'seconds': samples.seconds,
      } for samples in settings for s in (samples.setting,)],
      'estimators': [{'scheme': e.scheme, 'name': e.name, 'charge': dict(e.charge),
                      'stay': e.stay} for e in estimators],
      'claims': [dataclasses.asdict(c) for c in claims],
      'resampling': _resampling(len(ids)) if ids else None}
  arrays |= {'levels': levels, **dict(_estimates(estimators, ids))}
  if ids:
    arrays['folds'] = crossfit.folds(tuple(ids)).astype(np.int8)
  arrays['about'] = np.frombuffer(json.dumps(about, allow_nan=False).encode(), np.uint8)
  return packed(arrays)
