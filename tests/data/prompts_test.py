"""Prompt formats by what they write, and chat templates that may not be trusted."""

import dataclasses
import json
import re
import time

import pytest

from tests.data import open_folders
from tts import config as config_lib
from tts import answers
from tts.data import chat_template, worked_examples
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.types import InputError

pytest.importorskip('jinja2')


@pytest.fixture(scope='module')
def ours():
  return Tokenizer.train([e for pair in worked_examples.SETS['math'] for e in pair], 400,
                         byte_fallback=True)


@pytest.fixture(scope='module')
def llama_2(tmp_path_factory):
  return Tokenizer.load(open_folders.llama_2(tmp_path_factory.mktemp('llama_2')))


def with_template(tokenizer, template):
  """The tokenizer with another chat template."""
  return type(tokenizer)({**tokenizer.files, 'chat_template.jinja': template.encode()}, 'x/y.model')


def test_plain_is_the_question(ours):
  plain = Prompts(PromptConfig(), ours)
  assert plain.encode('7+2\n') == ours.encode_prompt('7+2\n')
  assert plain.mark == () and plain.roles == ours.roles()


def test_few_shot(ours):
  few = Prompts(PromptConfig('few_shot'), ours)
  text = ours.decode(few.encode('How many\neggs?\n'))
  assert text.endswith('.\n\nProblem:\nHow many\neggs?\n\nSolution:\n')
  assert text.count('\nSolution:\n') == text.count('Problem:\n') == 5
  # What stands between an example's end and the next ends a solution: nothing else does.
  assert text.count('\n\n') == 9


def test_examples_by_name_and_layout(ours):
  few = Prompts(PromptConfig('few_shot', examples='gsm8k', layout='question'), ours)
  question, solution = worked_examples.SETS['gsm8k'][0]
  assert few.text('How many?\n').startswith(
      f'Question: {question}\nAnswer: {solution}\n\nQuestion:')
  assert few.text('How many?\n').endswith('\n\nQuestion: How many?\nAnswer:')
  assert few.mark != Prompts(PromptConfig('few_shot', examples='gsm8k'), ours).mark


def test_our_examples_of_gsm8k_are_right():
  for _, solution in worked_examples.SETS['gsm8k']:
    said = re.findall(r'(\d[-+*/.\d ]*) = (\d+)', solution)
    for sum_, result in said:
      left, op, right = re.fullmatch(r'([.\d]+) ([-+*/]) ([.\d]+)', sum_).groups()
      assert {'+': float.__add__, '-': float.__sub__, '*': float.__mul__, '/': float.__truediv__}[
          op](float(left), float(right)) == float(result)
    assert said and answers.extract(solution) == said[-1][1]


def test_our_examples_say_their_answers():
  found = [answers.extract(solution) for _, solution in worked_examples.SETS['math']]
  assert found == ['7', r'\frac{3}{28}', '2', r'\sqrt{89}']
  for question, solution in worked_examples.SETS['math']:
    assert '\n' not in question and '\n\n' not in solution and solution.count('\n') >= 2


def test_examples_of_a_file(ours, tmp_path):
  path = tmp_path / 'examples.jsonl'
  path.write_text(json.dumps({'problem': '1+1', 'solution': 'We add.\n\n\nThe answer is 2.\n'}))
  few = Prompts(PromptConfig('few_shot', examples=str(path)), ours)
  assert few.text('2+2\n') == (
      'Problem:\n1+1\n\nSolution:\nWe add.\nThe answer is 2.\n\nProblem:\n2+2\n\nSolution:\n')
  assert few.mark != Prompts(PromptConfig('few_shot'), ours).mark
  path.write_text('{"problem": "1+1", "answer": "2", "id": "one"}')
  with pytest.raises(InputError, match='examples.jsonl: the example one has no "solution"'):
    Prompts(PromptConfig('few_shot', examples=str(path)), ours)


@pytest.mark.parametrize('fields,message', [
    ({'kind': 'chats'}, 'kind is .chats.'), ({'layout': 'x'}, 'layout is .x.'),
    ({'delimiter': 'x'}, 'delimiter is .x.'),
    ({'system': 'x'}, "for 'chat' alone"), ({'examples': 'x'}, "for 'few_shot' and 'chat' alone"),
    ({'kind': 'few_shot', 'delimiter': 'blank_line'}, 'to be newline'),
    ({'template_arguments': '{}'}, "for 'chat' alone"),
    ({'kind': 'chat', 'template_arguments': '[1]'}, 'give a JSON object'),
    ({'kind': 'chat', 'template_arguments': 'x=1'}, 'give a JSON object'),
    ({'kind': 'chat', 'template_arguments': '{"messages": []}'}, 'has messages, which is not')])
def test_a_config_that_makes_no_sense(fields, message):
  with pytest.raises(ValueError, match=message):
    PromptConfig(**fields)
  config = config_lib.to_config_dict(config_lib.Experiment())
  config.prompts.update(fields)
  with pytest.raises(InputError, match=f'config.prompts: .*{message}'):
    config_lib.from_config_dict(config)


def test_chat(llama_2):
  chat = Prompts(PromptConfig('chat', 'Be {{ brief }}.', delimiter='blank_line'), llama_2)
  assert chat.text(' 1+1\n') == '<s>[INST] <<SYS>>\nBe {{ brief }}.\n<</SYS>>\n\n1+1 [/INST]'
  assert chat.text('{{ 7*7 }}').endswith('{{ 7*7 }} [/INST]'), 'a question is no template'
  assert chat.encode('1+1')[0] == llama_2.bos_id
  assert chat.roles == llama_2.roles('blank_line')
  without = Prompts(PromptConfig('chat'), llama_2)
  assert without.text('1+1') == '<s>[INST] 1+1 [/INST]' and without.mark != chat.mark


THINKING = ("{{ messages[0].content }}{% if enable_thinking is defined and not enable_thinking %}"
            '<think></think>{% endif %}{{ effort | default(1) + 1 }}')


def test_examples_of_a_chat_are_its_turns(llama_2, tmp_path):
  chat = Prompts(PromptConfig('chat', examples='gsm8k'), with_template(
      llama_2, "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"))
  assert chat.text('1+1') == ''.join(
      f'<user>{question}<assistant>{solution}'
      for question, solution in worked_examples.SETS['gsm8k']) + '<user>1+1<assistant>'
  path = tmp_path / 'examples.jsonl'
  path.write_text('{"problem": "1+1", "solution": "It is </s> 2."}\n')
  with pytest.raises(InputError, match="an example has '</s>' in it"):
    Prompts(PromptConfig('chat', examples=str(path)), llama_2)


def test_arguments_of_a_template(llama_2):
  of = lambda **fields: Prompts(PromptConfig('chat', **fields), with_template(llama_2, THINKING))
  assert of().text('x') == 'x2'
  told = of(template_arguments='{"enable_thinking": false, "effort": 4}')
  assert told.text('x') == 'x<think></think>5' and told.mark != of().mark
  with pytest.raises(InputError, match="'enable_thinkin', which the chat template"):
    of(template_arguments='{"enable_thinkin": false}')
  config = config_lib.to_config_dict(config_lib.Experiment())
  config.prompts.update(kind='chat', template_arguments='{"enable_thinking": false}')
  made = config_lib.from_config_dict(config).prompts
  assert Prompts(made, with_template(llama_2, THINKING)).text('x') == 'x<think></think>2'


GEMMA_2 = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role "
           "not supported') }}{% endif %}{% for m in messages %}{{ m['content'] }}{% endfor %}")


@pytest.mark.parametrize('template,reason', [
    (GEMMA_2, r' \(System role not supported\)'), ("{{ messages[-1]['content'] }}", '')])
def test_a_template_without_a_system_prompt(llama_2, template, reason):
  """It refuses it, or passes over it: both are said."""
  gemma = with_template(llama_2, template)
  with pytest.raises(InputError, match=f'config.prompts.system: .* no system prompt{reason}: drop it'
                     ) as caught:
    Prompts(PromptConfig('chat', 'Be brief.'), gemma)
  assert '\n' not in str(caught.value)
  alone = Prompts(PromptConfig('chat'), gemma)
  assert Prompts(PromptConfig('chat', ''), gemma).text('x') == alone.text('x')


def test_a_system_prompt_that_is_the_templates_own(llama_2):
  own = ("{{ messages[0].content if messages[0].role == 'system' else 'Be kind.' }}"
         "{{ messages[-1].content }}")
  chat = Prompts(PromptConfig('chat', 'Be kind.'), with_template(llama_2, own))
  assert chat.text('x') == 'Be kind.x'


def test_a_tokenizer_without_a_template(ours):
  with pytest.raises(InputError, match='no chat template: use plain or few_shot'):
    Prompts(PromptConfig('chat'), ours)


def test_templates_are_told_a_day_that_stays_the_same(llama_2):
  template = "{{ strftime_now('%d %b %Y') }} {{ messages[0].content }}{{ tools is none }}"
  chat = Prompts(PromptConfig('chat'), with_template(llama_2, template))
  assert chat.text('x') == '26 Jul 2024 xTrue'


@pytest.mark.parametrize('template,reason', [
    ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "attribute '__class__'"),
    ("{{ ''.__class__ }}{{ messages[0].content }}", "attribute '__class__'"),
    ("{{ cycler.__init__.__globals__.os.system('true') }}", "attribute '__init__'"),
    ("{{ lipsum['__globals__'] }}", "attribute '__globals__'"),
    ("{{ messages.append({}) }}", "attribute 'append'"),
    ('{% include "/etc/passwd" %}', 'no loader'),
    ("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", 'more than 262144 characters'),
    ("{{ 'a' * 10 ** 10 }}", 'memory'),
    ('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'recursion'),
    ("{{ raise_exception('System role\n not supported') }}", 'System role not supported'),
    ('{% if', 'unexpected'), ('{{ messages[0].content | upper }}', 'does not write the question'),
    ('{{ messages[0].content }}{{ messages[0].content }}', 'does not write the question')])
def test_a_hostile_template_is_refused_in_one_line(llama_2, template, reason):
  with pytest.raises(InputError, match=f'config.prompts: .*{reason}') as caught:
    Prompts(PromptConfig('chat'), with_template(llama_2, template))
  assert '\n' not in str(caught.value)


def test_an_endless_template_is_ended(llama_2, monkeypatch):
  monkeypatch.setattr(chat_template, '_SECONDS', 2)
  loop = '{% for i in range(99999) %}' * 3 + '{% endfor %}' * 3
  begun = time.monotonic()
  with pytest.raises(InputError, match='more than 2 seconds'):
    Prompts(PromptConfig('chat'), with_template(llama_2, loop))
  assert time.monotonic() - begun < 20


def test_the_question_is_checked_for_special_tokens(llama_2):
  with pytest.raises(InputError, match="'1 </s> 2'... has '</s>' in it"):
    Prompts(PromptConfig('chat'), llama_2).encode('1 </s> 2')


def test_every_field_is_described():
  rows = {where: meaning for where, _, meaning in config_lib.describe(config_lib.Experiment())}
  assert all(rows[f'config.prompts.{f.name}'] for f in dataclasses.fields(PromptConfig))
