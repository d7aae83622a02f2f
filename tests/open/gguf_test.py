"""GGUF files against folders of the same weights, exactly; and one line for whatever is wrong."""

import json
import pathlib
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest

import tts
from tests.open import gguf_files
from tts import gguf_file
from tts.data.tokenizer import Tokenizer
from tts.models import open_config, open_gguf, open_weights
from tts.serving import open_checkpoint
from tts.train import checkpoint
from tts.types import InputError

gguf = pytest.importorskip('gguf', reason='extra `gguf`')
pytest.importorskip('tokenizers', reason='extra `open`')


def loaded(source, output, **flags):
  open_checkpoint.import_model(source, output, **flags)
  return checkpoint.load_model(output)[:3]


def parameters(source):
  arch = open_config.to_arch(source, open_config.read(source))
  shards = open_weights.shards(source)
  params = open_weights.trunk(arch, shards)
  shards.check_all_read(False)
  return arch, params


def assert_same(ours, theirs):
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize('family', open_gguf.ARCHITECTURES)
@pytest.mark.parametrize('tied', [True, False])
@pytest.mark.parametrize('kind', ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q5_1'])
def test_the_same_as_the_folder(tmp_path, family, tied, kind):
  """Names, order of rows, shapes and values of every parameter, and the architecture."""
  path = tmp_path / 'model.gguf'
  read = gguf_files.write(path, family, gguf_files.weights(family, tied), kind)
  gguf_files.write_folder(tmp_path / 'folder', family, read, tied)
  (ours, params), (theirs, expected) = map(parameters, (path, tmp_path / 'folder'))
  assert ours == theirs and ours.tied == tied
  assert_same(params, expected)
  assert open_gguf.quantisation(path) == kind


def test_bfloat16_is_the_rounded_float32(tmp_path):
  read = gguf_files.write(tmp_path / 'm.gguf', 'llama', gguf_files.weights('llama', False), 'Q4_0')
  arch, params, _ = loaded(tmp_path / 'm.gguf', tmp_path / 'half', dtype='bfloat16')
  assert arch.dtype == arch.stored == 'bfloat16'
  np.testing.assert_array_equal(params['params']['unembed'],
                                read['output.weight'].astype(params['params']['unembed'].dtype))


def test_an_export_is_the_folder(tmp_path):
  read = gguf_files.write(tmp_path / 'm.gguf', 'llama', gguf_files.weights('llama', False), 'Q8_0')
  _, ours, _ = loaded(tmp_path / 'm.gguf', tmp_path / 'ours')
  open_checkpoint.export_model(str(tmp_path / 'ours'), str(tmp_path / 'theirs'))
  _, again, meta = loaded(tmp_path / 'theirs', tmp_path / 'again')
  assert_same(again, ours)
  assert meta['open']['quantisation'] is None and len(read) == 2 * 9 + 3


@pytest.mark.parametrize('kind', ['Q4_K', 'Q6_K', 'Q2_K', 'IQ4_XS'])
def test_a_tensor_is_read_in_pieces(tmp_path, kind, monkeypatch):
  """Kinds that the library cannot write: any bytes are some weights."""
  of = gguf.GGMLQuantizationType[kind]
  row = gguf.quant_shape_to_byte_shape((512,), of)[0]
  data = np.random.default_rng(0).integers(60, size=(37, row)).astype(np.uint8)
  path = tmp_path / 'm.gguf'
  writer = gguf.GGUFWriter(path, 'llama')
  writer.add_tensor('before', np.ones(5, np.float32))
  writer.add_tensor('x', data, raw_dtype=of)
  for step in ('header', 'kv_data', 'tensors'):
    getattr(writer, f'write_{step}_to_file')()
  writer.close()
  monkeypatch.setattr(gguf_file, '_CHUNK_VALUES', 4 * 512 + 1)
  file = gguf_file.opened(path)
  assert file.tensors['x'].shape == (37, 512) and file.quantisation == kind
  np.testing.assert_array_equal(file.read('x'), gguf.dequantize(data, of))


def llama_3_divisors(factor, head=16, theta=5e4):
  """By Llama 3's own words: waves above 8192 / 1 are scaled, those below 8192 / 4 are not."""
  out = []
  for i in range(head // 2):
    wave = 2 * np.pi * theta ** (2 * i / head)
    smooth = (8192 / wave - 1) / (4 - 1)
    out.append(factor if wave > 8192 else 1 if wave < 8192 / 4
               else 1 / ((1 - smooth) / factor + smooth))
  return np.array(out, np.float32)


@pytest.mark.parametrize('factor', [8, 32])
def test_scaled_frequencies_of_llama_3(tmp_path, factor):
  tensors = gguf_files.weights('llama', True)
  divisors = llama_3_divisors(factor)
  assert divisors[0] == 1 and divisors[-1] == factor and len(set(divisors)) > 2
  gguf_files.write(tmp_path / 'm.gguf', 'llama', tensors | {'rope_freqs.weight': divisors})
  arch, *_ = loaded(tmp_path / 'm.gguf', tmp_path / 'ours')
  assert arch.rope_scaling == (factor, 1, 4, 8192)
  gguf_files.write(tmp_path / 'n.gguf', 'llama', tensors | {'rope_freqs.weight': 1.5 * divisors})
  assert 'rope_freqs.weight' in refusal(tmp_path / 'n.gguf', tmp_path / 'out')


def test_a_run_imports_a_file_once_and_again_when_it_changes(tmp_path):
  path = tmp_path / 'm.gguf'
  gguf_files.write(path, 'qwen2', gguf_files.weights('qwen2', True), 'Q8_0')
  first = open_checkpoint.imported(str(path), str(tmp_path / 'w'), lm=True)
  assert checkpoint.read_meta(first)['open']['quantisation'] == 'Q8_0'
  assert open_checkpoint.imported(str(path), str(tmp_path / 'w'), lm=True) == first
  planned = open_checkpoint.planned_arch(str(path), lm=True)
  assert json.loads(json.dumps(planned)) == checkpoint.read_meta(first)['arch']
  halves = open_checkpoint.imported(str(path), str(tmp_path / 'w'), True, 'bfloat16')
  assert halves != first
  assert checkpoint.read_meta(halves)['arch'] == json.loads(json.dumps(
      open_checkpoint.planned_arch(str(path), True, 'bfloat16')))
  assert checkpoint.load_model(halves)[0].stored == 'bfloat16'
  with pytest.raises(InputError, match='model of ours'):
    open_checkpoint.imported(first, str(tmp_path / 'w'), True, 'bfloat16')
  gguf_files.write(path, 'qwen2', gguf_files.weights('qwen2', True), 'Q4_0')
  assert open_checkpoint.imported(str(path), str(tmp_path / 'w'), lm=True) != first
  with pytest.raises(InputError, match='verifier'):
    open_checkpoint.imported(str(path), str(tmp_path / 'w'), lm=False)


def test_a_file_wherever_a_checkpoint_is_taken(tmp_path):
  """What is written is what the same weights write out of a folder."""
  read = gguf_files.write(tmp_path / 'm.gguf', 'llama', gguf_files.weights('llama', False), 'Q8_0')
  gguf_files.write_folder(tmp_path / 'folder', 'llama', read, False)
  Tokenizer.load(tmp_path / 'm.gguf').save(tmp_path / 'folder')
  limits = tts.Limits(max_prompt_tokens=16, max_tokens=12)
  texts = [[s.text for s in next(tts.sample(
      tts.load_generator(source), ['abba'], 3, limits=limits, seed=1)).solutions]
           for source in (tmp_path / 'm.gguf', tmp_path / 'folder')]
  assert texts[0] == texts[1] and len(set(texts[0])) > 1
  done = subprocess.run(
      [sys.executable, '-m', 'launch.import_checkpoint', f'--source={tmp_path / "m.gguf"}',
       f'--output={tmp_path / "ours"}', '--dtype=bfloat16'],
      check=True, capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[2])
  assert done.stdout.split()[1] == 'llama,' and 'bfloat16, dequantised from Q8_0' in done.stdout


def refusal(source, output, **flags):
  """The one line that an import gives; nothing is left of it."""
  with pytest.raises(InputError) as error:
    open_checkpoint.import_model(source, output, **flags)
  message = str(error.value)
  assert '\n' not in message and source.name in message and not output.exists()
  return message


@pytest.mark.parametrize('changes, words', [
    ({'general__architecture': 'mamba'}, ('mamba', 'llama, qwen2, qwen3')),
    ({'llama__expert_count': 8}, ('expert_count', 'mixture')),
    ({'llama__rope__scaling__type': 'yarn'}, ('yarn',)),
    ({'llama__rope__dimension_count': 8}, ('rope.dimension_count is 8', '16')),
    ({'llama__embedding_length': None}, ('embedding_length', 'null')),
    ({'llama__embedding_length': 'wide'}, ("embedding_length is 'wide'", 'int')),
    ({'llama__embedding_length': 128}, ('embed_tokens', '[96, 64]', '[96, 128] by its metadata')),
    ({'llama__feed_forward_length': [96, 128]}, ('feed_forward_length is [96, 128]', 'one value')),
    ({'llama__block_count': 1}, ('layers.1', 'no place')),
    ({'llama__block_count': 3}, ('layers.2', 'missing', 'its metadata')),
    ({'llama__block_count': 2**31}, ('block_count', '20 tensors')),
    ({'split__count': [3]}, ('split.count', 'one value')),
    ({'split__count': 3}, ('one part of 3', '--merge')),
    ({'tokenizer__ggml__model': 't5'}, ("'t5'", 'safetensors')),
    ({'tokenizer__ggml__pre': 'tekken'}, ("'tekken'", 'llama-bpe')),
    ({'tokenizer__ggml__merges': ['a b c']}, ('a b c', 'damaged')),
    ({'tokenizer__ggml__eos_token_id': 96}, ('eos_token_id', '96')),
    ({'tokenizer__ggml__token_type': [1, 2]}, ('96 tokens', '2')),
    ({'tokenizer__ggml__eos_token_id': None, 'tokenizer__ggml__token_type': [1] * 96},
     ('which token ends',))])
def test_a_file_of_another_kind(tmp_path, changes, words):
  path = tmp_path / 'm.gguf'
  gguf_files.write(path, 'llama', gguf_files.weights('llama', True), **changes)
  message = refusal(path, tmp_path / 'out')
  assert all(word in message for word in words), message


def test_a_kind_of_values_that_the_library_does_not_know(tmp_path):
  path = tmp_path / 'm.gguf'
  writer = gguf.GGUFWriter(path, 'llama')
  writer.add_tensor('token_embd.weight', np.zeros((4, 292), np.uint8),
                    raw_dtype=gguf.GGMLQuantizationType.Q8_K)
  for step in ('header', 'kv_data', 'tensors'):
    getattr(writer, f'write_{step}_to_file')()
  writer.close()
  with pytest.raises(InputError, match='token_embd.weight is of type Q8_K.*another quantisation'):
    gguf_file.opened(path).read('token_embd.weight')


def test_a_file_cut_off_anywhere(tmp_path):
  path = tmp_path / 'm.gguf'
  gguf_files.write(path, 'llama', gguf_files.weights('llama', True), 'Q8_0')
  data = path.read_bytes()
  for length in [*range(0, 400, 7), *range(400, len(data), 997), len(data) - 1]:
    (short := tmp_path / 'short.gguf').write_bytes(data[:length])
    assert 'whole GGUF file' in refusal(short, tmp_path / 'out'), length


def header(*entries, tensors=0):
  return b'GGUF' + struct.pack('<IQQ', 3, tensors, len(entries)) + b''.join(entries)


def entry(kind, rest):
  return struct.pack('<Q', 1) + b'k' + struct.pack('<I', kind) + rest


@pytest.mark.parametrize('data', [
    pytest.param(b'PK\x03\x04' * 100, id='not GGUF'),
    pytest.param(b'GGUF' + struct.pack('<IQQ', 99, 0, 0), id='a later version'),
    pytest.param(b'GGUF' + struct.pack('>IQQ', 3, 0, 0), id='big-endian'),
    pytest.param(b'GGUF' + struct.pack('<IQQ', 3, 0, 2**63), id='entries without end'),
    pytest.param(b'GGUF' + struct.pack('<IQQ', 3, 2**63, 0), id='tensors without end'),
    pytest.param(header(entry(9, struct.pack('<IQ', 4, 2**60))), id='numbers without end'),
    pytest.param(header(entry(9, struct.pack('<IQ', 8, 2**60))), id='texts without end'),
    pytest.param(header(entry(8, struct.pack('<Q', 2**63))), id='a text without end'),
    pytest.param(header(entry(9, struct.pack('<IQ', 9, 1) * 5000)), id='lists in lists'),
    pytest.param(header(entry(9, struct.pack('<IQ', 0, 1 << 17) + bytes(1 << 17))),
                 id='more numbers than a model has'),
    pytest.param(header(entry(8, struct.pack('<Q', 2) + b'\xff\xff')), id='not UTF-8'),
    pytest.param(header(struct.pack('<Q', 2) + b'a\nI' + struct.pack('<I', 1)),
                 id='a name of two lines'),
    pytest.param(header(entry(99, bytes(64))), id='no such type'),
    pytest.param(header(entry(4, bytes(4)), entry(4, bytes(4))), id='a key twice'),
    pytest.param(header(tensors=1) + struct.pack('<Q', 1) + b'x' + struct.pack(
        '<IQQIQ', 2, 2**40, 2**40, 0, 0), id='a tensor larger than the file'),
    pytest.param(header(tensors=1) + struct.pack('<Q', 1) + b'x' + struct.pack(
        '<IQQIQ', 2, 2**32, 2**32, 0, 0), id='a size beyond 64 bits'),
    pytest.param(header(tensors=1) + struct.pack('<Q', 1) + b'x' + struct.pack(
        '<IQIQ', 1, 8, 0, 2**63) + bytes(256), id='a place beyond the file')])
def test_a_hostile_file(tmp_path, data, monkeypatch):
  """Refused within moments, and without memory that grows with what it says."""
  monkeypatch.setattr(gguf_file, '_MAX_READS', 1 << 16)
  (path := tmp_path / 'bad.gguf').write_bytes(data)
  assert 'download it again' in refusal(path, tmp_path / 'out')


def test_a_missing_file_or_library(tmp_path, monkeypatch):
  assert 'No such file' in refusal(tmp_path / 'none.gguf', tmp_path / 'out')
  gguf_files.write(tmp_path / 'm.gguf', 'llama', gguf_files.weights('llama', True))
  monkeypatch.setitem(sys.modules, 'gguf', None)
  assert '[gguf]' in refusal(tmp_path / 'm.gguf', tmp_path / 'out')
