"""A verifier's ids, made a step at a time, are those of the whole text by its published recipe.

`recipe_*` say in `transformers` what each model card or its authors' code does. TTS_TOKENIZERS
names a folder of real vocabularies: SentencePiece `*.spm.model` (Llama 2), `*.tiktoken.model`
(Llama 3), folders with a tokenizer.json.
"""

import base64
import functools
import itertools
import json
import os
import pathlib
import random
import shutil

import pytest

from tests.data import open_folders
from tts.data.tokenizer import Tokenizer
from tts.data.verifier_format import Reader
from tts.serving import open_checkpoint
from tts.types import InputError

transformers = pytest.importorskip('transformers', reason='extra `parity`')
REAL = 'TTS_TOKENIZERS'
TEXTS = open_folders.TEXTS + ['Step 1: 1 + 1 = 2 - 0. \u043a\u0438\n'] * 40
LLAMA_3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + "
    "'<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
SYSTEM = 'Please reason step by step, and put your final answer within \\boxed{}.'


def skywork(folder):
  open_folders.qwen(folder)
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  return open_folders.write(folder, tokenizer_config={**config, 'bos_token': '<|endoftext|>'})


def bare_llama_3(folder):
  """No template beside it: the format's own is what Llama 3's was."""
  open_folders.llama_3(folder)
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  del config['chat_template']
  return open_folders.write(folder, tokenizer_config=config)


# Format, and a vocabulary of a family that has it.
CASES = {
    'qwen_prm': ('qwen_prm', lambda f: open_folders.qwen(f, ('<extra_0>',))),
    'shepherd': ('math_shepherd', lambda f: open_folders.llama_2(f, TEXTS)),
    'shepherd_json': ('math_shepherd', lambda f: open_folders.llama_2_json(f, True, TEXTS)),
    'rlhflow': ('rlhflow', open_folders.llama_3),  # its template has a system turn of its own
    'rlhflow_bare': ('rlhflow', bare_llama_3),
    'skywork': ('skywork', skywork),
    'trl_qwen': ('trl', open_folders.qwen),
    'trl_llama_3': ('trl', open_folders.llama_3),
    'trl_llama_2': ('trl', lambda f: open_folders.llama_2(f, TEXTS)),
}


def recipe_qwen_prm(theirs, question, steps, _):
  separator = theirs.encode('<extra_0>')[0]
  text = theirs.apply_chat_template(
      [{'role': 'system', 'content': SYSTEM}, {'role': 'user', 'content': question},
       {'role': 'assistant', 'content': ''.join(step + '<extra_0>' for step in steps)}],
      tokenize=False, add_generation_prompt=False)
  ids = theirs.encode(text)
  read = [i for i, x in enumerate(ids) if x == separator]
  assert theirs.decode(ids[read[-1] + 1:]) == '<|im_end|>\n'  # later than all that is read
  return ids[:read[-1] + 1], read


def recipe_math_shepherd(theirs, question, steps, _):
  lines = [f'Step {k}: {step} \u043a\u0438' for k, step in enumerate(steps, 1)]
  ids = theirs.encode(f'{question} ' + '\n'.join(lines))
  tag = theirs.encode('\u043a\u0438')[-1]
  return ids, [i for i, x in enumerate(ids) if x == tag]


def recipe_rlhflow(theirs, question, steps, _):
  """The step's value is at the third id from the end: before `+` and what ends a turn."""
  turns, whole, read = [], [], []
  for k, step in enumerate(steps):
    turns += [{'role': 'user', 'content': step if k else f'{question} {step}'},
              {'role': 'assistant', 'content': '+'}]
    ids = theirs.apply_chat_template(
        turns, chat_template=theirs.chat_template or LLAMA_3, return_dict=False)
    assert ids[:len(whole)] == whole
    whole, read = ids[:-2], [*read, len(ids) - 3]
  return whole, read


def recipe_skywork(theirs, question, steps, delimiter):
  ids, read = theirs.encode(theirs.bos_token + question + '\n'), []
  newline = theirs.encode('\n')[-1]
  for step in steps[:-1]:
    for line in (step + delimiter).split('\n')[:-1]:
      ids += [*(theirs.encode(line) if line else []), newline]
    read.append(len(ids) - 1)
  for line in steps[-1].split('\n'):
    ids += [*theirs.encode(line), newline]
  return ids, [*read, len(ids) - 1]


def recipe_trl(theirs, question, steps, _):
  bare = lambda text: theirs(text, add_special_tokens=False)['input_ids']
  ids, read = ([] if theirs.bos_token_id is None else [theirs.bos_token_id]) + bare(question), []
  for step in steps:
    ids += bare(step) + theirs.encode('\n', add_special_tokens=False)
    read.append(len(ids) - 1)
  return ids, read


RECIPES = {'qwen_prm': recipe_qwen_prm, 'math_shepherd': recipe_math_shepherd,
           'rlhflow': recipe_rlhflow, 'skywork': recipe_skywork, 'trl': recipe_trl}


@pytest.fixture(scope='module')
def writer(tmp_path_factory):
  return Tokenizer.load(open_folders.llama_3(tmp_path_factory.mktemp('writer')))


def solutions(seed, count, runs):
  """Questions, steps and what is between them: whatever might merge across a border.

  runs: blanks follow each other.
  """
  rng = random.Random(seed)
  begins = ['The', 'So', '$x', '12', '(a)', '\\[', '- b', '1. c', '"q"', '\u4f60', '=', '{']
  middle = [' answer', ' is', ' $x^2$', ' 12', ' + 3', ',', ' \\frac{3}{28}', ' caf\u00e9', '\n',
            ' a  b' if runs else ' a b', '\u4e16', '\t', ' -', '3', '+1']
  ends = ['.', ')', '.)', '$', '\\]', ' 7', '?', '!', ':', '}', '**', ' a', '-', '"', ';', '\u754c']
  text = lambda: ''.join([rng.choice(begins), *rng.choices(middle, k=rng.randint(0, 8)),
                          rng.choice(ends)])
  for _ in range(count):
    question = rng.choice(['', '', ' ', '\n']) + text() + rng.choice(['', '\n', ' \n'])
    yield question, [text() for _ in range(rng.randint(1, 5))], rng.choice(['\n', '\n\n'])


def check(name, folder, writer, count, seed=0, runs=True):
  own, theirs = Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)
  made = Reader(name, own, writer, 400, 400, 4000, 40)
  for question, steps, delimiter in solutions(seed, count, runs):
    tokens, ends = [], []
    for k, step in enumerate(steps):
      tokens += writer.encode(step + (delimiter if k + 1 < len(steps) else ''))
      ends.append(len(tokens))
    ids, read = made.solution(tokens, ends)
    prompt = made.prompt(question)
    expected, places = RECIPES[name](theirs, question.strip(), steps, delimiter)
    assert prompt + ids == expected, (question, steps)
    assert [len(prompt) + n - 1 for n in read] == places


@pytest.mark.parametrize('case', CASES)
def test_ids_are_those_of_the_published_recipe(case, writer, tmp_path):
  name, make = CASES[case]
  check(name, make(tmp_path), writer, 60)


def test_borders_would_merge(writer, tmp_path):
  """So that the test above can fail: whole texts have tokens across a step's end."""
  own = Tokenizer.load(open_folders.qwen(tmp_path))
  merged = lambda a, b: own.encode(a + b) != own.encode(a) + own.encode(b)
  assert merged('The answer is 2).', '\n\nSo') and merged('a.', '\n')
  made = Reader('skywork', own, writer, 64, 64, 256, 8)
  newline = own.encode('\n')
  assert made.prompt('sold.') == own.encode('sold.\n') != own.encode('sold.') + newline
  assert made.step(writer.encode('a.\n\n'), 0, 99) == own.encode('a.') + 2 * newline
  assert made.step([], 0, 99) == []


def test_words_are_those_that_math_shepherd_answers_with(tmp_path):
  folder = open_folders.llama_2(tmp_path, TEXTS)
  theirs = transformers.AutoTokenizer.from_pretrained(folder)
  own = Tokenizer.load(folder)
  words = [open_checkpoint._id(own, word) for word in '+-']
  assert words == theirs.encode('+ -')[1:] and own.token(words[0]) == '\u2581+'
  assert words[0] != own.encode('+')[-1]


def test_a_step_that_has_its_number_is_not_numbered_again(writer, tmp_path):
  own = Tokenizer.load(open_folders.llama_2(tmp_path, TEXTS))
  made = Reader('math_shepherd', own, writer, 64, 64, 256, 8)
  for before in (0, 1):
    number = f'Step {before + 1}: '
    assert (made.step(writer.encode(number + '1 + 1\n'), before, 99)
            == made.step(writer.encode('1 + 1\n'), before, 99))


def test_templates_that_cannot_be_followed(writer, tmp_path):
  folder = open_folders.llama_3(tmp_path / 'a')
  config = json.loads((folder / 'tokenizer_config.json').read_text())
  for template, message in (('{{ raise_exception("no") }}', 'is refused .no.'),
                            ('{{ messages[0].content }}', 'does not write each turn once')):
    open_folders.write(folder, tokenizer_config={**config, 'chat_template': template})
    with pytest.raises(InputError, match=message):
      Reader('rlhflow', Tokenizer.load(folder), writer, 64, 64, 256, 8)
  with pytest.raises(InputError, match='has no <extra_0>'):
    Reader('qwen_prm', Tokenizer.load(open_folders.qwen(tmp_path / 'b')), writer, 64, 64, 256, 8)


def real_llama_2(file, folder):
  open_folders.write(folder, tokenizer_config={
      'tokenizer_class': 'LlamaTokenizer', 'add_bos_token': True, 'bos_token': '<s>',
      'eos_token': '</s>', 'unk_token': '<unk>', 'legacy': False})
  shutil.copy(file, folder / 'tokenizer.model')
  return folder


def real_llama_3(file, folder):
  """Ranks of byte strings as merges: of every two that make a third, in the third's order."""
  ranks = {base64.b64decode(a): int(b) for a, b in map(bytes.split, file.read_bytes().splitlines())}
  open_folders.llama_3(folder)
  spec = json.loads((folder / 'tokenizer.json').read_text())
  shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # GPT-2's names of bytes
  hidden = [b for b in range(256) if b not in shown]
  names = {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}
  text = functools.cache(lambda token: ''.join(names[b] for b in token))
  spec['model']['vocab'] = {text(token): rank for token, rank in ranks.items()}
  spec['model']['merges'] = [
      [text(t[:i]), text(t[i:])] for t in sorted(ranks, key=ranks.get) for i in range(1, len(t))
      if t[:i] in ranks and t[i:] in ranks]
  ids = {}
  for token in spec['added_tokens']:
    token['id'] = ids[token['content']] = len(ranks) + len(ids)
  for special in spec['post_processor']['processors'][1]['special_tokens'].values():
    special['ids'] = [ids[special['id']]]
  (folder / 'tokenizer.json').write_text(json.dumps(spec))
  open_folders.write(folder, generation_config={
      'eos_token_id': [ids['<|end_of_text|>'], ids['<|eot_id|>']]})
  return folder


@pytest.mark.skipif(REAL not in os.environ, reason=f'{REAL} names no folder of vocabularies')
def test_real_vocabularies(writer, tmp_path):
  root = pathlib.Path(os.environ[REAL])
  found = [(real_llama_2(f, tmp_path / f.name), ('math_shepherd', 'trl'))
           for f in root.glob('*.spm.model')]
  found += [(real_llama_3(f, tmp_path / f.name), ('rlhflow', 'trl'))
            for f in root.glob('*.tiktoken.model')]
  for file in root.glob('*/tokenizer.json'):
    special = Tokenizer.load(file.parent).special_texts
    found.append((file.parent, (*(['qwen_prm'] if '<extra_0>' in special else []),
                                *(['rlhflow'] if '<|eot_id|>' in special else []), 'trl')))
  assert found, f'{root} has no vocabulary'
  for (folder, names), seed in itertools.product(found, range(2)):
    for name in names:
      # Of a run of blanks `transformers` makes other pieces than SentencePiece does of this model.
      check(name, folder, writer, 200, seed, runs='.spm.' not in folder.name)
