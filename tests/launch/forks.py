"""A Python whose libraries are imported already; each command runs in a fork of it.

Starting Python and importing JAX, Flax, Orbax, TFDS and SciPy is most of what a short command
takes. Of this repository nothing is imported before the fork: every command reads all of it anew,
and is `__main__` in a process of its own, with its own arguments, streams and exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
from typing import Any

LIBRARIES = ('absl.logging', 'array_record.python.array_record_data_source', 'flax.linen', 'jax',
             'matplotlib.figure', 'ml_collections.config_flags', 'mpmath', 'msgspec', 'optax',
             'orbax.checkpoint', 'rapidfuzz', 'scipy.optimize', 'sentencepiece',
             'tensorflow_datasets')


class Python:
  """Runs what `python -m MODULE ...` and `python -c CODE ...` run, one at a time."""

  def __init__(self, folder: pathlib.Path, env: dict[str, str]):
    """Of commands in `folder`, with this environment, which libraries read when imported."""
    self._folder, self._env = folder, env
    self._server: subprocess.Popen[str] | None = None

  def run(self, *words: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, *words], capture_output=True, text=True)`."""
    if self._server is None:
      self._server = subprocess.Popen(
          [sys.executable, '-m', 'tests.launch.forks'], cwd=self._folder, env=self._env, text=True,
          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with tempfile.TemporaryDirectory() as name:
      folder = pathlib.Path(name)
      if words[0] == '-c':
        (folder / 'code').write_text(words[1], encoding='utf-8')
      print(json.dumps({'words': words, 'folder': name, 'timeout': timeout}),
            file=self._server.stdin, flush=True)
      status = int(self._server.stdout.readline())
      texts = [(folder / stream).read_text(encoding='utf-8') for stream in ('out', 'err')]
    if status == -signal.SIGALRM:
      raise subprocess.TimeoutExpired(words, timeout, *texts)
    return subprocess.CompletedProcess(words, status, *texts)

  def close(self) -> None:
    if self._server is not None:
      self._server.communicate()


def _serve() -> dict[str, Any]:
  """Answers each command with its exit status; returns, in a fork, what that one is to run."""
  for line in sys.stdin:
    job = json.loads(line)
    if not (child := os.fork()):
      return job
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
  sys.exit()


def _become(folder: str, timeout: float) -> None:
  """Gives this process streams of its own, and an end."""
  with (open(os.devnull) as nothing, open(os.path.join(folder, 'out'), 'w') as out,
        open(os.path.join(folder, 'err'), 'w') as err):
    for fd, stream in enumerate((nothing, out, err)):
      os.dup2(stream.fileno(), fd)
  signal.alarm(int(timeout))


if __name__ == '__main__':
  for name in LIBRARIES:
    importlib.import_module(name)
  gc.collect()
  gc.freeze()  # collections of its forks leave these pages shared
  job = _serve()
  _become(job['folder'], job['timeout'])
  kind, text, *rest = job['words']
  sys.argv[1:] = rest
  if kind == '-m':
    runpy.run_module(text, run_name='__main__', alter_sys=True)
  else:
    runpy.run_path(os.path.join(job['folder'], 'code'), run_name='__main__')
