"""Power against how often verdicts are reached; marks before a run and not after."""

import numpy as np
import pytest

from tests.eval.claims.claims_test import A, B, table
from tts.eval.claims import claims, power
from tts.eval.claims.claims import Claim, Look
from tts.types import InputError

CLAIM = Claim('x', 'x', A, B, 'above')


def drawn(rng, n, shift):
  """Paired answers, of which a third differ."""
  d = rng.choice([-1.0, 0.0, 1.0], size=n, p=[1 / 6 - shift / 2, 2 / 3, 1 / 6 + shift / 2])
  return Look(table(a=d, b=np.zeros(n)))


@pytest.mark.parametrize('shift', [0.05, 0.1])
def test_power_is_how_often_there_is_a_verdict(shift):
  rng = np.random.default_rng(0)
  row, = power.rows([CLAIM], drawn(rng, 20000, shift), 300 / 20000)
  decided = np.mean([claims.evaluate([CLAIM], drawn(rng, 300, shift))[0]['reproduced'] is True
                     for _ in range(400)])
  assert row['power'] == pytest.approx(decided, abs=0.12)  # an exact test decides less
  assert row['n'] == 300 and row['undecidable'] == (shift == 0.05)


def test_too_few_questions_that_differ_can_decide_nothing():
  left = np.zeros(800)
  left[:6] = 1
  look = Look(table(a=left, b=np.zeros(800)))
  many = [CLAIM] + [Claim(f'c{i}', 'x', B, B, 'above') for i in range(10)]
  assert power.rows(many, look, 1.0)[0]['undecidable'] is True
  assert power.rows(many, look, 10.0)[0]['undecidable'] is False


def test_what_dev_lacks_is_not_marked(tmp_path):
  row, = power.rows([CLAIM], Look(table(a=[1, 0])), 1.0)
  assert row['power'] is row['undecidable'] is None
  power.save([row], tmp_path)
  assert power.marks(tmp_path) == {'x': {'power': None, 'undecidable': None}}
  with pytest.raises(InputError, match='has powers already'):
    power.save([row], tmp_path)


def test_a_run_that_has_been_measured_gets_no_powers(tmp_path):
  (tmp_path / 'report').mkdir()
  with pytest.raises(InputError, match='before a run'):
    power.save([], tmp_path)
  assert power.marks(tmp_path) == {}
  (tmp_path / power.FILE).write_text('[{}]')
  with pytest.raises(InputError, match='damaged'):
    power.marks(tmp_path)
