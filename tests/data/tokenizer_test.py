"""Round trips, step boundaries and the errors of the tokenizer."""

import pickle
import random

import pytest

from tts import types
from tts.data import arith
from tts.data.tokenizer import Tokenizer
from tts.roles import Roles


@pytest.fixture(scope='module')
def texts():
  config = arith.ArithConfig(sizes=(('lm', 800),))
  return [p.prompt + p.solution for p in arith.generate(config, 'lm')]


@pytest.fixture(scope='module', params=[22, 28])
def tokenizer(texts, request):
  return Tokenizer.train(texts, request.param)


@pytest.fixture(scope='module')
def words():
  return Tokenizer.train(['How many eggs\n'] * 3, 300, byte_fallback=True)


def test_round_trip(tokenizer, texts):
  batch = tokenizer.encode_batch(texts)
  assert tokenizer.decode_batch(batch) == texts
  assert batch[0] == tokenizer.encode(texts[0])
  assert tokenizer.decode(batch[0]) == texts[0]
  assert max(max(ids) for ids in batch) < tokenizer.vocab_size <= 28
  assert min(min(ids) for ids in batch) > types.UNK_ID


def test_steps_may_be_encoded_apart(tokenizer, texts):
  for text in texts[:200]:
    lines = text.splitlines(keepends=True)
    apart = [i for line in lines for i in tokenizer.encode(line)]
    assert apart == tokenizer.encode(text)


def test_a_newline_is_one_token_of_its_own(tokenizer, texts):
  newline, = tokenizer.roles().delimiters
  assert tokenizer.roles() == Roles((types.EOS_ID,), (newline,), size=tokenizer.vocab_size)
  for text in texts[:200]:
    assert tokenizer.encode(text).count(newline) == text.count('\n')
  assert tokenizer.decode([newline]) == '\n'


def test_a_digit_is_one_token(tokenizer, texts):
  assert len(tokenizer.encode('1234567890')) == 10
  digits = {tokenizer.encode(d)[0] for d in '0123456789'}
  for text in texts[:200]:
    ids = tokenizer.encode(text)
    assert sum(i in digits for i in ids) == sum(c.isdigit() for c in text)


def test_common_pairs_merge(texts):
  assert len(Tokenizer.train(texts, 28).encode(';+')) == 1
  assert len(Tokenizer.train(texts, 22).encode(';+')) == 2


def test_specials_frame_and_vanish(tokenizer):
  ids = tokenizer.encode('7;+2\n')
  assert tokenizer.encode_prompt('7;+2\n') == [types.BOS_ID, *ids]
  assert tokenizer.encode_solution('7;+2\n') == [*ids, types.EOS_ID]
  framed = [types.BOS_ID, *ids, types.EOS_ID, types.PAD_ID, types.PAD_ID]
  assert tokenizer.decode(framed) == '7;+2\n'


def test_an_unknown_id_shows(tokenizer):
  ids = tokenizer.encode('12')
  assert tokenizer.decode([ids[0], types.UNK_ID, ids[1]]).split() == ['1', '⁇', '2']


def test_training_is_deterministic(texts, tmp_path):
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    Tokenizer.train(texts, 28).save(tmp_path / name)
  models = [(tmp_path / n / 'tokenizer.model').read_bytes() for n in ('a', 'b')]
  assert models[0] == models[1]


def test_save_and_load(tokenizer, texts, tmp_path):
  tokenizer.save(tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ['tokenizer.model']
  for path in (tmp_path, str(tmp_path / 'tokenizer.model')):
    loaded = Tokenizer.load(path)
    assert loaded.encode_batch(texts) == tokenizer.encode_batch(texts)
    assert loaded.vocab_size == tokenizer.vocab_size
  copy = pickle.loads(pickle.dumps(tokenizer))
  assert copy.encode(texts[0]) == tokenizer.encode(texts[0])


@pytest.mark.parametrize('character,code', [('x', '0078'), ('é', '00E9'), ('\t', '0009')])
def test_a_character_without_an_id_is_named(tokenizer, character, code):
  with pytest.raises(types.InputError, match=rf'U\+{code}.*byte_fallback'):
    tokenizer.encode_batch(['7;+2\n', f'7{character}2\n'])


@pytest.mark.parametrize('character', ['\u2581', '\ud800'])
def test_what_no_vocabulary_can_write_is_refused(words, character):
  with pytest.raises(types.InputError, match='remove it'):
    words.encode(f'a{character}b')


def test_byte_fallback_writes_anything(words):
  rng = random.Random(0)
  alphabet = 'aeg \n\t\r\x00é▂🎉<>/s\u200b\\  '
  for _ in range(300):
    text = ''.join(rng.choices(alphabet, k=rng.randint(0, 30)))
    assert words.decode(words.encode(text)) == text
  assert types.EOS_ID not in words.encode('</s>')
  lines = ['  é\n', '\n', ' a\n', 'b  ']
  assert [i for line in lines for i in words.encode(line)] == words.encode(''.join(lines))


def test_too_small_a_vocabulary_says_what_is_enough(texts):
  with pytest.raises(types.InputError, match='vocab_size=10.*22 or more'):
    Tokenizer.train(texts, 10)


def test_no_text_is_an_error():
  with pytest.raises(types.InputError, match='text'):
    Tokenizer.train([], 30)


@pytest.mark.parametrize('damage', [lambda m: b'', lambda m: b'junk', lambda m: m[:-9]])
def test_a_damaged_model_is_an_error(tokenizer, tmp_path, damage):
  tokenizer.save(tmp_path)
  file = tmp_path / 'tokenizer.model'
  file.write_bytes(damage(file.read_bytes()))
  with pytest.raises(types.InputError, match='tokenizer.model is not a SentencePiece'):
    Tokenizer.load(tmp_path)


def test_a_missing_model_is_an_error(tmp_path):
  with pytest.raises(types.InputError, match='cannot read tokenizer .*tokenizer.model'):
    Tokenizer.load(tmp_path)
