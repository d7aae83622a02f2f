"""A run that is killed again and again, and one whose files are damaged, against an unbroken one.

  python -m benchmarks.faults --folder=/tmp/faults --kills=30 --processes=1 --processes=2

Every kill (SIGKILL, of one of the processes, at random) comes at a random moment after the start
has added a block or a checkpoint, so that kills spread over the stages; what outlives it has to
stop by itself. In the end the record files have to be those of the unbroken run, and none that was
there at a kill may have been written again. Seconds are those of blocks and of updates that the
first process did, without start-up and compiling. Then files of the finished run are cut short or
get one bit flipped, and the run is started again: each has to be named, and the records have to be
the same.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import time

from absl import app, flags

_CONFIG = flags.DEFINE_string('config', 'configs/smoke.py', 'Experiment file.')
_FOLDER = flags.DEFINE_string('folder', None, 'New folder for the runs.', required=True)
_KILLS = flags.DEFINE_integer('kills', 30, 'Kills of each run.')
_PROCESSES = flags.DEFINE_multi_integer('processes', [1, 2], 'Processes of a run.')
_DAMAGED = flags.DEFINE_integer('damaged', 10, 'Files to damage.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of the moments and of the damage.')

_ALLOWED = 1.2         # times the unbroken run's seconds
_STOP_SECONDS = 90.0   # after a kill all processes have stopped
_HEARTBEAT_SECONDS = 10


def _start(workdir: pathlib.Path, num: int) -> list[subprocess.Popen]:
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  command = [sys.executable, '-m', 'launch.reproduce', f'--config={_CONFIG.value}',
             f'--workdir={workdir}', f'--heartbeat_seconds={_HEARTBEAT_SECONDS}']
  places = [[f'--coordinator=localhost:{port}', f'--num_processes={num}', f'--process_id={i}']
            for i in range(num)] if num > 1 else [[]]
  started = []
  for i, place in enumerate(places):
    with open(f'{workdir}.{i}.log', 'a') as log:
      started.append(subprocess.Popen([*command, *place], stdout=log, stderr=log))
  return started


def _finish(workdir: pathlib.Path, num: int) -> None:
  if any([p.wait() for p in _start(workdir, num)]):  # noqa: C419, all are waited for
    sys.exit(f'a run failed, see {workdir}.*.log')


def _hashes(workdir: pathlib.Path) -> dict[str, str]:
  return {str(p.relative_to(workdir)): hashlib.sha256(p.read_bytes()).hexdigest()
          for p in sorted((workdir / 'records').rglob('*.jsonl.gz'))}


def _records(workdir: pathlib.Path) -> dict[str, int]:
  """When each record file was written."""
  return {str(p): p.stat().st_mtime_ns for p in (workdir / 'records').rglob('*.jsonl.gz')}


def _units(workdir: pathlib.Path) -> set[str]:
  """Blocks, checkpoints and models that are there."""
  found = [*(p for p in (workdir / 'train').glob('*/*') if p.name.isdigit()),
           *(workdir / 'models').glob('[a-z]*')]
  return {*_records(workdir), *map(str, found)}


def _lines(workdir: pathlib.Path) -> list[dict]:
  return [json.loads(line) for path in (workdir / 'metrics').glob('*.jsonl')
          for line in path.read_text().splitlines()]


def _seconds(workdir: pathlib.Path) -> float:
  """Of blocks and updates, over all starts."""
  return sum(line['seconds'] for line in _lines(workdir))


def _killed(workdir: pathlib.Path, num: int, gap: float, rng: random.Random) -> bool:
  """Starts the run and kills it. False where it ended before that."""
  before = _units(workdir)
  processes = _start(workdir, num)
  while not _units(workdir) - before:
    if all(p.poll() is not None for p in processes):
      return False
    time.sleep(0.02)
  time.sleep(gap * rng.random() ** 3)  # mostly soon, so that the run lasts for many kills
  rng.choice(processes).kill()
  begun = time.monotonic()
  for p in processes:
    p.wait(max(1.0, _STOP_SECONDS - (time.monotonic() - begun)))
  print(f'  killed with {len(_units(workdir))} blocks, checkpoints and models; all had stopped '
        f'{time.monotonic() - begun:.1f} s later', flush=True)
  return True


def _kill(num: int, unbroken: pathlib.Path, gap: float) -> bool:
  """Kills as often as asked; one run after another, where one is done before that."""
  rng, left, passed = random.Random(_SEED.value + num), _KILLS.value, []
  while left:
    workdir = pathlib.Path(_FOLDER.value, f'killed-{num}-{len(passed)}')
    kills, right = _kill_one(workdir, num, unbroken, gap, rng, left)
    if not kills:
      sys.exit(f'a run was done before it could be killed, see {workdir}.*.log')
    left -= kills
    passed.append(right)
  return all(passed)


def _kill_one(workdir: pathlib.Path, num: int, unbroken: pathlib.Path, gap: float,
              rng: random.Random, most: int) -> tuple[int, bool]:
  """A run's kills, and whether it ended as it should."""
  again, kills = 0, 0
  for _ in range(most):
    there = _records(workdir)
    if not _killed(workdir, num, gap, rng):
      break
    kills += 1
    again += sum(_records(workdir).get(path) != when for path, when in there.items())
  there = _records(workdir)
  _finish(workdir, num)
  again += sum(_records(workdir).get(path) != when for path, when in there.items())
  same, whole = _hashes(workdir) == _hashes(unbroken), _seconds(unbroken)
  ratio = _seconds(workdir) / whole
  # A kill may cost the updates since a checkpoint; a block that was lost has left no line.
  allowed = _ALLOWED + kills * max(line['seconds'] for line in _lines(unbroken)) / whole
  print(f'{num} processes, {kills} kills: {len(_hashes(workdir))} record files '
        f'{"equal" if same else "NOT EQUAL"}, {again} written again, {ratio:.2f} times the '
        f'seconds of blocks and updates ({allowed:.2f} allowed)', flush=True)
  return kills, same and not again and ratio <= allowed


def _damage(unbroken: pathlib.Path) -> bool:
  """Damages files of a copy of the finished run; each has to be named, and made anew."""
  workdir, rng = pathlib.Path(_FOLDER.value, 'damaged'), random.Random(_SEED.value)
  shutil.copytree(unbroken, workdir)
  kinds = [sorted(p for p in workdir.glob(pattern) if p.stat().st_size > 99) for pattern in (
      'records/**/*.jsonl.gz', 'models/*/params/**/[0-9]*', 'models/*/tokenizer.model',
      'timings/**/*.json', 'tokenizer/tokenizer.model')]
  damaged = {}
  while len(damaged) < _DAMAGED.value:
    path = rng.choice(kinds[len(damaged) % len(kinds)] if len(damaged) < len(kinds) else kinds[0])
    data = bytearray(path.read_bytes())
    # JSON has no checksum; and the last bits of a deflate stream say nothing.
    if path.suffix == '.json' or rng.random() < 0.5:
      what, data = 'cut', data[:rng.randrange(len(data))]
    else:
      what, bit = 'flipped', rng.randrange(8 * (len(data) - 9))
      data[bit // 8] ^= 1 << bit % 8
    if path not in damaged:
      path.write_bytes(data)
      damaged[path] = what
  _finish(workdir, 1)
  said = pathlib.Path(f'{workdir}.0.log').read_text()
  named = 0
  for path, what in damaged.items():
    relative = path.relative_to(workdir)
    # A model's folder and the file in it are named apart.
    parts = [relative] if relative.parts[0] != 'models' else [
        pathlib.Path(*relative.parts[:2]), pathlib.Path(*relative.parts[2:])]
    found = all(re.search(rf'anew: .*{re.escape(str(part))}', said) for part in parts)
    named += found
    print(f'  {what}: {relative}{"" if found else ": NOT NAMED"}')
  same = _hashes(workdir) == _hashes(unbroken)
  print(f'{len(damaged)} files damaged, {named} named; records {"equal" if same else "NOT EQUAL"}')
  return same and named == len(damaged)


def main(argv: list[str]) -> None:
  del argv
  folder = pathlib.Path(_FOLDER.value)
  folder.mkdir(parents=True)
  unbroken, begun = folder / 'unbroken', time.monotonic()
  _finish(unbroken, 1)
  wall = time.monotonic() - begun
  units = len(_hashes(unbroken)) + len(list((unbroken / 'models').iterdir()))
  print(f'unbroken: {wall:.0f} s, {_seconds(unbroken):.1f} of blocks and updates', flush=True)
  passed = [_kill(num, unbroken, wall / units) for num in _PROCESSES.value]
  passed.append(_damage(unbroken))
  sys.exit(0 if all(passed) else 'something is not as it should be')


if __name__ == '__main__':
  app.run(main)
