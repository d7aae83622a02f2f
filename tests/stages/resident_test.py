"""A search of real models in a process of its own resides in what the formula of memory says."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(what, folder, devices=1):
  # What is freed goes back at once: glibc would keep up to a third of a model as it is loaded.
  env = os.environ | {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu',
                      'MALLOC_MMAP_THRESHOLD_': '65536',
                      'XLA_FLAGS': '--xla_backend_optimization_level=0 '
                                   f'--xla_force_host_platform_device_count={devices}'}
  done = subprocess.run([sys.executable, '-m', 'tests.stages.resident', what, str(folder)],
                        check=True, capture_output=True, text=True, cwd=ROOT, env=env)
  return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists('/proc/self/clear_refs'), reason='Linux counts peaks anew')
@pytest.mark.parametrize('devices', [1, 2])
def test_a_search_resides_in_what_the_formula_says(tmp_path, devices):
  """Of two devices of a CPU each has caches of its own, and both the same weights."""
  run('make', tmp_path)
  found = json.loads(run('search', tmp_path, devices))
  assert found['weights'] > 4.5e8 and found['kept'] > found['weights']
  assert found['rounds'] > 0
  # No second copy of a model is left when it has been read, and at most one while it is.
  assert found['loaded'] - found['before'] == pytest.approx(found['weights'], rel=0.1)
  assert found['loading'] - found['before'] < 1.5 * found['weights']
  # Compiled programs take the same whatever the models are, a third of a gigabyte.
  assert found['programs'] < 4e8
  assert found['searching'] - found['before'] - found['programs'] == pytest.approx(
      found['formula'], rel=0.1)
