"""Open checkpoints' tokenizers: exact round trips, the ids of `transformers`, roles, and errors."""

import itertools
import json
import pickle
import random
import sys

import pytest

from tests.data import open_folders
from tts.data import tokenizer_files
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.types import InputError

pytest.importorskip('tokenizers')
SYSTEM = 'Please reason step by step, and put your final answer within \\boxed{}.'


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('open')
  return {name: make(root / name) for name, make in open_folders.KINDS.items()}


@pytest.fixture(scope='module', params=open_folders.KINDS)
def kind(request):
  return request.param


@pytest.fixture(scope='module')
def folder(folders, kind):
  return folders[kind]


@pytest.fixture(scope='module')
def tokenizer(folder):
  return Tokenizer.load(folder)


def test_round_trips(tokenizer, kind):
  texts = open_folders.ROUND_TRIPS
  assert tokenizer.decode_batch(tokenizer.encode_batch(texts)) == texts
  # By its file this one puts no second blank before a text that begins with one.
  whole = [t for t in texts if kind != 'llama_2_json' or t[0] != ' ']
  assert [tokenizer.decode(tokenizer.encode_prompt(t)) for t in whole] == whole
  for a, b in itertools.product(texts[::3], texts):  # what is generated goes on from what was
    assert tokenizer.decode(tokenizer.encode(a) + tokenizer.encode(b)) == a + b


def test_random_texts(tokenizer):
  rng = random.Random(0)
  alphabet = 'ab  .\n\n\t\r{}\\$_^12é你🎉\u200d<|>/s'
  texts = [''.join(rng.choices(alphabet, k=rng.randint(0, 40))) for _ in range(300)]
  assert tokenizer.decode_batch(tokenizer.encode_batch(texts)) == texts


def test_ids_are_those_of_transformers(folder, kind, tokenizer):
  transformers = pytest.importorskip('transformers')
  theirs = transformers.AutoTokenizer.from_pretrained(folder)
  # `transformers` gives a SentencePiece text with a blank in front no dummy prefix: not the model's
  # own way.
  texts = [t for t in open_folders.ROUND_TRIPS if not (t[0] == ' ' and kind.startswith('llama_2'))]
  assert [tokenizer.encode_prompt(t) for t in texts] == theirs(texts)['input_ids']
  bare = theirs(texts, add_special_tokens=False)['input_ids']
  prefix = len(tokenizer.encode_prompt('a')) - len(theirs('a', add_special_tokens=False).input_ids)
  assert [tokenizer.encode_prompt(t)[prefix:] for t in texts] == bare
  if not kind.startswith('llama_2'):
    assert tokenizer.encode_batch(texts) == bare
  for system in (None, SYSTEM):
    prompts = Prompts(PromptConfig('chat', system), tokenizer)
    for question in texts:
      turns = [{'role': 'user', 'content': question.strip()}]
      turns = turns if system is None else [{'role': 'system', 'content': system}, *turns]
      assert prompts.encode(question) == theirs.apply_chat_template(
          turns, add_generation_prompt=True, return_dict=False)
  if kind == 'llama_3':
    assert prompts.encode('a').count(tokenizer.bos_id) == 1


def test_where_a_text_begins(folders):
  begins = {k: Tokenizer.load(f).encode_prompt('') for k, f in folders.items()}
  assert len(begins['llama_3']) == len(begins['llama_2']) == len(begins['llama_2_json']) == 1
  assert begins['qwen'] == []
  for kind in ('llama_2', 'llama_2_json', 'llama_2_legacy'):
    tokenizer = Tokenizer.load(folders[kind])
    assert tokenizer.encode_prompt('The')[1:] == tokenizer.encode(' The') != tokenizer.encode('The')


def test_a_text_that_looks_like_a_special_token_is_none(tokenizer):
  chat = Prompts(PromptConfig('chat'), tokenizer)
  for text in tokenizer.special_texts:
    ids = tokenizer.encode_prompt(f'a{text}b')
    assert tokenizer.decode(ids) == f'a{text}b'
    assert not set(tokenizer.encode(text)) & set(tokenizer.eos_ids)
    with pytest.raises(InputError, match='has .* in it'):
      chat.encode(f'a{text}b')


def test_special_and_padding_ids_vanish(tokenizer):
  ids = tokenizer.encode('12 + 3')
  ends = [*tokenizer.eos_ids, tokenizer.vocab_size, tokenizer.vocab_size + 100]
  assert tokenizer.decode([*ids, *ends]) == '12 + 3'
  assert tokenizer.encode_solution('12 + 3') == [*ids, tokenizer.eos_ids[0]]


@pytest.mark.parametrize('delimiter,text', [('newline', '\n'), ('blank_line', '\n\n')])
def test_steps_end_with_the_token_that_completes_a_delimiter(tokenizer, delimiter, text):
  roles, rng = tokenizer.roles(delimiter), random.Random(1)
  parts, several = ['a', ' b', '.', '\n', '\n\n', ').\n\n', '$', '\n '], 0
  for _ in range(300):
    ids = tokenizer.encode(''.join(rng.choices(parts, k=12)))
    ends = roles.step_ends(ids)
    steps = [ids[a:b] for a, b in zip([0, *ends], ends)]
    assert sum(steps, []) == ids
    for i, step in enumerate(steps):
      assert text not in tokenizer.decode(step[:-1])
      assert i == len(steps) - 1 or text in tokenizer.decode(step)
    several += len(steps) > 2
  assert several > 50 and roles.ends == tokenizer.eos_ids


def test_after_worked_examples_a_blank_line_ends_a_solution(tokenizer):
  roles = Prompts(PromptConfig('few_shot'), tokenizer).roles
  for solution in ('So $a = 1$.\nThe answer is $\\boxed{1}$.', '1', 'a\n b\nc)', '}'):
    ids = tokenizer.encode(solution + '\n\nProblem:\n2')
    end = next(n for n in range(1, len(ids)) if roles.finished(ids[:n]))
    assert tokenizer.decode(ids[:end]).rstrip('\n') == solution


def test_save_and_load(tokenizer, kind, tmp_path):
  tokenizer.save(tmp_path)
  main = 'tokenizer.model' if kind == 'llama_2' else 'tokenizer.json'
  assert main in {p.name for p in tmp_path.iterdir()} == set(tokenizer.files)
  for copy in (Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
    assert copy.encode_batch(open_folders.TEXTS) == tokenizer.encode_batch(open_folders.TEXTS)
    assert (copy.files, copy.proto, copy.eos_ids, copy.bos_id, copy.chat_template) == (
        tokenizer.files, tokenizer.proto, tokenizer.eos_ids, tokenizer.bos_id,
        tokenizer.chat_template)
    assert copy.roles('blank_line') == tokenizer.roles('blank_line')


def test_a_model_may_be_padded_but_not_too_small(tokenizer):
  tokenizer.check_fits(tokenizer.vocab_size + 64, 'model x')
  with pytest.raises(InputError, match=r'model x: tokenizer.* has \d+ ids, the model'):
    tokenizer.check_fits(tokenizer.vocab_size - 2, 'model x')


def test_a_special_token_that_nothing_writes_needs_no_row(folders, tmp_path):
  """Gemma 3's tokenizer has a token for pictures, its smallest model has no row for it."""
  import tokenizers
  path = changed(folders, tmp_path, 'qwen', 'generation_config.json', '{}')
  size = Tokenizer.load(path).vocab_size
  made = tokenizers.Tokenizer.from_file(str(path / 'tokenizer.json'))
  made.add_special_tokens(['<image>'])
  made.save(str(path / 'tokenizer.json'))
  found = Tokenizer.load(path)
  assert found.vocab_size == size + 1
  found.check_fits(size, 'model x')
  with pytest.raises(InputError, match='there is none for'):
    found.check_fits(size - 1, 'model x')
  (path / 'chat_template.jinja').write_text("<image>{{ messages[0]['content'] }}")
  with pytest.raises(InputError, match="there is none for '<image>'"):
    Tokenizer.load(path).check_fits(size, 'model x')


def changed(folders, tmp_path, kind, file, change):
  """A copy of a folder with one JSON file changed, or replaced by text."""
  for path in folders[kind].iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  value = change
  if callable(change):
    value = json.loads((tmp_path / file).read_text())
    change(value)
    value = json.dumps(value)
  (tmp_path / file).write_text(value)
  return tmp_path


@pytest.mark.parametrize('kind,file,change,message', [
    ('llama_3', 'tokenizer_config.json', lambda c: c.update(eos_token='<end>'),
     "no id for eos_token '<end>'"),
    ('llama_2', 'tokenizer_config.json', lambda c: c.update(bos_token='<begin>'),
     "no id for bos_token '<begin>'"),
    ('llama_3', 'generation_config.json', '{"eos_token_id": [1, 4000]}', 'eos_token_id 4000'),
    ('llama_3', 'generation_config.json', '{"eos_token_id": "x"}', 'an id or a list of ids'),
    ('qwen', 'generation_config.json', '[]', 'generation_config.json is not a JSON object'),
    ('qwen', 'tokenizer_config.json', '{', 'tokenizer_config.json is not JSON'),
    ('qwen', 'tokenizer_config.json', lambda c: c.update(eos_token='\ud800'), 'the text of a token'),
    ('qwen', 'tokenizer_config.json', lambda c: c.update(eos_token=[1]), 'the text of a token'),
    ('qwen', 'tokenizer_config.json', lambda c: c.update(add_bos_token='no'), 'true or false'),
    ('qwen', 'chat_template.jinja', 'x' * (tokenizer_files.MAX_TEMPLATE + 1), 'more than'),
    ('qwen', 'tokenizer.json', '{"model": {"type": "BPE"}, "decoder": {"type": "ByteLevel"}}',
     'tokenizer.json is not a tokenizer'),
    ('qwen', 'tokenizer.json', lambda c: c.update(decoder=None), 'has no decoder'),
    ('qwen', 'tokenizer.json', lambda c: c['model']['vocab'].update(zz=2**32 - 1), 'has an id'),
    # The library panics at this one.
    ('llama_3', 'tokenizer.json',
     lambda c: c['post_processor']['processors'][1].update(special_tokens={}),
     'tokenizer.json is not a tokenizer'),
    ('llama_2', 'tokenizer.model', 'no model', 'tokenizer.model is not a SentencePiece model'),
    ('qwen', 'tokenizer.json', '[' * 100_000, 'tokenizer.json is not JSON'),
])
def test_files_that_do_not_fit(folders, tmp_path, kind, file, change, message):
  with pytest.raises(InputError, match=message) as caught:
    Tokenizer.load(changed(folders, tmp_path, kind, file, change))
  assert '\n' not in str(caught.value)


def test_a_model_whose_pieces_are_not_texts(folders, tmp_path):
  for path in folders['llama_2'].iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  model = (tmp_path / 'tokenizer.model').read_bytes()
  (tmp_path / 'tokenizer.model').write_bytes(model.replace(b'<unk>', b'<\xe2nk>', 1))
  (tmp_path / 'tokenizer_config.json').unlink()
  with pytest.raises(InputError, match='tokenizer.model is not a SentencePiece model'):
    Tokenizer.load(tmp_path)


def test_a_vocabulary_without_its_unknown_token(folders, tmp_path):
  """Nothing is wrong until a character has no id; then it is said in a line."""
  def without(spec):
    spec['model'].update(byte_fallback=False, unk_token='<gone>')
  path = changed(folders, tmp_path, 'llama_2_json', 'tokenizer.json', without)
  tokenizer = Tokenizer.load(path)
  assert tokenizer.decode(tokenizer.encode('add.')) == 'add.'
  with pytest.raises(InputError, match='tokenizer.json .*<gone>') as caught:
    tokenizer.encode('\u4e2d')
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('says', [None, False, True])
@pytest.mark.parametrize('kind', ['llama_3', 'qwen', 'llama_2_json'])
def test_what_begins_a_text_is_what_transformers_has(folders, tmp_path, kind, says, caplog):
  """By the post-processor of `tokenizer.json`, whatever `add_bos_token` says beside it."""
  transformers = pytest.importorskip('transformers')

  def say(config):
    config.pop('add_bos_token', None)
    config.update({} if says is None else {'add_bos_token': says})
    config['bos_token'] = config.get('bos_token') or '<|im_start|>'
  path = changed(folders, tmp_path, kind, 'tokenizer_config.json', say)
  ours, theirs = Tokenizer.load(path), transformers.AutoTokenizer.from_pretrained(path)
  assert ours.encode_prompt('add 1') == theirs('add 1').input_ids
  assert (ours.bos_id is None) == (kind == 'qwen')
  disagree = says is not None and says != (kind != 'qwen')
  assert sum('the latter counts' in r.message for r in caplog.records) == disagree


@pytest.mark.parametrize('says', [False, True])
def test_without_a_post_processor_the_config_says_what_begins_a_text(folders, tmp_path, says):
  path = changed(folders, tmp_path, 'llama_3', 'tokenizer.json',
                 lambda c: c.update(post_processor=None))
  path = changed({'llama_3': path}, tmp_path, 'llama_3', 'tokenizer_config.json',
                 lambda c: c.update(add_bos_token=says))
  tokenizer = Tokenizer.load(path)
  assert tokenizer.encode_prompt('add') == [tokenizer.bos_id] * says + tokenizer.encode('add')
  path = changed({'llama_3': path}, tmp_path, 'llama_3', 'tokenizer_config.json',
                 lambda c: c.update(add_bos_token=True, bos_token=None))
  with pytest.raises(InputError, match='no "bos_token"'):
    Tokenizer.load(path)


def test_an_end_is_named_somewhere(folders, tmp_path):
  path = changed(folders, tmp_path, 'qwen', 'generation_config.json', '{}')
  path = changed({'qwen': path}, tmp_path, 'qwen', 'tokenizer_config.json', '{}')
  with pytest.raises(InputError, match='which token ends a solution'):
    Tokenizer.load(path)
  (path / 'special_tokens_map.json').write_text('{"eos_token": "<|im_end|>"}')
  assert Tokenizer.load(path).special_texts[-1] == '<|im_end|>'


def test_without_the_library_the_extra_is_named(folders, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tokenizers', None)
  with pytest.raises(InputError, match=r'pip install -e "\.\[open\]"'):
    Tokenizer.load(folders['qwen'])


def test_too_large_a_file_is_not_read(folders, monkeypatch):
  monkeypatch.setattr(tokenizer_files, 'MAX_VOCABULARY', 1 << 10)
  with pytest.raises(InputError, match='tokenizer.json has more than'):
    Tokenizer.load(folders['qwen'])
