"""A made-up run in the shape of `configs/words.py`: latent verifiers, statistics of every token."""

from __future__ import annotations

import gzip
import json
import pathlib

import numpy as np

from configs.claims import CLAIMS
from tests.eval import synthetic
from tts.data import sample_statistics
from tts.eval.claims import claim_sides
from tts.eval.storage import records

POOL = 64
_METHODS = {'dvts': {}, 'rebase': {'temperature': 0.1}, 'particle_filter': {},
            'particle_filter_entropic': {'temperature': 1.0}}
_LOOKAHEAD = {'beam_width': 2, 'lookahead': 1}
_NAMES = {'prm': 'latent', 'prm_plain': 'logprob'}


def write(workdir, questions: int = 30, deep: int = 15) -> pathlib.Path:
  """A workdir; the `deep` first questions have searches with N = 64 and those by `logprob`."""
  rng = np.random.default_rng(5)
  synthetic.write_run(workdir, questions=questions, pool=POOL, difficulty=8, beams=(),
                      verifiers=tuple(_NAMES), large=False)
  for guide, count, budgets in (('prm', questions, (4, 16)), ('prm', deep, (64,)),
                                ('prm_plain', deep, (4, 16))):
    for budget in budgets:
      synthetic.write_beam(workdir, rng, count, guide, 4, budget)
      for method, theta in _METHODS.items() if guide == 'prm' else ():
        _write_search(workdir, rng, count, method, theta, budget)
  for budget in (4, 16):
    _write_search(workdir, rng, questions, 'lookahead', _LOOKAHEAD, budget)
  _say_how_sure(workdir, rng)
  _rename(workdir)
  claim_sides.save(CLAIMS, workdir)
  records.write_json(workdir / 'probe.json', {'estimate': {
      f'q{q:04d}': float(rng.random()) for q in range(questions)}})
  return workdir


def _write_search(workdir, rng, questions, method, theta, budget) -> None:
  def rows(q, skill):
    for slot in range(0, budget // (theta.get('lookahead', 0) + 1), 2):
      made = synthetic.row(rng, q, skill**0.8, slot, strategy=method, budget=budget, guide='prm')
      yield made | {'theta': made['theta'] | theta}

  synthetic.write_setting(workdir, f'search/{method}-n{budget}', questions, 25, rows)


def _say_how_sure(workdir, rng) -> None:
  """Statistics of the pool: many solutions are written twice, word for word, and as surely."""
  for path in records.blocks(workdir, 'search', f'sample-n{POOL}'):
    rows = records.read_block(path)
    same: dict[tuple, dict] = {}
    for row in rows:
      row['tokens'] = row['tokens'][:int(rng.integers(3, 20))]
      sure = rng.gamma(4.0, size=len(row['tokens'])) + 2 * row['correct']
      found = sample_statistics.rounded({'confidence': sure, 'self_certainty': sure.mean()})
      if rng.random() < 0.7:
        found = same.setdefault((row['problem_id'], row['answer'], len(row['tokens'])), found)
      row['statistics'] = found
    path.unlink()
    records.write_block(path, rows)


def _rename(workdir) -> None:
  for path in workdir.rglob('*.jsonl.gz'):
    text = gzip.decompress(path.read_bytes()).decode()
    for old, new in _NAMES.items():
      text = text.replace(f'"{old}"', f'"{new}"')
    path.write_bytes(gzip.compress(text.encode()))
  for old, new in _NAMES.items():
    (workdir / 'models' / old).rename(workdir / 'models' / new)
    records.write_json(workdir / 'models' / new / 'model.json', {
        'kind': 'latent', 'arch': None, 'params': 70, 'metrics': {},
        'head': {'layers': [1, 2], 'width': 32, 'beside': ['logprob']}})
  run = json.loads((workdir / 'run.json').read_text('utf-8'))
  run['config'] |= {'verifier': 'latent', 'search': {'split': 'dev'}}
  records.write_json(workdir / 'run.json', run)
