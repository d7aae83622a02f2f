"""Reads JSON lines that someone else wrote."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
import contextlib
import json
import math
import os
from typing import Any

from tts import answers
from tts.types import InputError

_NAMED = 5  # bad lines that are named, of however many


class BadLines:
  """What becomes of lines that cannot be used: the first one is an error, or all are left out."""

  def __init__(self, skip: bool = False):
    """`skip`: leave them out."""
    self.skip, self.count = skip, 0
    self._named: list[str] = []

  @contextlib.contextmanager
  def left_out(self) -> Iterator[None]:
    """An InputError inside is about one line: it is raised, or the line is left out."""
    try:
      yield
    except InputError as error:
      if not self.skip:
        raise
      self.count += 1
      if len(self._named) < _NAMED:
        self._named.append(str(error))

  def said(self) -> list[str]:
    """One line about what was left out; none where nothing was."""
    if not self.count:
      return []
    more = f'; and {self.count - len(self._named):,} more' * (self.count > len(self._named))
    return [f'left out {self.count:,} bad line{"s" * (self.count > 1)}: '
            + '; '.join(self._named) + more]


def read(path: str | os.PathLike[str],
         bad: BadLines | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields (where, object) for every line that is not blank.

  `where` is `file, line n`, for messages about the object. Lines are read one at
  a time. `bad` says what becomes of a line that is no object; without it, that is an error.

  Raises:
    InputError: no such file, or a line that is not a JSON object in UTF-8.
  """
  bad = bad or BadLines()
  try:
    file = open(path, 'rb')
  except OSError as e:
    raise InputError(f'cannot read {path}: {e.strerror}') from e
  with file:
    for number, line in enumerate(file, 1):
      where = f'{path}, line {number}'
      line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
      row = None
      if line.strip():
        with bad.left_out():
          row = parsed(line, where)
      if row is not None:
        yield where, row


def parsed(data: bytes, where: str) -> dict[str, Any]:
  """Returns the JSON object that `data` is, from `where` for messages.

  Raises:
    InputError: it is none, or not in UTF-8.
  """
  try:
    row = json.loads(data.decode().strip(), parse_constant=_refuse)
  except UnicodeDecodeError as e:
    raise InputError(f'{where}: not UTF-8: save the file as UTF-8') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{where}: not JSON: {_reason(e)}') from e
  if not isinstance(row, dict):
    raise InputError(f'{where}: not a JSON object: write {{"field": value}}')
  return row


def dumped(row: dict[str, Any], where: str) -> str:
  """Returns the object as JSON; InputError where a number is infinite."""
  try:
    return json.dumps(row, allow_nan=False)
  except ValueError as e:
    raise InputError(f'{where}: a number is too large for JSON') from e


def check_characters(row: dict[str, Any], where: str) -> None:
  """Raises InputError where a text of the object cannot be written as UTF-8."""
  try:
    json.dumps(row, ensure_ascii=False).encode()
  except UnicodeEncodeError as e:
    raise InputError(f'{where}: it has half of a surrogate pair, \\ud800 to \\udfff: leave that '
                     'out, or write the whole character') from e
  except RecursionError as e:
    raise InputError(f'{where}: not JSON: nested too deeply') from e


def gold_field(row: dict[str, Any], where: str) -> str:
  """Returns the gold answer in the field `answer`.

  Raises:
    InputError: as `text_field`; or it is so long that every prediction would be wrong.
  """
  gold = answers.gold_answer(text_field(row, 'answer', where))
  if len(gold) > answers.MAX_LENGTH:
    raise InputError(f'{where}: field "answer" has an answer of {len(gold)} characters: at most '
                     f'{answers.MAX_LENGTH} are compared')
  return gold


def text_field(row: dict[str, Any], name: str, where: str) -> str:
  """Returns a field as text, a number as it is written in JSON.

  Raises:
    InputError: the field is missing, or neither text nor a number.
  """
  if name not in row:
    raise InputError(f'{where}: no field "{name}": every line needs it')
  value = row[name]
  if isinstance(value, str):
    return value
  if isinstance(value, int) and not isinstance(value, bool) or (
      isinstance(value, float) and math.isfinite(value)):
    return json.dumps(value)
  raise InputError(f'{where}: field "{name}" is neither text nor a finite number: write it as a '
                   'string')


def _refuse(constant: str):
  raise ValueError(f'{constant} is not allowed')


def _reason(error: Exception) -> str:
  """The parser's complaint in one line, without the place it repeats."""
  if isinstance(error, json.JSONDecodeError):
    return f'{error.msg.removesuffix(" at")} at column {error.colno}'
  if isinstance(error, RecursionError):
    return 'nested too deeply'
  return str(error)
