"""Budget forcing against `transformers`, which writes piece by piece as s1's own script does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import toy
from tests.open import tiny
from tts.models import open_config, open_weights
from tts.roles import Roles, Thinking
from tts.sampling import budget_forcing, decode
from tts.sampling.budget_forcing import Forcing
from tts.sampling.logits import SamplingConfig

torch = pytest.importorskip('torch', reason='extra `parity`')
pytest.importorskip('transformers', reason='extra `parity`')

EOS, BEGIN, TOKENS = 2, 95, 40
WAIT, LEAD_IN = (41, 17), (33, 60, 7)


@pytest.fixture(scope='module', params=['llama', 'qwen2'])
def pair(request, tmp_path_factory):
  """(transformers' model, our architecture, its parameters)."""
  folder = tmp_path_factory.mktemp(request.param)
  model = tiny.save(request.param, folder)
  arch = open_config.to_arch(folder, open_config.read(folder))
  params = open_weights.trunk(arch, open_weights.Shards(folder))
  return model, arch, {'params': jax.tree.map(jnp.asarray, params)}


def generated(model, text, most, stops):
  """What `transformers` writes greedily behind a text, up to `most` tokens or one of `stops`."""
  found = model.generate(
      torch.tensor([text]), attention_mask=torch.ones(1, len(text), dtype=torch.long),
      max_new_tokens=most, do_sample=False, eos_token_id=list(stops), pad_token_id=0)
  return found[0, len(text):].tolist()


def theirs(model, prompt, end, forcing, opened):
  """(tokens, places that were forced): s1's script with our rule for what a cap counts."""
  own = [] if opened else [BEGIN]
  forced = list(range(len(own)))

  def force(ids):
    forced.extend(range(len(own), len(own) + len(ids)))
    own.extend(ids)

  for waited in range(forcing.waits + 1):
    own += generated(model, [*prompt, *own], forcing.cap - 1 - len(own), (end, EOS))
    room = forcing.cap - 1 - (len(own) - 1) > len(WAIT)
    if own[-1] not in (end, EOS) or waited == forcing.waits or not room:
      break
    own.pop()  # the end is ignored
    force(WAIT)
  if own[-1] == EOS:
    own.pop()
  if own[-1] != end:
    force([end, *forcing.lead_in])
  own += generated(model, [*prompt, *own], TOKENS - len(own), (EOS,))
  return own, forced


def ours(generator, prompt, forcing):
  (sample,), = toy.run([lambda group: budget_forcing.samples(
      generator, group, prompt, np.zeros((1, 2), np.uint32), forcing)], [generator])
  return sample, [i for span in sample.forced.spans for i in range(*span)]


@pytest.fixture
def one_thread():
  """Threads of PyTorch that wait for each other take longer than a tiny model."""
  before = torch.get_num_threads()
  torch.set_num_threads(1)
  yield
  torch.set_num_threads(before)


def test_same_tokens_forced_at_the_same_places(pair, one_thread):
  """The cap reached and not, waits 0 to 2; ends of thoughts are ids that the model does write."""
  del one_thread
  (model, arch, params), seen = pair, set()
  for seed in range(4):
    opened = seed % 2 == 0
    prompt = np.random.default_rng(seed).integers(3, 90, 6 + seed).tolist()
    first = generated(model, [*prompt, *([] if opened else [BEGIN])], 16, (EOS,))
    place = max(i for i, token in enumerate(first) if token not in first[:i])
    roles = Roles(ends=(EOS,), delimiters=(), thinking=Thinking(BEGIN, first[place], opened))
    generator = toy.generator(toy.writes(arch), params, decode.Limits(TOKENS, 99, 99, roles),
                              sampling=SamplingConfig(temperature=0.0))
    for cap in (3, place, place + 3, 30):
      for waits in (0, 1, 2):
        forcing = Forcing(cap, waits, WAIT, LEAD_IN)
        sample, forced = ours(generator, prompt, forcing)
        tokens = sample.tokens.tolist()
        assert (tokens, forced) == theirs(model, prompt, first[place], forcing, opened)
        seen.add((sample.forced.waits, tokens.index(first[place]) in forced))
        whole = tiny.logits(model, np.array([[*prompt, *tokens]]))[0]
        want = np.asarray(jax.nn.log_softmax(whole))[
            np.arange(len(prompt), len(whole)) - 1, tokens]
        want[forced] = 0.0
        np.testing.assert_allclose(sample.logprob, want, atol=1e-4)
  # The end is written, and forced; the thought goes on once and twice.
  assert {waits for waits, _ in seen} == {0, 1, 2}
  assert {forced for _, forced in seen} == {False, True}
