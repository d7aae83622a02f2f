"""How a question becomes a prompt: as it is, after worked examples, or as a turn of a chat.

Every format is a text before the question and one after it. A chat's are found once, by writing a
stand-in for the question through the model's template, so that no question enters the template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import json
import re
from typing import Any

from tts.data import chat_template, problems, worked_examples
from tts.data.tokenizer import DELIMITERS, Tokenizer
from tts.roles import Roles, Thinking
from tts.types import InputError

KINDS = ('plain', 'few_shot', 'chat')
# What stands before a question and before its solution.
LAYOUTS = {'problem': ('Problem:\n', '\n\nSolution:\n'), 'question': ('Question: ', '\nAnswer: ')}
_STAND_IN = 'QUESTION-4d1f9c'
_DIFFERENT = 'What is 1 + 1?', 'Find all primes below 30.'  # questions that begin differently
_LEAST_SHARED = 16


@dataclasses.dataclass(frozen=True)
class PromptConfig:
  """How questions are put to the models, and what ends a step of a solution.

  Attributes:
    kind: `plain`, the question and a newline; `few_shot`, after worked examples, where a blank
      line ends a solution; `chat`, by the chat template of the tokenizer.
    system: the system prompt of a chat; None, or an empty text, leaves it to the template.
    template_arguments: for `chat`, a JSON object of what else the template reads, e.g.
      `{"enable_thinking": false}`.
    examples: a JSONL file with `problem` and `solution`, a step a line; or the name of examples of
      our own, `math`, `gsm8k` or `words`. For `few_shot`, where None is `math`; for `chat`, where
      each is a turn of the user's and one of the model's, and None is no example.
    layout: for `few_shot`, what stands before questions and solutions: `problem` is "Problem:" and
      "Solution:", on lines of their own, `question` is "Question: " and "Answer: ".
    delimiter: what ends a step: `newline` or `blank_line`, which makes a thought's paragraphs
      steps.
    thinking: of a model that thinks before it answers, the two tokens that open and end its
      thought, e.g. ('<think>', '</think>'); the prompt may open it, or the model. () for any other.
      An answer is then read from what stands behind the thought.
  """

  kind: str = 'plain'
  system: str | None = None
  examples: str | None = None
  layout: str = 'problem'
  delimiter: str = 'newline'
  template_arguments: str | None = None
  thinking: tuple[str, ...] = ()

  def __post_init__(self):
    for name, options in (('kind', KINDS), ('delimiter', DELIMITERS), ('layout', LAYOUTS)):
      if getattr(self, name) not in options:
        raise ValueError(f'{name} is {getattr(self, name)!r}: one of {tuple(options)}')
    for name, kinds in (('system', ('chat',)), ('examples', ('few_shot', 'chat')),
                        ('template_arguments', ('chat',))):
      if getattr(self, name) is not None and self.kind not in kinds:
        raise ValueError(f'{name} is given, and kind is {self.kind!r}: it is for '
                         f'{" and ".join(map(repr, kinds))} alone')
    if self.kind == 'few_shot' and self.delimiter != 'newline':
      raise ValueError('delimiter is to be newline with few_shot: a blank line ends a solution')
    if self.thinking and (len(set(self.thinking)) != 2 or len(self.thinking) != 2):
      raise ValueError(f'thinking is {self.thinking}: give the two tokens that open and end a '
                       "thought, e.g. ('<think>', '</think>'), or ()")
    if self.thinking and self.kind == 'few_shot':
      raise ValueError('thinking is given, and kind is few_shot, whose solutions end at a blank '
                       'line: use chat or plain')
    self.arguments()

  def arguments(self) -> dict[str, Any]:
    """`template_arguments` by name; ValueError where they are no JSON object, or are not free."""
    text = self.template_arguments
    try:
      found = json.loads(text or '{}')
    except (TypeError, ValueError, RecursionError):
      found = None
    if not isinstance(found, dict):
      raise ValueError(f'template_arguments is {text!r}: give a JSON object as a text, e.g. '
                       '{"enable_thinking": false}')
    if taken := sorted({'messages', 'add_generation_prompt'} & set(found)):
      raise ValueError(f'template_arguments has {taken[0]}, which is not yours to give')
    return found


def shared_prefix(encode: Callable[[str], Sequence[int]]) -> list[int]:
  """Ids that all prompts begin with, where they are so many that it pays to read them apart.

  encode: a question --> the ids of its prompt.
  """
  try:
    one, other = (encode(text) for text in _DIFFERENT)
  except InputError:  # a tokenizer without letters: its prompts are short
    return []
  same = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
  return list(one[:same]) if same >= _LEAST_SHARED else []


class Prompts:
  """A tokenizer with a format of questions.

  Attributes:
    tokenizer: the tokenizer.
    roles: of its ids, for samplers.
    mark: what of the format a fingerprint depends on; nothing for the default.
  """

  def __init__(self, config: PromptConfig, tokenizer: Tokenizer):
    """Reads the examples or the chat template.

    Raises:
      InputError: these are missing or no good.
    """
    self.tokenizer = tokenizer
    self.roles: Roles = tokenizer.roles(config.delimiter, config.kind == 'few_shot')
    self._kind = config.kind
    self._before, self._after = '', ''
    if config.kind == 'few_shot':
      self._before, self._after = _few_shot(config)
    elif config.kind == 'chat':
      self._before, self._after = _chat(config, tokenizer)
    if config.thinking:
      self.roles = dataclasses.replace(self.roles, thinking=_thinking(
          config.thinking, tokenizer, self._before + self._after))
    self.mark = () if config == PromptConfig() else (
        config.kind, config.delimiter, self._before, self._after, *config.thinking)

  def encode(self, question: str) -> list[int]:
    """Ids of one question's prompt."""
    return self.encode_batch([question])[0]

  def encode_batch(self, questions: Sequence[str]) -> list[list[int]]:
    """Ids of the prompts of questions, each a text that ends in a newline.

    Raises:
      InputError: a character without an id; in a chat, the text of a special token.
    """
    texts = [self.text(q) for q in questions]
    if self._kind != 'chat':
      return self.tokenizer.encode_prompts(texts)
    for question in questions:
      special = next((s for s in self.tokenizer.special_texts if s in question), None)
      if special is not None:
        raise InputError(f'the question {question[:40]!r}... has {special!r} in it, which ends or '
                         'begins a turn of the chat: remove it')
    return [self.tokenizer.encode_chat(text) for text in texts]

  def text(self, question: str) -> str:
    """The prompt as a text, without what the tokenizer puts before it."""
    return question if self._kind == 'plain' else self._before + question.strip() + self._after


def _few_shot(config: PromptConfig) -> tuple[str, str]:
  """What stands before and after a question, the worked examples among it."""
  before, between = LAYOUTS[config.layout]
  # A blank at the end of a prompt would part the first word of the solution in another way.
  return (''.join(f'{before}{question}{between}{solution}\n\n'
                  for question, solution in _examples(config.examples or 'math')) + before,
          between.rstrip(' '))


def _examples(source: str) -> Sequence[tuple[str, str]]:
  """(question, solution) of the worked examples of a file, or of ours by name."""
  if source in worked_examples.SETS:
    return worked_examples.SETS[source]
  found = problems.load_jsonl(source, graded=False)
  missing = next((p.id for p in found if not (p.solution or '').strip()), None)
  if missing is not None:
    raise InputError(f'{source}: the example {missing} has no "solution": give it one')
  # With `few_shot` a blank line would end the solution.
  return [(p.prompt.strip(), re.sub(r'\s*\n\s*', '\n', p.solution.strip())) for p in found]


def _chat(config: PromptConfig, tokenizer: Tokenizer) -> tuple[str, str]:
  """What the model's chat template writes before and after a question."""
  if tokenizer.chat_template is None:
    raise InputError('config.prompts.kind is chat, and the tokenizer has no chat template: use '
                     'plain or few_shot, or a checkpoint that is made for chat')
  unread = next((name for name in config.arguments() if not re.search(
      rf'\b{re.escape(name)}\b', tokenizer.chat_template)), None)
  if unread is not None:
    raise InputError(f'config.prompts.template_arguments has {unread!r}, which the chat template '
                     'of the tokenizer does not read: drop it')
  examples = _examples(config.examples) if config.examples else ()
  texts = [text for example in examples for text in example]
  special = next((s for s in tokenizer.special_texts if any(s in text for text in texts)), None)
  if special is not None:
    raise InputError(f'{config.examples}: an example has {special!r} in it, which ends or begins a '
                     'turn of the chat: remove it')
  turns = [{'role': ('user', 'assistant')[i % 2], 'content': text} for i, text in enumerate(texts)]
  turns.append({'role': 'user', 'content': _STAND_IN})
  text, error = _rendered(config, tokenizer, *turns)
  if config.system:
    alone, (text, error) = text, _rendered(
        config, tokenizer, {'role': 'system', 'content': config.system}, *turns)
    dropped = text == alone and config.system.strip() not in (text or '')
    if alone is not None and (error or dropped):
      raise InputError("config.prompts.system: the tokenizer's chat template has no system prompt"
                       f'{f" ({error})" if error else ""}: drop it, --config.prompts.system= with '
                       'nothing after it')
  if error:
    raise InputError(f"config.prompts: the tokenizer's chat template is refused ({error}): use "
                     'plain or few_shot, or mend the template')
  before, question, after = text.partition(_STAND_IN)
  if not question or _STAND_IN in after:
    raise InputError("config.prompts: the tokenizer's chat template does not write the question "
                     'once: use plain or few_shot, or mend the template')
  return before, after


def _thinking(marks: tuple[str, ...], tokenizer: Tokenizer, prompt: str) -> Thinking:
  """What `PromptConfig.thinking` is in ids. prompt: the text around a question."""
  place = {tokenizer.token(i): i for i in range(tokenizer.vocab_size)}
  missing = next((mark for mark in marks if mark not in place), None)
  if missing is not None:
    raise InputError(f'config.prompts.thinking has {missing!r}, which is no token of the '
                     'tokenizer: give the two tokens that open and end a thought of this model')
  begin, end = marks
  return Thinking(place[begin], place[end], prompt.rfind(begin) > prompt.rfind(end))


def _rendered(config: PromptConfig, tokenizer: Tokenizer,
              *messages: dict[str, str]) -> tuple[str | None, str]:
  """(the chat, '') or, where the template gives none, (None, why)."""
  try:
    return chat_template.render(tokenizer.chat_template, messages, tokenizer.specials,
                                config.arguments()), ''
  except chat_template.TemplateError as e:
    return None, str(e)


def within(prompts: Prompts, question: str, most: int, called: str, fix: str) -> list[int]:
  """Ids of one question's prompt, `most` at most.

  Raises:
    InputError: it is longer, or as `encode_batch`; `called` names it, `fix` and a number say what
      to do.
  """
  try:
    ids = prompts.encode(question)
  except InputError as error:
    raise InputError(f'{called}: {error}') from error
  if len(ids) > most:
    raise InputError(f'{called} has {len(ids)} prompt tokens, the limit is {most}: {fix}{len(ids)} '
                     'or more')
  return ids
