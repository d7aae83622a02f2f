"""One cell of a study of several seeds, small enough that fifty of them lie in git.

Of the base's pool every sample stays, with its answer, its last scores by all verifiers and its
tokens; so do answers of larger models and chains of revisions. Of a search, and of votes by the
least or the product of step scores, stays what each way to choose got right of each question, in
`K/right/HOW/SIZE/SCORE`, float64 [Q]; of the pool for difficulty the share of right samples. Arrays
that another one equals are named in `about`, under `alike`.
`results/rebuild/study.py` reads both this and a whole `questions.npz`.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

import numpy as np

from results.rebuild import study
from tts.eval.report import question_data

_SAMPLES = ('answer', 'correct', 'weight', 'equal', 'same', 'logprob', 'length', 'certainty',
            'confidence')
_STEPS = ('least', 'product')
_SCORES = ('score', *_STEPS)


def slim(path: pathlib.Path) -> bytes:
  """What a cell keeps of a report's `questions.npz`, as one."""
  with np.load(path, allow_pickle=False) as found:
    kept = dict(found)
  about = json.loads(kept['about'].tobytes())
  every = study.every(dict(kept))
  for k, setting in enumerate(study.Setting(every, k, s) for k, s in enumerate(about['settings'])):
    dropped = _dropped(setting.about)
    for name in [name for name in kept if name.startswith(f'{k}/')]:
      if name.split('/')[1] in dropped:
        del kept[name]
    kept |= {f'{k}/{name}': right for name, right in _counted(setting)}
  about['alike'] = _alike(kept)
  for name in about['alike']:
    del kept[name]
  kept['about'] = np.frombuffer(json.dumps(about, allow_nan=False).encode(), np.uint8)
  return question_data.packed(kept)


def _dropped(about: dict) -> tuple[str, ...]:
  if about['guide'] is None and about['stage'] == 'search':
    return _STEPS
  if (about['model'], about['method']) == ('revision', 'chains'):
    return ()
  return _SAMPLES + _SCORES


def _counted(setting: study.Setting) -> Iterator[tuple[str, np.ndarray]]:
  """Names and float64 [Q] of what is counted in place of samples or of their scores by step."""
  about, sizes = setting.about, [setting.slots]
  if about['guide'] is not None:
    ways = [(how, last and f'score/{about["guide"]}') for how, last in study.SEARCHED]
  else:
    sizes = [1 << i for i in range(setting.slots.bit_length())]
    ways = [(how, f'{kind}/{verifier}') for kind in _STEPS for verifier in setting.names(kind)
            for how in study.WEIGHED] if about['stage'] == 'search' else []
  for how, score in ways:
    for size in sizes:
      yield study.counted(how, size, score), setting.accuracy(how, size, score)
  if about['stage'] == 'difficulty':
    yield 'right', setting.right.mean(axis=1)


def _alike(arrays: dict[str, np.ndarray]) -> dict[str, str]:
  """Name -> an earlier array that has the same values."""
  seen: dict[tuple, str] = {}
  found = {}
  for name, x in arrays.items():
    first = seen.setdefault((x.dtype.str, x.shape, x.tobytes()), name)
    if first != name:
      found[name] = first
  return found
