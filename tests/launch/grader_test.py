"""A grader of one's own, the whole way to the report."""

import numpy as np
import pytest

from tests.launch.conftest import SMOKE
from tts.eval.storage import records


@pytest.mark.slow
def test_a_grader_is_in_every_accuracy(launcher, smoke, tmp_path):
  """By the same samples; what `exact` takes for right is right by this one, and more is."""
  models = [f'--config.models.{name}.checkpoint={smoke / "models" / name}' for name in ('base', 'prm')]
  launcher.ok('evaluate', SMOKE, f'--workdir={tmp_path / "w"}', *models,
              '--config.search.questions=16', '--config.search.budgets=(4,)',
              '--config.search.lookahead_questions=0', '--config.data.grader=within_one',
              "--config.plugins=('examples.my_grader',)")
  rows = records.read(tmp_path / 'w', 'search', 'sample-n4')
  exact = {(r['problem_id'], r['slot']): r for r in records.read(smoke, 'search', 'sample-n4')}
  more = 0
  for row in rows:
    before = exact[row['problem_id'], row['slot']]
    assert row['tokens'] == before['tokens'] and row['correct'] >= before['correct']
    more += row['correct'] > before['correct']
  assert more > 0
  made = records.read_json(tmp_path / 'w' / 'report' / 'results.json')
  curve, = (r for r in made['curves'] if (r['strategy'], r['budget'], r['bin']) == (
      'oracle', 1, None))
  assert curve['accuracy'] == np.mean([r['correct'] for r in rows])
