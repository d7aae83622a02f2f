"""Gemma 3 of text and pictures: `config.json` as it is published, which leaves out what is default."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from tests.open import import_test, tiny
from tts.models import open_config
from tts.serving import open_checkpoint
from tts.train import checkpoint
from tts.types import InputError

torch = pytest.importorskip('torch', reason='extra `parity`')
transformers = pytest.importorskip('transformers', reason='extra `parity`')

_LONG = {'rope_scaling': {'factor': 8.0, 'rope_type': 'linear'}, 'sliding_window': 1024}
PUBLISHED = {  # size: `text_config`
    '4b': {'hidden_size': 2560, 'intermediate_size': 10240, 'num_hidden_layers': 34, **_LONG},
    '12b': {'hidden_size': 3840, 'intermediate_size': 15360, 'num_attention_heads': 16,
            'num_hidden_layers': 48, 'num_key_value_heads': 8, **_LONG},
    '27b': {'head_dim': 128, 'hidden_size': 5376, 'intermediate_size': 21504,
            'num_attention_heads': 32, 'num_hidden_layers': 62, 'num_key_value_heads': 16,
            'query_pre_attn_scalar': 168, **_LONG}}


def write(folder, text, **more):
  (folder / 'config.json').write_text(json.dumps({
      'architectures': ['Gemma3ForConditionalGeneration'], 'model_type': 'gemma3',
      'text_config': {'model_type': 'gemma3_text', **text}, 'torch_dtype': 'bfloat16',
      'vision_config': {'model_type': 'siglip_vision_model'}, **more}))
  return open_config.read(folder)


@pytest.mark.parametrize('size', PUBLISHED)
def test_what_is_left_out_is_the_familys(tmp_path, size):
  fields = write(tmp_path, PUBLISHED[size])
  arch = open_config.to_arch(tmp_path, fields)
  theirs = transformers.Gemma3Config.from_pretrained(tmp_path).text_config
  # All of it written out, as the class has it, is the same model.
  whole = json.loads(theirs.to_json_string(use_diff=False))
  assert arch == open_config.to_arch(tmp_path, whole)
  assert (arch.vocab_size, arch.num_heads, arch.num_kv_heads, arch.head_size, arch.tied) == (
      theirs.vocab_size, theirs.num_attention_heads, theirs.num_key_value_heads, theirs.head_dim,
      theirs.tie_word_embeddings)
  assert [w > 0 for w in arch.windows] == [t == 'sliding_attention' for t in theirs.layer_types]
  assert fields['torch_dtype'] == 'bfloat16'


@pytest.mark.parametrize('name', ['dtype', pytest.param('torch_dtype', marks=pytest.mark.slow)])
def test_a_small_one_whole(tmp_path, name):
  """Stored in bfloat16 with its pictures' tower, which is passed over."""
  torch.manual_seed(0)
  text = {'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 7, 'sliding_window': 5}
  vision = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1,
            'num_attention_heads': 2, 'image_size': 28, 'patch_size': 14}
  config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
  model = transformers.Gemma3ForConditionalGeneration(config).to(torch.bfloat16)
  with torch.no_grad():
    for parameter in model.model.language_model.parameters():
      parameter += 0.2 * torch.randn_like(parameter)
  model.save_pretrained(tmp_path)
  write(tmp_path, text, **{'torch_dtype': None, name: 'bfloat16', 'vision_config': vision,
                           'mm_tokens_per_image': 4})
  import_test.tokenizer().save(tmp_path)
  open_checkpoint.import_model(tmp_path, tmp_path / 'half')
  arch, params, *_ = checkpoint.load_model(tmp_path / 'half')
  assert arch.stored == arch.dtype == 'bfloat16' and params['params']['embed'].dtype == jnp.bfloat16
  open_checkpoint.import_model(tmp_path, tmp_path / 'whole', dtype='float32')
  arch, params, *_ = checkpoint.load_model(tmp_path / 'whole')
  again = transformers.Gemma3ForConditionalGeneration.from_pretrained(
      tmp_path, attn_implementation='eager', dtype=torch.float32).eval()
  theirs = tiny.logits(again, import_test.TOKENS)
  assert np.abs(theirs).max() > 0.5
  np.testing.assert_allclose(import_test.forward(arch, params), theirs, atol=1e-4)
  planned = open_checkpoint.planned_arch(str(tmp_path), True)
  assert planned | {'dtype': 'float32', 'param_dtype': None} == dataclasses.asdict(arch)


def test_what_the_whole_says_counts(tmp_path):
  with pytest.raises(InputError, match='quantization_config'):
    open_config.to_arch(tmp_path, write(tmp_path, PUBLISHED['4b'],
                                        quantization_config={'bits': 4}))
  assert not open_config.to_arch(
      tmp_path, write(tmp_path, PUBLISHED['4b'], tie_word_embeddings=False)).tied
