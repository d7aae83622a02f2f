"""The command `tts-scaling NAME ...`, which is `python -m launch.NAME ...`, from anywhere."""

import ast
import re
import runpy
import sys

from tts import presets

COMMAND = 'tts-scaling'
_NO_LAUNCHERS = ('__init__', 'common', 'experiment')


def launchers() -> list[str]:
  """Names of all launchers, in alphabetical order."""
  return sorted(p.stem for p in (presets.ROOT / 'launch').glob('*.py')
                if p.stem not in _NO_LAUNCHERS)


def as_started(text: str) -> str:
  """A text with its launchers called as they are started: in a wheel there is no `launch.NAME`."""
  if not presets.IN_WHEEL:
    return text
  return re.sub(rf'(python -m )?\blaunch\.({"|".join(launchers())})\b', rf'{COMMAND} \2', text)


def main() -> None:
  """Runs the launcher that the first argument names; the others are its own."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', 'help'):
    print(_help())
  elif name in launchers():
    sys.argv[:2] = [name]
    # By its full name, by which processes that it starts import it anew.
    package = 'tts.launch' if presets.IN_WHEEL else 'launch'
    runpy.run_module(f'{package}.{name}', run_name='__main__', alter_sys=True)
  else:
    print(f'error: there is no {COMMAND} {name}, but {", ".join(launchers())}', file=sys.stderr)
    sys.exit(2)


def _help() -> str:
  """The launchers, with the first sentence of each, read without importing them."""
  lines = [f'{COMMAND} NAME --flag=value ...; NAME --help has the flags.', '']
  for name in launchers():
    text = (presets.ROOT / 'launch' / f'{name}.py').read_text(encoding='utf-8')
    first, *_ = (ast.get_docstring(ast.parse(text)) or '').splitlines()
    lines.append(f'  {name:<18} {as_started(first)}')
  return '\n'.join([*lines, '', 'Presets for --config: ' + ', '.join(presets.names())])
