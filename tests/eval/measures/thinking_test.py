"""Budget forcing and thoughts from records to rows of curves, and their figure."""

import numpy as np
import pytest

from tests.eval import synthetic
from tts.eval.figures import thinking_figures
from tts.eval.measures import curves, flops, outcomes
from tts.eval.storage import records, runfiles

Q, N = 3, 4


def thoughts(q, slot, cap, waits):
  """Made-up numbers of a row: its fields, and forced tokens."""
  forced = [[3 + i, 4 + i] for i in range(waits)] + ([[cap - 1, cap + 2]] if slot % 2 else [])
  return {'thinking_tokens': cap - (slot % 2 == 0), 'answer_tokens': 5 + q + slot, 'forced': forced,
          'suppressed': waits, 'waits': waits}, sum(b - a for a, b in forced)


def forced_row(q, slot, cap, waits):
  found, forced = thoughts(q, slot, cap, waits)
  row = synthetic.row(np.random.default_rng(q * N + slot), q, 0.5, slot, strategy='budget_forcing',
                      budget=N, scored=())
  drawn = found['thinking_tokens'] + found['answer_tokens'] - forced
  row['counts']['base'] = {
      'prompt': 9 * (slot == 0), 'kept': drawn, 'pruned': waits, 'simulated': 0,
      'reencoded': forced, 'last': 1 + waits, 'entered': 9 * (slot == 0) + drawn + forced - 1,
      'attended': 100}
  return {**row, **found, 'theta': {'thinking_tokens': cap, 'waits': waits}}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = synthetic.write_run(tmp_path_factory.mktemp('run'), questions=Q, pool=4, beams=(),
                                difficulty=4, large=False, verifiers=('prm',))
  for cap in (8, 16):
    for waits in (0, 2):
      rows = [forced_row(q, s, cap, waits) for q in range(Q) for s in range(N)]
      records.write_block(workdir / 'records/budget_forcing' / f'{cap}-{waits}/block-00000.jsonl.gz',
                          rows)
  return runfiles.load(workdir)


@pytest.fixture(scope='module')
def rows(run):
  return curves.curve_rows(outcomes.every(run), {})


def test_means_per_question(run, rows):
  mine = {(r['theta']['thinking_tokens'], r['theta']['waits'], r['budget']): r
          for r in rows if r['strategy'] == 'budget_forcing'}
  assert mine.keys() == {(cap, w, n) for cap in (8, 16) for w in (0, 2) for n in (1, 2, 4)}
  for (cap, waits, n), row in mine.items():
    found = [thoughts(q, s, cap, waits) for q in range(Q) for s in range(N)]
    mean = lambda values: sum(values) * n / (Q * N)
    assert row['thinking_tokens'] == pytest.approx(mean(f['thinking_tokens'] for f, _ in found))
    assert row['answer_tokens'] == pytest.approx(mean(f['answer_tokens'] for f, _ in found))
    assert row['forced_tokens'] == pytest.approx(mean(forced for _, forced in found))
    assert row['generated_tokens'] == pytest.approx(
        row['thinking_tokens'] + row['answer_tokens'] - row['forced_tokens'] + n * waits)
    assert (row['n'], row['guided'], row['repeats']) == (Q, False, N // n)
  # What is forced enters the layers, and gives no logits.
  arch = run.models['base']['arch']
  one = mine[16, 2, 1]
  entered = one['generated_tokens'] + one['forced_tokens'] - 1 - 2 + 9
  assert one['flops'] == pytest.approx(
      entered * flops.per_token(arch) + one['generated_tokens'] * flops.per_output(arch, 'lm')
      + (100 - 45 / N + 45) * flops.per_key(arch), rel=1e-2)


def test_of_what_does_not_think_nothing_is_said(rows):
  others = [r for r in rows if r['strategy'] != 'budget_forcing']
  assert others and all(r[name] is None for r in others for name in (
      'thinking_tokens', 'answer_tokens', 'forced_tokens'))


def test_figure(rows):
  made = thinking_figures.thinking_figure({'curves': rows})
  assert [(r['theta']['waits'], r['budget']) for r in made.rows] == [(0, 1)] * 2 + [(2, 1)] * 2
  assert 'cap of' in made.caption and made.png.startswith(b'\x89PNG')
  plain = [r for r in rows if r['strategy'] != 'budget_forcing']
  assert thinking_figures.thinking_figure({'curves': plain}) is None
