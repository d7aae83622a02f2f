"""One line of a file of samples: a question, or what is known of it, and samples of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
import contextlib
import dataclasses
from typing import Any

from tts.data import jsonl
from tts.data import problems
from tts.data import sample_statistics
from tts.data.sample_scores import Scores
from tts.data.sample_scores import number
from tts.data.sample_scores import scores
from tts.data.sample_scores import whole
from tts.data.sample_texts import cut_off
from tts.data.sample_texts import expanded
from tts.data.sample_texts import known_fields
from tts.data.sample_texts import NAMES
from tts.data.sample_texts import Names
from tts.data.sample_texts import text_of
from tts.types import InputError
from tts.types import Strategy

# Strategies, and of searches the parameters that a line has to give.
METHODS = {'sample': (), 'greedy': (), 'beam': ('beam_width',),
           'lookahead': ('beam_width', 'lookahead'), 'dvts': ('beam_width',), 'rebase': (),
           'particle_filter': (), 'particle_filter_entropic': ()}
_MOST = 1 << 16  # candidates: each is a place in an array


@dataclasses.dataclass(slots=True)
class Question:
  """A question; None for what no line of the file says.

  Attributes:
    prompt: its text.
    gold: the right answer.
    level: external difficulty, 1 to 5.
  """

  prompt: str | None = None
  gold: str | None = None
  level: int | None = None


@dataclasses.dataclass(slots=True)
class Sample:
  """One sample of a question.

  Attributes:
    line: of the file, from 1.
    text: what the model wrote; None where the file has no text of it.
    truncated: cut off, so that it has no answer.
    scores: by verifier.
    logprob: summed, or None.
    tokens: how many, or None.
    verifier_tokens: how many each verifier read, or None.
    weight: particles that it stands for.
    answer: the last one in the text, or None.
    correct: None without a gold answer.
    statistics: as `sample_statistics` has them, or None.
  """

  line: int
  text: str | None
  truncated: bool
  scores: Scores
  logprob: float | None
  tokens: int | None
  verifier_tokens: int | None
  weight: int = 1
  answer: str | None = None
  correct: bool | None = None
  statistics: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Line:
  """What one line says.

  Attributes:
    where: `file, line n`.
    name: the question's id.
    question: what the line knows of it.
    model: the name that it has in the file.
    strategy: that the samples are of.
    samples: in the line's order.
    filter: lm-evaluation-harness writes the samples of a question once for every way in which it
      reads answers off them; this is the way's name.
  """

  where: str
  name: str
  question: Question
  model: str
  strategy: Strategy
  samples: list[Sample]
  filter: str | None


def parsed(row: Mapping[str, Any], where: str, names: Names = NAMES,
           logits: Collection[str] = ()) -> Line:
  """Reads one line.

  Args:
    row: the JSON object.
    where: `file, line n`.
    names: as `NAMES`.
    logits: as `sample_scores.scores` takes them.

  Raises:
    InputError: it is not understood; the message begins with `where`.
  """
  jsonl.check_characters(row, where)
  known = known_fields(row, names)
  if isinstance(row.get('doc'), dict):
    known = _of_document(row['doc'], names) | known
  name, question = _question(known, where)
  model = jsonl.text_field(known, 'model', where) if 'model' in known else 'base'
  place = int(where.rpartition(' ')[2])
  found = [_sample(own, place, where, logits) for own in expanded(row, known, where, names)]
  way = row['filter'] if 'resps' in row and isinstance(row.get('filter'), str) else None
  return Line(where, name, question, model, _strategy(known, where), found, way)


def _of_document(doc: Mapping[str, Any], names: Names) -> dict[str, Any]:
  """What lm-evaluation-harness's copy of a data set's row says of the question."""
  out = {k: v for k, v in known_fields(doc, names).items() if k in ('problem', 'answer')}
  with contextlib.suppress(InputError):  # another scale
    out['level'] = problems.level_of(doc.get('level'), '')
  return out


def _question(known: Mapping[str, Any], where: str) -> tuple[str, Question]:
  text = jsonl.text_field(known, 'problem', where) if 'problem' in known else None
  if 'id' in known:
    name = jsonl.text_field(known, 'id', where)
  elif text is not None:
    name = problems.id_of(text)
  else:
    raise InputError(f'{where}: no "problem_id" and no "problem": give one, or name the file\'s '
                     'own field by --fields=id=NAME')
  gold = None
  if 'answer' in known:
    gold = jsonl.gold_field(known, where)
    if not gold:
      raise InputError(f'{where}: the gold answer is empty: leave the field out if it is unknown')
  return name, Question(text, gold, problems.level_of(known.get('level'), where))


def _strategy(known: Mapping[str, Any], where: str) -> Strategy:
  method = known.get('strategy', 'sample')
  if not isinstance(method, str) or method not in METHODS:
    raise InputError(f'{where}: strategy {str(method)[:40]!r} is unknown: choose of '
                     f'{tuple(METHODS)}')
  if method in ('sample', 'greedy'):
    return Strategy(method, int(method == 'greedy'))
  theta = known.get('theta', {})
  if not isinstance(theta, dict) or any(
      not isinstance(value, (int, float, str)) or name in ('beam_width', 'lookahead')
      or not name.isidentifier() for name, value in theta.items()):
    raise InputError(f'{where}: field "theta" is to be an object of the method\'s other '
                     'parameters, as {"temperature": 0.1}')
  given = {name: whole(known, name, where, 1, _MOST) for name in METHODS[method]}
  found = Strategy.of(method, whole(known, 'budget', where, 1, _MOST), **theta | given)
  if not found.num_candidates:
    raise InputError(f'{where}: a budget of {found.budget} pays for no candidate at lookahead '
                     f'{found.lookahead}: it is candidates x (lookahead + 1)')
  return found


def _sample(own: Mapping[str, Any], line: int, where: str, logits: Collection[str]) -> Sample:
  if not isinstance(own.get('truncated', False), bool):
    raise InputError(f'{where}: field "truncated" is not true or false')
  tokens = own.get('tokens')
  if isinstance(tokens, list):  # the tokens themselves
    own = {**own, 'tokens': len(tokens)}
  counts = [whole(own, name, where, 0) if name in own else None
            for name in ('tokens', 'verifier_tokens')]
  weight = whole(own, 'weight', where, 1, _MOST) if 'weight' in own else 1
  statistics = (sample_statistics.given(own['statistics'], where, counts[0])
                if 'statistics' in own else None)
  return Sample(line, text_of(own, where), cut_off(own), scores(own, where, logits),
                number(own['logprob'], 'logprob', where) if 'logprob' in own else None, *counts,
                weight, statistics=statistics)
