"""The program that rebuilds published numbers, run in a clone."""

import os
import pathlib
import subprocess
import sys


def recomputed(root: pathlib.Path) -> subprocess.CompletedProcess:
  """What `python results/recompute.py` says in a folder, right or wrong."""
  env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  return subprocess.run([sys.executable, root / 'results' / 'recompute.py'], cwd=root, env=env,
                        capture_output=True, text=True, check=False)
