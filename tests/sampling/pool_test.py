"""Rollouts against samples behind the same text."""

import jax
import numpy as np

from tests import reference, toy
from tts.sampling import decode, pool

B, S, R = 4, 3, 5
LIMITS = decode.Limits(max_tokens=8, max_steps=3, max_step_tokens=5, roles=toy.ROLES)


def rollouts(generator, prompts, steps, keys):
  """keys uint32 [B, S, R, 2]; the middle step has none."""
  begin = lambda b: lambda group: pool.rollouts(
      generator, group, prompts[b], steps[b], [keys[b, 0], (), keys[b, 2]])
  return toy.run([begin(b) for b in range(B)], [generator])


def inputs(vocab=toy.VOCAB):
  """Prompts, three steps of each, and keys of rollouts from their ends."""
  gen = np.random.default_rng(0)
  steps = [[gen.integers(5, 9, n).tolist() + [toy.DELIMITER] for n in (b, 3, 7)] for b in range(B)]
  keys = np.asarray(jax.random.key_data(toy.slot_keys(B, S * R))).reshape(B, S, R, 2)
  return toy.ragged(*toy.prompts(0, B, 5, vocab)), steps, keys


def test_rollouts_are_samples_behind_the_steps():
  table, (prompts, steps, keys) = toy.random_tables(0, B), inputs()
  uniform = toy.uniforms(toy.slot_keys(B, S * R), LIMITS.max_steps, LIMITS.max_tokens).reshape(
      B, S, R, LIMITS.max_steps, LIMITS.max_tokens)
  generator = toy.generator(toy.TableGenerator, table, LIMITS)
  seen = set()
  for b, found in enumerate(rollouts(generator, prompts, steps, keys)):
    assert [len(of_step) for of_step in found] == [R, 0, R]
    for step in (0, 2):
      text = [*prompts[b], *sum(steps[b][:step + 1], [])]
      for r, got in enumerate(found[step]):
        # The limits are for what it writes itself.
        want = reference.sample(table[b], text, uniform[b, step, r], LIMITS)
        assert got.tokens.tolist() == want.own
        np.testing.assert_allclose(got.logprob, want.logprobs, atol=1e-5)
        assert (got.entered, got.attended) == (want.entered, want.attended)
        seen.add(want.status)
  assert seen == {'finished', 'truncated'}
  # A solution is read once, whatever branches off it.
  assert generator.reader.entered == sum(map(len, prompts)) + sum(len(s) for of in steps for s in of)


def test_a_real_decoders_rollouts_are_scored_as_by_a_full_forward():
  params, (prompts, steps, keys) = toy.decoder_params(), inputs(toy.ARCH.vocab_size)
  found = rollouts(toy.generator(toy.writes(), params, LIMITS), prompts, steps, keys)
  texts, starts, wanted = [], [], []
  for b, of_problem in enumerate(found):
    for step in (0, 2):
      before = [*prompts[b], *sum(steps[b][:step + 1], [])]
      for sample in of_problem[step]:
        texts.append([*before, *sample.tokens])
        starts.append(len(before))
        wanted.append(sample.logprob)
  logits, _ = toy.full_forward(toy.ARCH, params, reference.padded(texts, max(map(len, texts))))
  log_probs = np.asarray(jax.nn.log_softmax(logits))
  for row, text, begin, want in zip(log_probs, texts, starts, wanted):
    places = np.arange(begin, len(text))
    np.testing.assert_allclose(want, row[places - 1, np.array(text)[places]], atol=1e-4)
