"""The study that needs a GPU, in miniature: every stage of it, at its lengths and in bfloat16."""

import json

import pytest


@pytest.mark.slow
def test_the_reference_study_in_miniature(launcher, tmp_path):
  launcher.ok('reproduce', '--config=configs/reference.py:tiny', f'--workdir={tmp_path / "w"}')
  results = json.loads((tmp_path / 'w/report/results.json').read_text())
  assert {r['strategy'] for r in results['curves']} >= {'beam', 'lookahead', 'best_of_n_weighted'}
  assert {r['larger'] for r in results['flops_matched']} == {'mid', 'large'}
  assert len(results['claims']) > 10
