"""Writes a chat by a model's own Jinja template, which is untrusted: in a process with limits.

`render` starts this file as a program of its own, which imports nothing of the project and takes
JSON in and gives JSON out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import datetime
import json
import os
import subprocess
import sys
from typing import Any

_SECONDS = 10
_MEMORY = 1 << 29      # bytes of address space
_MAX_OUTPUT = 1 << 18  # characters
_TODAY = datetime.date(2024, 7, 26)


class TemplateError(ValueError):
  """The template gave no text; the message, one line, says why."""


def render(template: str, messages: Sequence[Mapping[str, str]],
           specials: Mapping[str, str], arguments: Mapping[str, Any] | None = None) -> str:
  """The chat as a text, up to where the assistant's answer begins.

  Templates ask for the date: it is always 26 July 2024, so that prompts do not depend on the day.

  Args:
    template: Jinja.
    messages: each with `role` and `content`.
    specials: text of special tokens by name, e.g. `bos_token`.
    arguments: JSON values by name, of what else the template reads, e.g. `enable_thinking`.

  Raises:
    TemplateError: it refuses, does what a template may not, or takes too much time or space.
  """
  request = json.dumps({'template': template, 'messages': list(messages),
                        'arguments': {**specials, **(arguments or {})}})
  try:
    # Modules are not looked for beside this file, where some have the names of others.
    found = subprocess.run([sys.executable, '-P', os.path.abspath(__file__)],
                           input=request.encode(), capture_output=True, timeout=_SECONDS,
                           check=False)
  except subprocess.TimeoutExpired as e:
    raise TemplateError(f'it took more than {_SECONDS} seconds') from e
  try:
    result = json.loads(found.stdout)
  except ValueError as e:
    raise TemplateError('it took too much time or memory') from e
  if 'error' in result:
    raise TemplateError(result['error'])
  return result['text']


def _limit() -> None:
  """Bounds this process, where the system can: the parent's clock holds everywhere."""
  try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
  except (ImportError, ValueError, OSError):
    pass


def _render(template: str, messages: list[dict[str, str]], arguments: dict[str, Any]) -> str:
  import jinja2
  import jinja2.ext
  from jinja2 import sandbox

  class Environment(sandbox.ImmutableSandboxedEnvironment):
    """Refuses at once what is unsafe; the library's own gives an empty text."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
      raise sandbox.SecurityError(
          f'it reads the attribute {attribute!r} of {type(obj).__name__}, which it may not')

  def refuse(message: str) -> None:
    raise jinja2.TemplateError(str(message))

  environment = Environment(trim_blocks=True, lstrip_blocks=True,
                            extensions=[jinja2.ext.loopcontrols])
  environment.filters['tojson'] = lambda x, indent=None, **how: json.dumps(
      x, ensure_ascii=False, indent=indent)
  environment.globals |= {'raise_exception': refuse, 'strftime_now': _TODAY.strftime}
  parts, size = [], 0
  for part in environment.from_string(template).generate(
      {'tools': None, 'documents': None, **arguments, 'messages': messages,
       'add_generation_prompt': True}):
    parts.append(part)
    size += len(part)
    if size > _MAX_OUTPUT:
      raise ValueError(f'it wrote more than {_MAX_OUTPUT} characters')
  return ''.join(parts)


def _main() -> None:
  _limit()
  request = json.loads(sys.stdin.buffer.read())
  try:
    result = {'text': _render(**request)}
  except ImportError:
    result = {'error': 'chat templates need the library jinja2: pip install -e ".[open]"'}
  except MemoryError:
    result = {'error': 'it took too much memory'}
  except Exception as e:  # pylint: disable=broad-exception-caught  # whatever a template does
    result = {'error': ' '.join(f'{e}'.split())[:200] or type(e).__name__}
  sys.stdout.write(json.dumps(result))


if __name__ == '__main__':
  _main()
