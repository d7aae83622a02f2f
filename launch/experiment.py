"""Flags of the launchers that take an experiment, and the way from flags to a stage."""

from __future__ import annotations

from typing import Callable

from absl import flags
import ml_collections
from ml_collections import config_flags

from launch import common
from tts import config as config_lib
from tts.types import InputError

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Experiment file, e.g. configs/quickstart.py. Any field can be overridden: '
    '--config.search.budgets="(1, 4, 16)". --describe lists them all.', lock_config=True)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of the run. Started again with the same folder, a run goes on.')
_DRY_RUN = flags.DEFINE_bool(
    'dry_run', False, 'Print what each stage would generate and cost, and stop.')
_DESCRIBE = flags.DEFINE_bool(
    'describe', False, 'Print every config field, its value and its meaning, and stop.')
_COORDINATOR = flags.DEFINE_string(
    'coordinator', None, 'host:port of process 0, for a run on several hosts.')
_NUM_PROCESSES = flags.DEFINE_integer('num_processes', None, 'Processes of the run.')
_PROCESS_ID = flags.DEFINE_integer('process_id', None, 'This process, from 0.')


def launch(job: Callable[[config_lib.Experiment, str], None]) -> None:
  """Runs `job(experiment, workdir)` with what the flags say."""
  common.run(lambda argv: _main(job))


def _read_config() -> ml_collections.ConfigDict:
  """The config, or the reason why its file cannot be read (raised when it is looked at)."""
  try:
    return _CONFIG.value.copy_and_resolve_references()
  except InputError:
    raise
  except Exception as error:
    name = config_flags.get_config_filename(flags.FLAGS['config'])
    raise InputError(f'--config={name} cannot be read: {error}') from error


def _main(job: Callable[[config_lib.Experiment, str], None]) -> None:
  if _CONFIG.value is None:
    raise InputError('--config is missing, e.g. --config=configs/quickstart.py')
  experiment = config_lib.from_config_dict(_read_config())
  if _DESCRIBE.value:
    for name, value, meaning in config_lib.describe(experiment):
      print(f'--{name}={value!r}\n    {meaning}')
    return
  common.set_up_devices(experiment.mesh)
  if _COORDINATOR.value or _NUM_PROCESSES.value:
    import jax
    jax.distributed.initialize(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
  if _DRY_RUN.value:
    from tts.stages import plan
    print(plan.table(experiment))
    return
  if _WORKDIR.value is None:
    raise InputError('--workdir is missing: the folder that the run writes to')
  job(experiment, _WORKDIR.value)
