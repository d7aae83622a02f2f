"""Open families against `transformers`: the same logits, the same greedy text."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.open import import_test, tiny
from tts.models import generator, open_config, open_weights
from tts.models.transformer import Decoder
from tts.serving import open_checkpoint
from tts.train import checkpoint

pytest.importorskip('torch', reason='extra `parity`')
pytest.importorskip('transformers', reason='extra `parity`')


@pytest.fixture(scope='module', params=tiny.FAMILIES)
def pair(request, tmp_path_factory):
  """(transformers' model, our decoder, its parameters)."""
  folder = tmp_path_factory.mktemp(request.param)
  model = tiny.save(request.param, folder)
  arch = open_config.to_arch(folder, open_config.read(folder))
  shards = open_weights.Shards(folder)
  params = open_weights.trunk(arch, shards)
  shards.check_all_read(arch.tied)
  return model, Decoder(arch), {'params': jax.tree.map(jnp.asarray, params)}


def forward(decoder, params, tokens):
  positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
  hidden, _ = decoder.apply(params, jnp.asarray(tokens), positions)
  return np.asarray(decoder.apply(params, hidden.lm, method='logits'))


def test_logits(pair):
  model, decoder, params = pair
  tokens = np.random.default_rng(0).integers(tiny.VOCAB, size=(2, 40)).astype(np.int32)
  ours, theirs = forward(decoder, params, tokens), tiny.logits(model, tokens)
  assert np.abs(theirs).max() > 0.5
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_greedy_text_across_the_window(pair):
  """64 tokens through the cache: what was read, written and is in the chunk pass the window's edge."""
  model, decoder, params = pair
  prompt = np.random.default_rng(1).integers(tiny.VOCAB, size=(1, 9)).astype(np.int32)
  made = generator.Generator(decoder, params)
  state = made.begin(made.read(made.empty(1, 96), jnp.asarray(prompt), jnp.full(1, 9)), 16)
  step = jax.jit(lambda state, token: made.extend(state, token, jnp.ones(1, bool)))
  again = jax.jit(lambda state: made.begin(made.end(state), 16))
  text, log = [], []
  for i in range(64):
    log.append(np.asarray(made.logits(state))[0])
    text.append(int(log[-1].argmax()))
    state = step(state, jnp.full(1, text[-1], jnp.int32))
    if i % 16 == 15:
      state = again(state)
  whole = np.concatenate([prompt, np.array([text], np.int32)], axis=1)
  theirs = tiny.logits(model, whole)[0]
  assert text == theirs[8:-1].argmax(axis=-1).tolist()
  np.testing.assert_allclose(np.stack(log), theirs[8:-1], atol=1e-4)
  np.testing.assert_allclose(np.stack(log), forward(decoder, params, whole)[0, 8:-1], atol=1e-4)


@pytest.mark.parametrize('spare', ['own', 'copy'])
@pytest.mark.parametrize('family', tiny.FAMILIES)
def test_a_head_beside_a_tied_embedding(family, spare, tmp_path, caplog):
  """`config.json` ties them and both are stored: a head that is another is kept, as it is there."""
  model = tiny.save_with_head(family, tmp_path, own=spare == 'own')
  import_test.tokenizer().save(tmp_path)
  planned = open_checkpoint.planned_arch(str(tmp_path), True)
  caplog.clear()
  open_checkpoint.import_model(tmp_path, tmp_path / 'ours')
  arch, params, meta, _ = checkpoint.load_model(tmp_path / 'ours')
  assert arch.tied == (spare == 'copy') == meta['open']['config']['tie_word_embeddings']
  assert dataclasses.asdict(arch) == planned
  tokens = np.random.default_rng(0).integers(tiny.VOCAB, size=(2, 40)).astype(np.int32)
  np.testing.assert_allclose(
      forward(Decoder(arch), params, tokens), tiny.logits(model, tokens), atol=1e-4)
  said = [r.message for r in caplog.records if 'lm_head.weight is not the embedding' in r.message]
  assert len(said) == (spare == 'own')


# What each family has that a plain decoder lacks, as fields of `Arch`, and without it.
DEVIATIONS = {
    'llama': {'rope_scaling': (), 'rope_theta': 1e4}, 'mistral': {'windows': ()},
    'qwen2': {'qkv_bias': False}, 'qwen2_window': {'windows': ()}, 'qwen3': {'qk_norm': False},
    'gemma2': {'windows': (5, 5, 5), 'attn_softcap': None, 'final_softcap': None,
               'query_scale': None, 'embed_scale': None, 'norm_offset': None, 'post_norms': False,
               'activation': 'silu'},
    'gemma3': {'windows': (5,) * 7, 'window_rope_theta': None, 'qk_norm': False,
               'rope_theta': 1e4}}


def test_each_deviation_counts(pair, request):
  """Without it the logits are others: the comparison above would have seen it missing."""
  _, decoder, params = pair
  family = request.node.callspec.params['pair']
  tokens = np.random.default_rng(0).integers(tiny.VOCAB, size=(2, 40)).astype(np.int32)
  whole = forward(decoder, params, tokens)
  for field, value in DEVIATIONS[family].items():
    assert getattr(decoder.arch, field) != value
    without = Decoder(dataclasses.replace(decoder.arch, **{field: value}))
    assert np.abs(forward(without, params, tokens) - whole).max() > 1e-3, field
