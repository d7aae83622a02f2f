"""Commands of shell blocks, and their flags as the launchers themselves read them.

As a program it reads those of many launchers, in a process where nobody else has defined flags.
"""

from __future__ import annotations

from collections.abc import Iterator
import importlib
import json
import re
import shlex
import sys

from absl import flags

from launch import common
from tests.pages.pages import Block, blocks, name, PAGES

SHELL, OURS = 'bash', ('launch', 'benchmarks', 'examples')
# Not ours: what they take is not checked.
OTHERS = ('pip', 'pytest', 'vllm', 'cp', 'cd', 'git', 'export', '.')
# Words before the launcher.
_SCRIPTS = {'launch/tpu_pod.sh': 2, 'launch/xpk.sh': 3, 'launch/slurm.sh': 0}
_SPAN = re.compile(r'`(python -m [^`]+|pip install [^`]+)`')


def commands(block: Block) -> Iterator[list[str]]:
  """Words of each command; comments and `\\` at ends of lines are the shell's, `$RUN` is put in."""
  values = {}
  for line in block.text.replace('\\\n', ' ').splitlines():
    words = shlex.split(line, comments=True)
    if len(words) == 1 and (given := re.fullmatch(r'([A-Z]+)=(.*)', words[0])):
      values[given[1]] = given[2].split()
      continue
    words = [x for word in words for x in values.get(word.removeprefix('$'), [word])]
    while words:
      end = next((i for i, word in enumerate(words) if word in ('&&', ';', '|')), len(words))
      yield words[:end]
      words = words[end + 1:]


def every() -> list[tuple[str, list[str]]]:
  """(Where it stands, words) of all commands, those within sentences too."""
  found = [(b.where, words) for b in blocks(SHELL) for words in commands(b)]
  for page in PAGES:
    for number, line in enumerate(page.read_text('utf-8').splitlines(), 1):
      found += [(f'{name(page)}:{number}', shlex.split(said))
                for said in _SPAN.findall(line)]
  return found


def module(words: list[str]) -> tuple[str, list[str]] | None:
  """The module of ours that a command starts, and its arguments; None where it is none."""
  if words[:2] == ['python', '-m'] and words[2].split('.')[0] in OURS:
    return words[2], words[3:]
  if words[0] == 'sbatch':
    words = [word for word in words[1:] if not word.startswith('--nodes')]
  if words[0] in _SCRIPTS:
    launcher, *rest = words[1 + _SCRIPTS[words[0]]:]
    return f'launch.{launcher}', rest
  return None


def parsed(name: str, arguments: list[str]) -> list[str]:
  """Reads a module's flags, and its config with all overrides; what is no flag is returned.

  Raises:
    Exception: whatever the launcher itself would print as an error.
  """
  known = set(flags.FLAGS)
  importlib.import_module(name)
  try:
    sys.argv = [name, *arguments]  # where overrides of a config are found
    rest = flags.FLAGS(common._with_config(sys.argv))[1:]
    if 'config' in flags.FLAGS and flags.FLAGS['config'].present:
      sys.modules['launch.experiment'].read()
    return rest
  finally:
    flags.FLAGS.unparse_flags()
    for flag in set(flags.FLAGS) - known:  # another launcher may call one by the same name
      delattr(flags.FLAGS, flag)
    for other in [m for m in sys.modules if m.split('.')[0] in OURS and m != common.__name__]:
      del sys.modules[other]


def main() -> None:
  """Reads (module, arguments) of commands; writes what is no flag of each, or what was wrong."""
  verdicts = []
  for module, arguments in json.load(sys.stdin):
    try:
      verdicts.append(parsed(module, arguments))
    except Exception as error:  # pylint: disable=broad-except
      verdicts.append(f'{type(error).__name__}: {error}')
  json.dump(verdicts, sys.stdout)


if __name__ == '__main__':
  main()
