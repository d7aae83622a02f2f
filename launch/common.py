"""What every launcher shares: flags, device set-up, and errors in one line."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import difflib
import gc
import logging as python_logging
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

from absl import flags, logging

from tts import command, machine, presets
from tts.types import InputError, LostError

_CONFIG_FLAGS = ('--config', '-config')
_TERMINATED = 128 + signal.SIGTERM
_UNWIND_SECONDS = 5.0  # a compiler or a block may hold the main thread for minutes
_joined = False  # whether this is one of several processes


@contextlib.contextmanager
def started(arguments: tuple[str, ...] = (), words: str | None = None) -> Iterator[list[str]]:
  """Parses the flags; a mistake, here or inside, is one line and exit status 2. Gives `argv`.

  SIGTERM ends it in seconds with status 143: what is written is whole or absent at any moment.

  `arguments` are the names of what it takes beside flags; with the flag `words` any words.
  """
  _quiet_logging()
  _end_at_sigterm()
  # Rows are coroutines, many and short-lived: by default the collector takes a tenth of the time.
  gc.set_threshold(50_000, 20, 100)
  # A thread that grades holds the interpreter for so long when a device is done: 5 ms by default,
  # longer than a toy's program takes.
  sys.setswitchinterval(5e-4)
  try:
    yield _parse(sys.argv, arguments, words)
    if sys.stdout:  # none where the caller has closed it
      sys.stdout.flush()
  except BrokenPipeError:  # `| head` has read enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _leave(128 + signal.SIGPIPE)
  except FloatingPointError as error:
    _fail(str(error), 1)
  except (InputError, flags.Error) as error:
    _fail(plainly(error), 2)
  except OSError as error:  # a full disk, a folder that may not be written to, ...
    if error.errno is None:
      raise
    _fail(': '.join(str(x) for x in (error.filename, error.strerror) if x), 2)
  except KeyboardInterrupt:
    _fail('interrupted: start the same command again to go on', 130)
  except _Terminated:
    _fail('terminated: start the same command again to go on', _TERMINATED)
  except LostError as error:
    _fail(str(error), 1)
  except Exception:
    if not _joined:
      raise
    traceback.print_exc()
    _leave(1)


def print_tree(tree: dict[str, Any]) -> None:
  """A search tree as text, a step a line: score, text, what became of it. See `tree_json`."""
  children: dict[int | None, list[dict[str, Any]]] = {}
  for node in tree['nodes']:
    children.setdefault(node['parent'], []).append(node)

  def below(parent: int | None, depth: int) -> None:
    for node in children.get(parent, ()):
      text = ' | '.join(line for line in node['text'].split('\n') if line.strip())
      print(f'{"  " * depth}{node["score"]:.3f}  {text}  ({node["status"]})')
      below(node['id'], depth + 1)

  below(None, 1)


def _parse(argv: list[str], arguments: tuple[str, ...], words: str | None = None) -> list[str]:
  """Parses flags; what a config file or an override raises becomes an InputError."""
  if {'--help', '-h', '--helpfull', '--helpshort'} & set(argv):
    print(_help())
    sys.exit(0)
  argv = _with_config(argv)
  try:
    rest = flags.FLAGS(argv)
  except flags.Error:
    raise
  except Exception as error:  # a config file is a program: it raises what it likes
    raise InputError(_explain(error, argv)) from error
  given = len(rest) - 1
  if words in argv:
    return rest
  if given > len(arguments):
    raise InputError(f'unexpected argument {rest[1 + len(arguments)]!r}: flags are --name=value')
  if given < len(arguments):
    raise InputError(f'{arguments[given]} is missing: give {" and ".join(arguments)}')
  return rest


def _with_config(argv: list[str]) -> list[str]:
  """The same, with `--config` as a path, of a preset where no file here is called so."""
  found = list(argv)
  for i, given in enumerate(argv[1:], 1):
    flag, equals, value = given.partition('=')
    if flag in _CONFIG_FLAGS and value:
      found[i] = f'{flag}{equals}{presets.resolved(value)}'
    elif argv[i - 1] in _CONFIG_FLAGS:
      found[i] = presets.resolved(given)
  return found


def _help() -> str:
  """The launcher's docstring and the flags of this package."""
  lines = [(sys.modules['__main__'].__doc__ or '').strip(), '', 'Flags:']
  for module, defined in sorted(flags.FLAGS.flags_by_module_dict().items()):
    if module.startswith(f'{__package__}.') or module == sys.argv[0] or '/launch/' in module:
      lines += [f'  --{f.name}: {f.help}' for f in defined]
  return command.as_started('\n'.join(lines))


def plainly(error: Exception) -> str:
  """What an error says; the last line, where a library has put a traceback or its tries into it."""
  said = str(error).strip()
  if 'Traceback (most recent' in said or 'Attempted [' in said:
    said = re.sub(r'^tts\.types\.InputError: ', '', said.splitlines()[-1].strip())
  return re.sub(r"\('Non-boolean argument to boolean flag', .*\)", 'it takes True or False', said)


def _explain(error: Exception, argv: list[str]) -> str:
  """One line for an error that reading the config raised: the field and the nearest name."""
  text = ' '.join(str(error).split()) or type(error).__name__
  overrides = [a.partition('=')[0].removeprefix('--') for a in argv if a.startswith('--config.')]
  for override in overrides:
    name = override.rsplit('.', 1)[-1]
    if isinstance(error, (AttributeError, KeyError)) and re.search(rf'\b{name}\b', text):
      known = [path for path, *_ in _config_fields()]
      near = difflib.get_close_matches(override, known, n=1, cutoff=0.0)
      hint = f'; did you mean --{near[0]}?' if near else ''
      return f'--{override} is no field of the config{hint} (--describe lists them)'
  file = re.search(r'^--?config[=\n](.+)', '\n'.join(argv), flags=re.MULTILINE)
  return f'cannot read the config{" " + file[1] if file else ""}: {text}'


def _config_fields():
  from tts import config
  return config.describe(config.Experiment())


class _Terminated(BaseException):
  """SIGTERM; not an Exception, so that nothing on the way takes it for one."""


def _end_at_sigterm() -> None:
  """Unwinds the main thread; where that is inside a device's program, ends it from another."""
  def unwind(*_):
    raise _Terminated

  read, write = os.pipe()
  os.set_blocking(write, False)

  def watch():
    while signal.SIGTERM not in os.read(read, 64):  # other signals come here too
      pass
    time.sleep(_UNWIND_SECONDS)
    os._exit(_TERMINATED)

  signal.signal(signal.SIGTERM, unwind)
  signal.set_wakeup_fd(write, warn_on_full_buffer=False)
  threading.Thread(target=watch, name='sigterm', daemon=True).start()


def _fail(message: str, status: int) -> None:
  print('error: ' + command.as_started(' '.join(message.split())), file=sys.stderr)
  _leave(status)


def _leave(status: int) -> None:
  """Ends this process; one of several does not wait for the others at exit, which wait for it."""
  for stream in filter(None, (sys.stdout, sys.stderr)):
    stream.flush()
  if _joined or status == _TERMINATED:
    os._exit(status)
  sys.exit(status)


def _quiet_logging() -> None:
  """Our own messages alone, without the libraries' chatter."""
  logging.use_python_logging(quiet=True)
  handler = python_logging.StreamHandler(sys.stderr)
  handler.setFormatter(python_logging.Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  logger = python_logging.getLogger('absl')
  logger.handlers, logger.propagate = [handler], False
  logging.set_verbosity(logging.INFO)
  logger.addFilter(lambda r: '/tts/' in r.pathname or '/launch/' in r.pathname)


def compile_only() -> None:
  """Leaves TPUs alone, whose compiler is all that is wanted; call before JAX is used.

  The compiler is a library of its own that looks for TPUs where it is not told that there are none;
  others on this machine may hold it too.
  """
  import jax
  os.environ |= {'TPU_SKIP_MDS_QUERY': '1', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
                 'TPU_ACCELERATOR_TYPE': 'v5litepod-1', 'TPU_WORKER_HOSTNAMES': 'localhost'}
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_enable_compilation_cache', False)  # there is no client to read them back


def set_up_devices(mesh) -> None:
  """Splits a CPU into one device per core, unless the user chose; call before JAX is used."""
  import jax
  if 'xla_force_host_platform_device_count' in os.environ.get('XLA_FLAGS', ''):
    return
  cores = mesh.cpu_devices or machine.cores()
  jax.config.update('jax_num_cpu_devices', max(cores, mesh.model, mesh.data * mesh.model))


def join_processes(coordinator: str | None, num_processes: int | None, process_id: int | None,
                   heartbeat_seconds: int) -> None:
  """Makes this one of several processes, by JAX's own runtime; the first alone speaks from here on.

  Args:
    coordinator: host:port of process 0; None, as the next two, where the environment knows it.
    num_processes: of the run.
    process_id: this one's, from 0.
    heartbeat_seconds: after so long without a sign of one, the runtime ends all others.
  """
  global _joined
  import jax
  jax.config.update('jax_enable_preemption_service', False)  # it would take SIGTERM and go on
  try:
    jax.distributed.initialize(coordinator, num_processes, process_id,
                               heartbeat_timeout_seconds=heartbeat_seconds)
    index = jax.process_index()
  except (ValueError, RuntimeError) as error:
    why = str(error).splitlines()[0]
    if 'gloo' in why:
      why = (f'this machine cannot look up its own name, {socket.gethostname()}: put it into '
             '/etc/hosts')
    raise InputError(f'cannot join the other processes: {why}') from error
  _joined = True
  if index:
    logging.set_verbosity(logging.WARNING)
