"""Open process reward models against what their authors compute with `transformers`."""

import jax
import numpy as np
import pytest

from tests.open import import_test, tiny
from tts.models.transformer import Decoder
from tts.serving import open_checkpoint
from tts.train import checkpoint

torch = pytest.importorskip('torch', reason='extra `parity`')
transformers = pytest.importorskip('transformers', reason='extra `parity`')
TOKENS = torch.tensor(import_test.TOKENS)


def value(folder, output, **flags):
  """Ours: probability at every token, float32 [B, T]."""
  import_test.tokenizer().save(folder)
  open_checkpoint.import_model(folder, output, **flags)
  arch, params, meta, _ = checkpoint.load_model(output)
  assert meta['kind'] == 'prm' and arch.heads == ('value',)
  return np.asarray(jax.nn.sigmoid(import_test.forward(arch, params, 'values')))


def hidden(model):
  return model.model(TOKENS).last_hidden_state


def save(model, folder, **more):
  """A checkpoint of the trunk and some further tensors."""
  from safetensors.torch import save_file

  model.config.save_pretrained(folder)
  save_file({k: v.contiguous() for k, v in {**model.state_dict(), **more}.items()},
            folder / 'model.safetensors')


def agree(ours, theirs):
  assert theirs.std() > 0.01
  np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@torch.no_grad()
def test_qwen_prm(tmp_path):
  model, width = tiny.make('qwen2', tie_word_embeddings=False), 32
  del model.lm_head
  score = torch.nn.Sequential(
      torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))
  save(model, tmp_path, **{f'score.{k}': v for k, v in score.state_dict().items()})
  theirs = score(hidden(model)).softmax(dim=-1)[..., 1]
  agree(value(tmp_path, tmp_path / 'ours', kind='qwen_prm'), theirs)


@torch.no_grad()
@pytest.mark.parametrize('family', ['mistral', 'qwen2'])
def test_token_prm(tmp_path, family):
  model = tiny.save(family, tmp_path)
  good, bad = (import_test.tokenizer().encode(word)[-1] for word in '+5')
  theirs = model(TOKENS).logits[..., [good, bad]].softmax(dim=-1)[..., 0]
  agree(value(tmp_path, tmp_path / 'ours', kind='token_prm', words=('+', '5')), theirs)


@torch.no_grad()
@pytest.mark.parametrize('family', ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma3'])
def test_token_prm_of_a_tied_model_with_a_head_of_its_own(tmp_path, family):
  model = tiny.save_with_head(family, tmp_path, own=True)
  good, bad = (import_test.tokenizer().encode(word)[-1] for word in '+5')
  theirs = model(TOKENS).logits[..., [good, bad]].softmax(dim=-1)[..., 0]
  agree(value(tmp_path, tmp_path / 'ours', kind='token_prm', words=('+', '5')), theirs)


@torch.no_grad()
@pytest.mark.parametrize('tied', [False, True])
def test_a_language_models_head_beside_a_verifiers_is_passed_over_aloud(tmp_path, tied, caplog):
  model, head = tiny.make('qwen2', tie_word_embeddings=tied), torch.nn.Linear(32, 2)
  save(model, tmp_path, **{'lm_head.weight': torch.randn(tiny.VOCAB, 32)},
       **{f'score.{k}': v for k, v in head.state_dict().items()})
  agree(value(tmp_path, tmp_path / 'ours', kind='classifier_prm'),
        head(hidden(model)).softmax(dim=-1)[..., 1])
  assert any('1 tensors are passed over' in r.message and 'lm_head.weight' in r.message
             for r in caplog.records)


@torch.no_grad()
def test_value_prm(tmp_path):
  model = tiny.make('qwen2', tie_word_embeddings=False)
  head = torch.nn.Linear(32, 1)
  save(model, tmp_path, **{f'v_head.summary.{k}': v for k, v in head.state_dict().items()})
  agree(value(tmp_path, tmp_path / 'ours', kind='value_prm'), head(hidden(model))[..., 0].sigmoid())


@torch.no_grad()
def test_classifier_prm(tmp_path):
  torch.manual_seed(0)
  config = tiny.make('qwen3').config
  config.num_labels = 2
  model = transformers.AutoModelForTokenClassification.from_config(config).eval().float()
  for parameter in model.parameters():
    parameter += 0.2 * torch.randn_like(parameter)
  model.save_pretrained(tmp_path)
  theirs = model(TOKENS).logits.softmax(dim=-1)[..., 1]
  agree(value(tmp_path, tmp_path / 'ours', kind='classifier_prm'), theirs)


def test_heads_are_float32_whatever_the_trunk(tmp_path):
  model = tiny.save('mistral', tmp_path)
  del model
  import_test.tokenizer().save(tmp_path)
  open_checkpoint.import_model(tmp_path, tmp_path / 'ours', kind='token_prm', dtype='bfloat16',
                               words=('+', '5'))
  arch, params, *_ = checkpoint.load_model(tmp_path / 'ours')
  assert Decoder(arch).arch.stored == 'bfloat16'
  assert params['params']['value']['kernel'].dtype == np.float32
