"""How an open verifier wants to read a solution: its prompt, each step, and where a value is read.

A step is written on its own, in ids that do not depend on other steps, so that a cache grows by a
step at a time; `tests/data/verifier_format_test.py` holds them to the ids of the whole text by the
recipe that each verifier was published with. A format's own words may hold control tokens; a
question's and a model's may not: `<extra_0>` that a model writes is eight characters.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import re
from typing import Any

import numpy as np

from tts.data import chat_template
from tts.roles import Ids
from tts.types import InputError


@dataclasses.dataclass(frozen=True)
class StepFormat:
  """A layout. What may be control tokens is encoded apart from what is text.

  Attributes:
    head: before the question; where there is none, the tokenizer's own beginning is.
    ask: after it.
    first: text before the first step, encoded with it.
    begin: text before every other step, encoded with it; `{k}` is its number.
    close: text after a step, encoded with it.
    end: control, after that. The value is read at the last id so far.
    resume: control, between what was read and the next step.
    chat: head, ask, end and resume are as the tokenizer's chat template has them, where it has
      one: `answer`, the steps are one answer; `turns`, each is a question that `resume` answers.
    system: the system prompt of the chat.
    apart: texts are encoded as if each began a sequence, and the beginning of sequence is put
      before the first even where the tokenizer does not do so.
    lines: so is each line of a step, with an end of its own; else a step's blank ends are not read.
  """

  head: str = ''
  ask: str = '\n'
  first: str = ''
  begin: str = ''
  close: str = ''
  end: str = ''
  resume: str = ''
  chat: str | None = None
  system: str | None = None
  apart: bool = False
  lines: bool = False


_CONTROL = re.compile(r'<[|a-z][^<>]*>')  # how control tokens are written
_REASON = 'Please reason step by step, and put your final answer within \\boxed{}.'
_LLAMA3 = '<|start_header_id|>{}<|end_header_id|>\n\n'
_STAND_INS = ('QUESTION-4d1f9c', 'ANSWER-4d1f9c', 'NEXT-4d1f9c')
# name -> layout, each as its authors' code writes it.
FORMATS = {
    'qwen_prm': StepFormat(
        head=f'<|im_start|>system\n{_REASON}<|im_end|>\n<|im_start|>user\n',
        ask='<|im_end|>\n<|im_start|>assistant\n', end='<extra_0>', chat='answer',
        system=_REASON),
    'math_shepherd': StepFormat(ask='', first=' Step 1: ', begin='Step {k}: ', close=' ки',
                                resume='\n'),
    'rlhflow': StepFormat(
        head='<|begin_of_text|>' + _LLAMA3.format('user'), ask='', first=' ',
        end='<|eot_id|>' + _LLAMA3.format('assistant'),
        resume='+<|eot_id|>' + _LLAMA3.format('user'), chat='turns'),
    'skywork': StepFormat(end='\n', apart=True, lines=True),
    'trl': StepFormat(ask='', end='\n', apart=True),  # as its trainer does
}
# What an imported verifier has, by `open_heads.KINDS` and the family that it is of.
DEFAULTS = {('qwen_prm', None): 'qwen_prm', ('token_prm', 'llama'): 'rlhflow',
            ('token_prm', None): 'math_shepherd', ('value_prm', None): 'skywork',
            ('classifier_prm', None): 'trl'}


def default(kind: str, family: str) -> str:
  """The format of a verifier of a kind and a `model_type`."""
  return DEFAULTS.get((kind, family)) or DEFAULTS[kind, None]


class Reader:
  """Questions and steps in a verifier's ids.

  Attributes:
    prompt_width: ids of a question at most; a longer one is an error.
    width: ids of a step at most; a longer one loses its beginning.
    past: ids of a solution at most; what no longer fits is not read.
    mark: what the layout is, for fingerprints.
  """

  def __init__(self, name: str, own: Any, writer: Any, prompt_tokens: int, step_tokens: int,
               solution_tokens: int, max_steps: int):
    """`own` and `writer` are the verifier's and the generator's tokenizers, sizes the latter's.

    Raises:
      InputError: the tokenizer lacks what the format needs.
    """
    if name not in FORMATS:
      raise InputError(f'a verifier\'s format is {name!r}: one of {", ".join(FORMATS)}')
    self._own, self._writer = own, writer
    f = self._format = _by_template(FORMATS[name], own)
    self.mark = dataclasses.astuple(f)
    for text in (f.head, f.ask, f.end, f.resume):
      for word in _CONTROL.findall(text):
        if not _has(own, word):
          raise InputError(f'the verifier\'s tokenizer has no {word}, which its format {name} '
                           'writes: import it with another --format')
    count = lambda *texts: sum(len(self._control(t)) for t in texts)
    extra = count(f.begin, f.close, f.end, f.resume)
    self.prompt_width = 2 * prompt_tokens + count(f.head, f.ask) + 1
    self.width = 2 * step_tokens + extra
    self.past = 2 * solution_tokens + extra * max_steps
    self._step = functools.lru_cache(1 << 14)(self._ids)

  def _control(self, text: str) -> list[int]:
    """Ids of a format's own words."""
    special = any(word in text for word in self._own.special_texts) or _CONTROL.search(text)
    return (self._own.encode_chat if special else self._own.encode)(text)

  def _begins(self, text: str) -> list[int]:
    """Ids of a text as one that begins a sequence has them, without what is put before it."""
    return self._own.encode_prompt(text)[len(self._own.encode_prompt('')):]

  def prompt(self, question: str) -> list[int]:
    """Ids of a question, as `Tokenizer.encode_prompt` gives the generator's."""
    f, own = self._format, self._own
    # What is text beside the question is encoded with it: a line's end may be part of a token.
    specials = '|'.join(map(re.escape, own.special_texts)) or '(?!)'
    cut = max((m.end() for m in re.finditer(specials, f.head)), default=0)
    after = re.search(specials, f.ask)
    until = after.start() if after else len(f.ask)
    text = f.head[cut:] + question.strip() + f.ask[:until]
    bos = own.specials.get('bos_token')
    if f.apart:
      begin = [*(own.encode_chat(bos) if bos else []), *self._begins(text)]
    elif cut:
      begin = [*own.encode_chat(f.head[:cut]), *own.encode(text)]
    else:
      begin = own.encode_prompt(text)
    ids = [*begin, *(self._control(f.ask[until:]) if after else [])]
    if len(ids) > self.prompt_width:
      raise InputError(f'a question has {len(ids)} of the verifier\'s ids, its buffer '
                       f'{self.prompt_width}: raise --config.limits.max_prompt_tokens')
    return ids

  def _ids(self, tokens: bytes, before: int) -> list[int]:
    """Ids of one step after so many others; [] where it has no text."""
    text = self._writer.decode(np.frombuffer(tokens, np.int32).tolist())
    f, own = self._format, self._own
    encode = self._begins if f.apart else own.encode
    end = encode(f.end) if f.apart else self._control(f.end)
    if f.lines:
      lines = text.removesuffix('\n').split('\n') if text else []
      return [i for line in lines for i in (*(encode(line) if line else ()), end[-1])]
    text = text.strip()
    if not text:
      return []
    begin = f.begin.replace('{k}', str(before + 1)) if before else f.first
    text = begin + text.removeprefix(begin.lstrip()) + f.close  # models may number steps too
    return [*(self._control(f.resume) if before else []), *encode(text), *end]

  def step(self, tokens: Ids, before: int, room: int) -> list[int]:
    """Ids of one step in the generator's tokens after `before` others, the last `room` of them."""
    ids = self._step(np.asarray(tokens, np.int32).tobytes(), before)
    return ids[max(0, len(ids) - max(room, 0)):]

  def search_step(self, tokens: Ids, before: int, used: int) -> list[int]:
    """`step` of a solution of which `used` ids have been read."""
    return self.step(tokens, before, min(self.width, self.past - used))

  def solution(self, tokens: Ids, ends: Sequence[int]) -> tuple[list[int], list[int]]:
    """A whole solution: its ids, and per step how many of them are read when its value is.

    tokens are the generator's, ends how many of them each step ends at.
    """
    ids: list[int] = []
    read, before = [], 0
    for begin, end in zip([0, *ends[:-1]], ends):
      found = self.step(tokens[begin:end], before, min(self.width, self.past - len(ids)))
      ids += found
      before += bool(found)
      read.append(len(ids))
    return ids, read


def _has(own: Any, word: str) -> bool:
  """Whether a tokenizer has one id for a control token, be it called special or not."""
  if word in own.special_texts:
    return True
  try:
    return len(own.encode_chat(word)) == 1
  except InputError:  # characters without an id
    return False


def _by_template(f: StepFormat, own: Any) -> StepFormat:
  """The format of a chat, as the checkpoint's own template writes it.

  Raises:
    InputError: the template is refused, or does not write what it is given.
  """
  if f.chat is None or own.chat_template is None:
    return f
  turns = [{'role': role, 'content': text}
           for role, text in zip(('user', 'assistant', 'user'), _STAND_INS)]
  if f.system is not None:
    turns.insert(0, {'role': 'system', 'content': f.system})
  try:
    text = chat_template.render(own.chat_template, turns, own.specials)
  except chat_template.TemplateError as e:
    raise InputError(f'the verifier\'s chat template is refused ({e}): mend it, or remove it, '
                     'which takes the template that its format is known by') from e
  parts = re.split('|'.join(_STAND_INS), text)
  if len(parts) != 4:
    raise InputError('the verifier\'s chat template does not write each turn once: mend it, or '
                     'remove it, which takes the template that its format is known by')
  head, answer, again, _ = parts
  if f.chat == 'answer':
    return dataclasses.replace(f, head=head, ask=answer)
  plus = f.resume[:_CONTROL.search(f.resume).start()]
  return dataclasses.replace(f, head=head, end=answer, resume=plus + again)
