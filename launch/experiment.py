"""Flags of the launchers that take an experiment, and the way from flags to a stage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
import contextlib
import dataclasses
import sys
from typing import Any

from absl import flags
import ml_collections
from ml_collections import config_flags

from . import common
from tts import config as config_lib
from tts.data import buckets
from tts.types import InputError

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Experiment file, or the name of a preset, e.g. quickstart. Any field can be '
    'overridden: --config.search.budgets="(1, 4, 16)". --describe lists them all.',
    lock_config=True)
_WORKDIR = flags.DEFINE_string(
    'workdir', None,
    'Folder of the run, here or gs://. Started again with the same folder, a run goes on.')
_DRY_RUN = flags.DEFINE_bool(
    'dry_run', False, 'Print what each stage would generate and cost, and stop.')
TOPOLOGY = flags.DEFINE_string(
    'topology', None, 'Chips that need not be there: v4, v5e, v5p or v6e and their shape, e.g. '
    'v5e:4x4 or v5p:2x2x2. With --dry_run their compiler says of each program whether it fits.')
_DESCRIBE = flags.DEFINE_bool(
    'describe', False, 'Print the config\'s fields, each with its value and its meaning, and stop; '
    '--describe lookahead budgets: those with all of these words.')
_PROFILE = flags.DEFINE_bool(
    'profile', False, 'Trace some blocks and updates of every stage into W/profile.')
_DISTRIBUTED = flags.DEFINE_bool(
    'distributed', False, 'This is one of several processes, and the environment says which: a TPU '
    'pod, Slurm, Kubernetes, Open MPI. Elsewhere the next three flags say it.')
_COORDINATOR = flags.DEFINE_string('coordinator', None, 'host:port of process 0.')
_NUM_PROCESSES = flags.DEFINE_integer('num_processes', None, 'Processes of the run.')
_PROCESS_ID = flags.DEFINE_integer('process_id', None, 'This process, from 0.')
_HEARTBEAT_SECONDS = flags.DEFINE_integer(
    'heartbeat_seconds', 100, 'All processes stop when nothing is heard of one for so long.')


Experiment = config_lib.Experiment
Plan = tuple[Experiment, Sequence[Any] | None]  # what is run, and which stages; None for all


@contextlib.contextmanager
def opened(planned: Callable[[Experiment], Plan] = lambda experiment: (experiment, None),
           ) -> Iterator[tuple[Experiment, str]]:
  """The experiment and the workdir that the flags say, for the job inside.

  With `--describe` and `--dry_run` there is none: the program ends. `planned` says what the job
  makes of an experiment, for `--dry_run`. Launchers import the stages inside, which takes longer
  than all that `--help` and mistakes need.
  """
  with common.started(words='--describe') as argv:
    experiment = _begun(planned, argv[1:])
    with buckets.opened(_WORKDIR.value) as workdir:
      yield experiment, workdir


def _read_config() -> ml_collections.ConfigDict:
  """The config, or the reason why its file cannot be read (raised when it is looked at)."""
  try:
    return _CONFIG.value.copy_and_resolve_references()
  except InputError:
    raise
  except Exception as error:
    name = config_flags.get_config_filename(flags.FLAGS['config'])
    raise InputError(f'--config={name} cannot be read: {common.plainly(error)}') from error


def read() -> config_lib.Experiment:
  """The experiment that the flags say."""
  if _CONFIG.value is None:
    raise InputError('--config is missing, e.g. --config=quickstart')
  return config_lib.from_config_dict(_read_config())


def _begun(planned: Callable[[Experiment], Plan], words: Sequence[str]) -> Experiment:
  """The experiment, with devices and processes set up for it."""
  experiment = read()
  if _DESCRIBE.value:
    _describe(experiment, words)
    sys.exit(0)
  if TOPOLOGY.value:
    if not _DRY_RUN.value:
      raise InputError('--topology is for --dry_run and launch.compile: a run takes what is there')
    common.compile_only()
  common.set_up_devices(experiment.mesh)
  if _DRY_RUN.value:
    plan, stages = planned(experiment)
    _dry_run(plan, stages and {stage.name for stage in stages})
    sys.exit(0)
  if _WORKDIR.value is None:
    raise InputError('--workdir is missing: the folder that the run writes to')
  _join_processes()
  if _PROFILE.value:
    from tts.runs import watch
    watch.profile_stages()
  return experiment


def _describe(experiment: Experiment, words: Sequence[str]) -> None:
  """Prints the fields in whose name or meaning all of some words stand, by part of the config."""
  parts, shown = config_lib.meanings(Experiment), None
  found = [(name, value, meaning) for name, value, meaning in config_lib.describe(experiment)
           if all(word.lower() in f'{name} {meaning}'.lower() for word in words)]
  if not found:
    raise InputError(f'no field of the config has {" and ".join(map(repr, words))} in its name or '
                     'its meaning: give fewer words')
  for name, value, meaning in found:
    part = name.split('.')[1]
    if part != shown and name.count('.') > 1:
      print(f'\n# {part}: {parts[part]}')
    shown = part
    print(f'--{name}={value!r}\n    {meaning}')


def _dry_run(experiment: Experiment, stages: Collection[str] | None) -> None:
  """Prints what each stage would cost, and refuses what will not fit a device."""
  from tts import parallel, placement
  from tts.estimates import compile_all, device_programs, dry_run
  from tts.stages import checks, reproduce
  checks.check(experiment)
  experiment.models.check_here('what a server takes is not known here, drop --dry_run')
  devices = len(parallel.every_device()) * (_NUM_PROCESSES.value or 1)
  here = dataclasses.replace(experiment, mesh=parallel.counted(experiment.mesh, devices))
  device_programs.check(here, here.mesh.model)
  done = reproduce.finished(experiment, _WORKDIR.value) if _WORKDIR.value else ()
  if TOPOLOGY.value:
    print(dry_run.table(here, stages, timed=False, done=done))
    compile_all.check(experiment, TOPOLOGY.value)
    print(f'all of it fits {TOPOLOGY.value}, by the formula and by its compiler')
    return
  own = parallel.make_mesh()
  together = own.size // placement.holders(own).size // here.mesh.model
  try:
    device_programs.check_memory(here, parallel.device_memory(), max(1, together))
  except InputError:
    print(dry_run.table(here, stages, timed=False, done=done))
    raise
  print(dry_run.table(here, stages, done=done))


def _join_processes() -> None:
  """Makes this process one of several, where a flag says so; returns when all are there."""
  place = {f.name: f.value for f in (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID)}
  missing = [f'--{name}' for name, value in place.items() if value is None]
  if not _DISTRIBUTED.value:
    if len(missing) == len(place):
      return
    if missing:
      raise InputError(f'{" and ".join(missing)} missing: one of several processes needs '
                       f'{", ".join(f"--{name}" for name in place)}, or --distributed alone where '
                       'the environment knows them')
  common.join_processes(*place.values(), _HEARTBEAT_SECONDS.value)
