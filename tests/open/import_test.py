"""Open checkpoints in and out: the same parameters, and one line for whatever is wrong."""

import json
import pathlib
import pickle
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from tests.open import tiny
from tts.data.tokenizer import Tokenizer
from tts.models import open_weights
from tts.models.transformer import Decoder
from tts.serving import open_checkpoint
from tts.train import checkpoint
from tts.types import InputError

pytest.importorskip('torch', reason='extra `parity`')
transformers = pytest.importorskip('transformers', reason='extra `parity`')

TOKENS = np.random.default_rng(0).integers(tiny.VOCAB, size=(2, 24)).astype(np.int32)
# One of each kind of head, untied and tied, with what only Gemma stores otherwise.
KEPT = ('llama', 'qwen2', 'gemma3')


def tokenizer():
  return Tokenizer.train(['What is 12 + 34?\n46\n', 'The answer is 5.\n'], 40)


@pytest.fixture(scope='module', params=KEPT)
def pair(request, tmp_path_factory):
  """(folder of an open checkpoint in two shards, transformers' model)."""
  folder = tmp_path_factory.mktemp(request.param)
  model = tiny.save(request.param, folder, shard='40KB')
  tokenizer().save(folder)
  assert len(list(folder.glob('*.safetensors'))) > 1
  return folder, model


@pytest.fixture(scope='module')
def llama(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole') / 'source'
  tiny.save('llama', folder, shard='40KB')
  tokenizer().save(folder)
  return folder


@pytest.fixture
def source(llama, tmp_path):
  return shutil.copytree(llama, tmp_path / 'source')


def forward(arch, params, head='logits'):
  decoder = Decoder(arch)
  positions = jnp.broadcast_to(jnp.arange(TOKENS.shape[1]), TOKENS.shape)
  hidden, _ = decoder.apply(params, jnp.asarray(TOKENS), positions)
  return np.asarray(decoder.apply(params, hidden.lm, method=head))


def test_import_and_export_keep_every_parameter(pair, tmp_path):
  folder, model = pair
  open_checkpoint.import_model(folder, tmp_path / 'ours')
  arch, params, meta, kept = checkpoint.load_model(tmp_path / 'ours')
  assert meta['kind'] == 'lm' and meta['params'] == model.num_parameters()
  assert kept.proto == tokenizer().proto
  np.testing.assert_allclose(forward(arch, params), tiny.logits(model, TOKENS), atol=1e-4)

  open_checkpoint.export_model(tmp_path / 'ours', tmp_path / 'theirs')
  again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'theirs')
  before, after = model.state_dict(), again.state_dict()
  assert set(before) == set(after)
  for name in before:
    assert (before[name] == after[name]).all(), name
  assert Tokenizer.load(tmp_path / 'theirs').proto == tokenizer().proto


def test_bfloat16_is_kept(llama, tmp_path):
  transformers.AutoModelForCausalLM.from_pretrained(llama, dtype='bfloat16').save_pretrained(
      tmp_path / 'half')
  shutil.copy(llama / 'tokenizer.model', tmp_path / 'half')
  open_checkpoint.import_model(tmp_path / 'half', tmp_path / 'ours')
  arch, params, *_ = checkpoint.load_model(tmp_path / 'ours')
  assert arch.stored == arch.dtype == 'bfloat16' and params['params']['embed'].dtype == jnp.bfloat16
  half = np.abs(forward(arch, params) - forward(*both(llama, tmp_path / 'whole')))
  assert 0 < half.max() < 0.5
  open_checkpoint.import_model(tmp_path / 'half', tmp_path / 'wide', dtype='float32')
  wide = checkpoint.load_model(tmp_path / 'wide')
  assert wide[0].param_dtype is None
  np.testing.assert_array_equal(wide[1]['params']['embed'], params['params']['embed'])


def both(folder, output):
  open_checkpoint.import_model(folder, output)
  return checkpoint.load_model(output)[:2]


def test_version_4_says_the_same(source, tmp_path):
  """What transformers 4 wrote apart, 5 has in `rope_parameters`."""
  arch, params = both(source, tmp_path / 'five')
  edit(source, lambda c: c.update(
      rope_theta=c['rope_parameters'].pop('rope_theta'), rope_scaling=c.pop('rope_parameters'),
      torch_dtype=c.pop('dtype')))
  other, again = both(source, tmp_path / 'four')
  assert arch == other and len(arch.rope_scaling) == 4
  np.testing.assert_array_equal(forward(arch, params), forward(other, again))


def edit(folder, change, name='config.json'):
  path = pathlib.Path(folder) / name
  fields = json.loads(path.read_text())
  change(fields)
  path.write_text(json.dumps(fields))


def refusal(source, output, **flags):
  """The one line that an import gives; nothing is left of it."""
  with pytest.raises(InputError) as error:
    open_checkpoint.import_model(source, output, **flags)
  assert '\n' not in str(error.value) and not pathlib.Path(output).exists()
  return str(error.value)


@pytest.mark.parametrize('fields, words', [
    ({'model_type': 'mamba'}, ('model_type', 'mamba', 'Llama 3')),
    ({'rope_parameters': {'rope_type': 'yarn', 'factor': 4}}, ('yarn', 'llama3')),
    ({'quantization_config': {'bits': 4}}, ('quantization_config',)),
    ({'attention_bias': True}, ('attention_bias',)),
    ({'hidden_act': 'relu'}, ('hidden_act', 'silu')),
    ({'hidden_size': 'wide'}, ('hidden_size', 'integer')),
    ({'hidden_size': None}, ('hidden_size', 'whole config')),
    ({'num_hidden_layers': 2}, ('layers.2', 'no place')),
    ({'num_hidden_layers': 4}, ('model.layers.3', 'missing')),
    ({'intermediate_size': 64}, ('mlp.gate_proj.weight', '[48, 32]', '[64, 32]')),
    ({'vocab_size': 20}, ('tokenizer.model has', '20'))])
def test_config_of_another_model(source, tmp_path, fields, words):
  edit(source, lambda c: c.update(fields))
  message = refusal(source, tmp_path / 'out')
  assert all(word in message for word in words), message


def test_missing_and_damaged_files(source, tmp_path):
  shards = sorted(source.glob('*.safetensors'))
  data = shards[1].read_bytes()
  shards[1].write_bytes(data[:-40])
  assert shards[1].name in refusal(source, tmp_path / 'out')
  shards[1].unlink()
  message = refusal(source, tmp_path / 'out')
  assert shards[1].name in message and 'index' in message
  edit(source, lambda c: c['weight_map'].update({'x': '../../etc/passwd'}),
       'model.safetensors.index.json')
  assert 'not to be trusted' in refusal(source, tmp_path / 'out')
  (source / 'config.json').unlink()
  assert 'config.json' in refusal(source, tmp_path / 'out')


def test_pickles_are_refused_with_the_way_out(source, tmp_path):
  for path in [*source.glob('*.safetensors'), source / 'model.safetensors.index.json']:
    path.unlink()
  (source / 'pytorch_model.bin').write_bytes(pickle.dumps({}))
  message = refusal(source, tmp_path / 'out')
  assert 'pytorch_model.bin' in message and 'save_pretrained' in message
  (source / 'pytorch_model.bin').unlink()
  assert 'no *.safetensors' in refusal(source, tmp_path / 'out')


def test_full_output_and_wrong_flags(source, tmp_path):
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'file').write_text('mine')
  with pytest.raises(InputError, match='there already'):
    open_checkpoint.import_model(source, tmp_path / 'full')
  assert (tmp_path / 'full' / 'file').read_text() == 'mine'
  assert 'qwen_prm' in refusal(source, tmp_path / 'out', kind='prm')
  assert 'bfloat16' in refusal(source, tmp_path / 'out', dtype='int8')
  assert 'score.0.weight' in refusal(source, tmp_path / 'out', kind='qwen_prm')


def test_layout_turns_and_turns_back():
  tensor = open_weights.Tensor(('k',), 'k', (6, 4), (4, 2, 3), turned=True)
  value = np.arange(24.).reshape(6, 4)
  ours = tensor.ours(value)
  assert ours[1, 1, 2] == value[5, 1]  # input 1, head 1, its dimension 2
  np.testing.assert_array_equal(tensor.theirs(ours), value)


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_memory_is_what_the_formula_says(tmp_path, dtype):
  """Of a model that outweighs the interpreter: 0.6 GB."""
  tiny.save('llama', tmp_path / 'source', shard='200MB', vocab_size=16_000, hidden_size=1024,
            intermediate_size=2816, num_hidden_layers=10)
  tokenizer().save(tmp_path / 'source')
  code = ('import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); '
          'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)')
  done = subprocess.run(
      [sys.executable, '-c', code, sys.executable, '-m', 'launch.import_checkpoint',
       f'--source={tmp_path / "source"}', f'--output={tmp_path / "ours"}', f'--dtype={dtype}'],
      check=True, capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[2])
  arch, _, meta, _ = checkpoint.load_model(tmp_path / 'ours')
  expected = open_checkpoint.peak_memory(arch, meta['open']['config'])
  assert expected > 7e8
  assert int(done.stdout.split()[-1]) == pytest.approx(expected, rel=0.1)
