"""`tts.sample` with somebody else's Flax model: no checkpoint, no run."""

import jax
import jax.numpy as jnp
import pytest

import tts
from examples import my_model
from tts.data.tokenizer import Tokenizer


TOKENIZER = Tokenizer.train(['3;+4;*2\n3+4=7\n#### 14\n'], 20)
MODULE = my_model.Tiny(TOKENIZER.vocab_size)
LIMITS = tts.Limits(max_prompt_tokens=32, max_tokens=12)


@pytest.fixture(scope='module')
def params():
  return MODULE.init(jax.random.key(0), jnp.zeros((1, 2), jnp.int32))


@pytest.fixture(scope='module')
def model(params):
  return tts.LanguageModel.of(lambda params: my_model.Reread(MODULE, params), params, TOKENIZER)


def test_a_model_of_ones_own_draws_what_its_logits_say(model, params):
  """Greedily, each token against the module's own logits of the whole text."""
  result, = tts.sample(model, ['3;+4;*2'], 6, limits=LIMITS, progress=False)
  assert isinstance(my_model.Reread(MODULE, params), tts.protocols.Generator)
  assert result.flops is None and result.answer is None or result.votes
  prompt = model.prompts.encode('3;+4;*2\n')
  for solution in result.solutions:
    # Its own ids: what it writes need not be well formed, so texts may not say them.
    assert solution.num_tokens <= 12 and solution.logprob < 0
  greedy, = tts.sample(model, ['3;+4;*2'], 1, temperature=0, limits=LIMITS, progress=False)
  text = list(prompt)
  for _ in range(greedy.solutions[0].num_tokens):
    text.append(int(jnp.argmax(MODULE.apply(params, jnp.array([text]))[0, -1])))
  assert TOKENIZER.decode(text[len(prompt):]) == greedy.solutions[0].text


def test_options_of_sampling_are_the_config_s(model):
  texts = lambda **how: [s.text for s in next(tts.sample(
      model, ['3;+4;*2'], 4, limits=LIMITS, progress=False, **how)).solutions]
  assert len(set(texts())) > 1 == len(set(texts(top_k=1))) == len(set(texts(temperature=0)))
  for how in ({'top_p': 0.0}, {'temperature': -1}, {'heat': 1}, {'temperature': 'warm'}):
    with pytest.raises(tts.InputError, match=next(iter(how))):
      texts(**how)


def test_statistics_of_tokens_where_they_are_asked_for(model):
  found = [next(tts.sample(model, ['3;+4;*2'], 3, limits=LIMITS, progress=False, statistics=on))
           for on in (False, True)]
  for plain, full in zip(*(result.solutions for result in found)):
    assert plain.statistics is None and plain.text == full.text
    assert full.num_tokens == len(full.statistics['entropy']) == len(full.statistics['logprob'])
    assert sum(full.statistics['logprob']) == pytest.approx(full.logprob, rel=0.01)
    assert all(0 <= x <= 3 for x in full.statistics['entropy'])
