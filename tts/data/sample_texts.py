"""The samples of one line, as the programs that people use write them, each with its own fields.

One text or a list of texts; the choices of a server; the outputs of vLLM; the nested responses that
lm-evaluation-harness logs. A text that is null, or that a sample was cut off before, is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import itertools
from typing import Any

from tts.data import jsonl
from tts.types import InputError

Names = Mapping[str, tuple[str, ...]]

# Field -> what files call it; of several in one line the first counts.
NAMES = {
    'id': ('problem_id', 'question_id', 'id', 'doc_id'),
    'problem': ('problem', 'question', 'prompt'),
    'answer': ('answer', 'gold', 'ground_truth', 'target'),
    'prediction': ('prediction', 'text', 'response', 'completion', 'output', 'predictions',
                   'texts', 'responses', 'completions', 'outputs', 'samples', 'choices', 'resps'),
    'score': ('score', 'reward'),
    'step_scores': ('step_scores',),
    'scores': ('scores', 'rewards'),
    'logprob': ('logprob', 'cumulative_logprob'),
    'tokens': ('tokens', 'num_tokens', 'token_ids', 'completion_tokens'),
    'verifier_tokens': ('verifier_tokens',),
    'truncated': ('truncated',),
    'finish_reason': ('finish_reason',),
    'model': ('model',),
    'level': ('level',),
    'strategy': ('strategy',),
    'budget': ('budget',),
    'beam_width': ('beam_width',),
    'lookahead': ('lookahead',),
    'theta': ('theta',),
    'weight': ('weight',),
    'statistics': ('statistics',),
}
_PER_SAMPLE = ('score', 'step_scores', 'scores', 'logprob', 'tokens', 'verifier_tokens',
               'truncated', 'finish_reason', 'weight', 'statistics')


def texts(row: Mapping[str, Any], where: str) -> list[str | None] | str | None:
  """The texts of a line's samples, each None where there is none: a list of them, or the only one.

  Raises:
    InputError: there is no field for a text, or something else in it.
  """
  asked = ('prediction', 'truncated', 'finish_reason')
  known = known_fields(row, {name: NAMES[name] for name in asked})
  listed = isinstance(known.get('prediction'), list)
  if listed:  # the other fields have a value for each, which is not asked for here
    known = {'prediction': known['prediction']}
  found = [text_of(own, where) for own in expanded(row, known, where, NAMES)]
  return found if listed else found[0]


def known_fields(row: Mapping[str, Any], names: Names) -> dict[str, Any]:
  """The fields of a line by our names; what is null is not there."""
  out = {}
  for ours, theirs in names.items():
    for name in theirs:
      if row.get(name) is not None:
        out[ours] = row[name]
        break
  return out


def cut_off(known: Mapping[str, Any]) -> bool:
  """Whether a sample ended where there was no more room, so that it has no answer."""
  return known.get('truncated') is True or known.get('finish_reason') == 'length'


def expanded(row: Mapping[str, Any], known: Mapping[str, Any], where: str,
             names: Names) -> Iterator[dict[str, Any]]:
  """The samples of a line, each with its own fields; without `prediction` where it has no text.

  Args:
    row: the JSON object.
    known: what of it is not null, by our names.
    where: `file, line n`.
    names: as `NAMES`.

  Raises:
    InputError: there is no field for a text, or no text in it, or not a value for every sample.
  """
  if 'prediction' not in known and not cut_off(known) and not _has(row, names):
    raise InputError(f'{where}: no field "prediction": write the text of a sample there, null if '
                     'it has none, or give launch.study the file\'s own name of it by '
                     '--fields=prediction=NAME')
  listed = known.get('prediction')
  if not isinstance(listed, list):
    yield dict(known)
    return
  nested = [len(x) for x in listed if isinstance(x, list)]
  items = list(itertools.chain.from_iterable(listed)) if len(nested) == len(listed) else listed
  if not items:
    raise InputError(f'{where}: the list of samples is empty: leave the line out')
  for place, item in enumerate(items):
    own: dict[str, Any] = {}
    for field in _PER_SAMPLE:
      if field in known:
        part = _part(known[field], place, len(items), nested, field, where)
        own |= {} if part is None else {field: part}
    if isinstance(item, dict):
      yield own | _of_server(item, f'{where}: sample {place + 1}', names)
    else:
      yield own | ({} if item is None else {'prediction': item})


def _has(row: Mapping[str, Any], names: Names) -> bool:
  """Whether a text of a sample is there, be it null."""
  return any(name in row for name in names['prediction'])


def _of_server(item: Mapping[str, Any], where: str, names: Names) -> dict[str, Any]:
  """A server's own fields of one sample. A chat's text lies one deeper, its parts two."""
  own = known_fields(item, names)
  message = item.get('message')
  if isinstance(message, dict):
    text = message.get('content')
    if isinstance(text, list) and all(isinstance(part, dict) for part in text):
      text = ''.join(part['text'] for part in text if isinstance(part.get('text'), str)) or None
    own |= {} if text is None or 'prediction' in own else {'prediction': text}
  elif 'prediction' not in own and not _has(item, names) and not cut_off(own):
    raise InputError(f'{where} of the list has no text: write it as "text", null if it has none')
  return own


def _part(values: Any, place: int, size: int, nested: list[int], field: str, where: str) -> Any:
  """A sample's share of a field that has all samples' values; of named ones by name."""
  if isinstance(values, dict):
    return {k: _part(v, place, size, nested, f'{field}.{k}', where) for k, v in values.items()}
  if isinstance(values, list) and len(values) == size:
    return values[place]
  if isinstance(values, list) and nested and nested == [
      len(x) if isinstance(x, list) else None for x in values]:
    return list(itertools.chain.from_iterable(values))[place]
  raise InputError(f'{where}: field {field!r} is not a list of {size}, one for each sample')


def text_of(own: Mapping[str, Any], where: str) -> str | None:
  """A sample's text, None where it has none; InputError where that is something else."""
  return jsonl.text_field(own, 'prediction', where) if 'prediction' in own else None
