"""Budget forcing against plain python, which draws token by token over the table models."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from tests import reference, toy
from tts.engine.shape import Shape
from tts.roles import Thinking
from tts.sampling import budget_forcing, decode, pool
from tts.sampling.budget_forcing import Forcing
from tts.types import EOS_ID

B, N, P = 6, 4, 4
BEGIN, END, WAIT, TOLD = 5, 6, 7, 8


def limits(opened=True, max_tokens=18, max_steps=5, max_step_tokens=12, **roles):
  thinking = Thinking(BEGIN, END, opened)
  return decode.Limits(max_tokens, max_steps, max_step_tokens,
                       dataclasses.replace(toy.ROLES, thinking=thinking, **roles))


def run(generator, prompts, keys, forcing, **kwargs):
  """Samples of every question; keys [B, N]."""
  data = np.asarray(jax.random.key_data(keys))
  begin = lambda prompt, own: lambda group: budget_forcing.samples(
      generator, group, prompt, own, forcing)
  return toy.run([begin(*each) for each in zip(prompts, data, strict=True)], [generator], **kwargs)


def plain(table, prompt, uniform, limits_, forcing):
  """(tokens, log-probabilities, places that were forced, tokens dropped, waits, what ended it)."""
  roles, own, logprobs, forced, dropped, waits = limits_.roles, [], [], [], 0, 0
  thinks = True

  def force(ids):
    for i in ids:
      forced.append(len(own))
      own.append(i)
      logprobs.append(0.0)

  def full(ids):
    steps = inside = 0
    for i, token in enumerate(ids):
      pair = inside and ids[i - 1] in roles.first_halves and token in roles.second_halves
      steps, inside = (steps + 1, 0) if token in roles.delimiters or pair else (steps, inside + 1)
    return (len(ids) >= limits_.max_tokens or steps >= limits_.max_steps
            or inside >= limits_.max_step_tokens), steps

  if not roles.thinking.opened:
    force([BEGIN])
  while True:
    if thinks and len(own) == forcing.cap - 1:
      if full([*own, END, *forcing.lead_in])[0]:
        return own, logprobs, forced, dropped, waits, 'limit at the cap'
      force([END, *forcing.lead_in])
      thinks, why = False, 'cap'
    token, logprob = toy.draw(toy.next_logits(table, [*prompt, *own]),
                              uniform[full(own)[1], len(own)])
    if thinks and token in (END, EOS_ID):
      room = forcing.cap - 1 - len(own) > len(forcing.wait)
      if waits < forcing.waits and room and not full([*own, *forcing.wait])[0]:
        dropped, waits = dropped + 1, waits + 1
        force(forcing.wait)
        continue
      thinks, why = False, 'itself'
      if token == EOS_ID:
        why = 'end of sequence'
        if full([*own, END, *forcing.lead_in])[0]:
          return [*own, token], [*logprobs, logprob], forced, dropped, waits, 'limit at the end'
        dropped += 1
        force([END, *forcing.lead_in])
        continue
    own.append(token)
    logprobs.append(logprob)
    if not thinks and token == EOS_ID:
      return own, logprobs, forced, dropped, waits, why
    # What comes next at the cap is no draw, and looks at the limits itself.
    if full(own)[0] and not (thinks and len(own) == forcing.cap - 1):
      return own, logprobs, forced, dropped, waits, 'limit'


@pytest.fixture(scope='module')
def table():
  return toy.random_tables(3, B)


@pytest.fixture(scope='module')
def prompts():
  return toy.ragged(*toy.prompts(0, B, P))


KEYS = toy.slot_keys(B, N)
CASES = [(Forcing(7, 0, (WAIT,)), limits()), (Forcing(7, 2, (WAIT,), (TOLD,)), limits()),
         (Forcing(12, 3, (TOLD, WAIT), (toy.DELIMITER, TOLD)), limits(opened=False)),
         (Forcing(3, 1, (WAIT,)), limits(opened=False)),
         (Forcing(14, 5, (toy.DELIMITER, WAIT)), limits(max_steps=3, max_step_tokens=5)),
         (Forcing(9, 1, (3, WAIT), (3,)), limits(delimiters=(toy.DELIMITER, 8),
                                               first_halves=(3, 7), second_halves=(7, 3)))]


def test_reference(table, prompts):
  seen = set()
  for forcing, limits_ in CASES:
    generator = toy.generator(toy.TableGenerator, table, limits_)
    uniform = toy.uniforms(KEYS, limits_.max_steps + 1, limits_.max_tokens)
    for b, found in enumerate(run(generator, prompts, KEYS, forcing)):
      for n, got in enumerate(found):
        own, logprobs, forced, dropped, waits, why = plain(
            table[b], prompts[b], uniform[b, n], limits_, forcing)
        assert got.tokens.tolist() == own, (forcing, b, n)
        np.testing.assert_allclose(got.logprob, logprobs, atol=1e-5)
        assert [i for span in got.forced.spans for i in range(*span)] == forced
        assert (got.forced.suppressed, got.forced.waits) == (dropped, waits)
        assert got.forced.tokens == len(forced)
        known = range(len(prompts[b]) + 1, len(prompts[b]) + len(own))
        assert (got.entered, got.attended) == (len(own) - 1, sum(known))
        thinking = limits_.roles.thinking
        assert thinking.length(own) <= forcing.cap or thinking.cut_off(own)
        seen |= {why, ('waits', waits)}
  assert seen >= {'cap', 'itself', 'end of sequence', 'limit', *(('waits', k) for k in range(4))}


def test_what_is_computed_is_what_entered(table, prompts):
  """No token enters twice, and none that was dropped."""
  forcing, limits_ = CASES[1]
  generator = toy.generator(toy.TableGenerator, table, limits_)
  found = [s for of in run(generator, prompts, KEYS, forcing) for s in of]
  assert any(s.forced.suppressed for s in found)
  drawn = sum(len(s.tokens) - s.forced.tokens + s.forced.suppressed for s in found)
  last = sum(1 + s.forced.suppressed for s in found)
  assert generator.writer.entered == drawn
  # A piece's last token is drawn and not fed; it is read before the next piece, unless dropped.
  prompt = sum(map(len, prompts))
  forced = sum(s.forced.tokens for s in found)
  assert sum(s.entered for s in found) == drawn + forced - last
  assert generator.reader.entered >= prompt + forced


@pytest.mark.parametrize('edges,forcing,tokens,spans,dropped', [
    # The end is written at once.
    ([(1, END), (END, 8), (8, EOS_ID)], Forcing(9, 0, (WAIT,)), [END, 8, EOS_ID], (), 0),
    # The cap is not reached.
    ([(1, 5), (5, END), (END, 8), (8, EOS_ID)], Forcing(9, 0, (WAIT,)), [5, END, 8, EOS_ID], (), 0),
    # The end is the last token that may be drawn: nothing is forced.
    ([(1, 5), (5, END), (END, 8), (8, EOS_ID)], Forcing(3, 0, (WAIT,), (8,)),
     [5, END, 8, EOS_ID], (), 0),
    # One token fewer: the end is forced where it would have been written, with the lead-in.
    ([(1, 5), (5, END), (END, 8), (8, EOS_ID)], Forcing(2, 0, (WAIT,), (8,)),
     [5, END, 8, EOS_ID], ((1, 3),), 0),
    ([(1, 5), (5, 5), (END, 8), (8, EOS_ID)], Forcing(4, 0, (WAIT,)),
     [5, 5, 5, END, 8, EOS_ID], ((3, 4),), 0),
    # Wait k times, then the end stands.
    ([(1, END), (WAIT, END), (END, 8), (8, EOS_ID)], Forcing(9, 1, (WAIT,)),
     [WAIT, END, 8, EOS_ID], ((0, 1),), 1),
    ([(1, END), (WAIT, END), (END, 8), (8, EOS_ID)], Forcing(9, 2, (WAIT,)),
     [WAIT, WAIT, END, 8, EOS_ID], ((0, 1), (1, 2)), 2),
    # Room for one wait and the end behind it, and not for another.
    ([(1, END), (WAIT, END), (END, 8), (8, EOS_ID)], Forcing(4, 9, (WAIT,)),
     [WAIT, WAIT, END, 8, EOS_ID], ((0, 1), (1, 2)), 2),
    ([(1, END), (WAIT, END), (END, 8), (8, EOS_ID)], Forcing(3, 9, (WAIT,)),
     [WAIT, END, 8, EOS_ID], ((0, 1),), 1),
    ([(1, END), (WAIT, END), (END, 8), (8, EOS_ID)], Forcing(2, 9, (WAIT,)),
     [END, 8, EOS_ID], (), 0),
    # An end of sequence in the thought is an end of it.
    ([(1, EOS_ID), (WAIT, EOS_ID), (END, 8), (8, EOS_ID)], Forcing(9, 1, (WAIT,)),
     [WAIT, END, 8, EOS_ID], ((0, 1), (1, 2)), 2)])
def test_by_hand(edges, forcing, tokens, spans, dropped):
  generator = toy.generator(toy.TableGenerator, toy.chain_table(*edges)[None], limits())
  (got,), = run(generator, [[1]], toy.slot_keys(1, 1), forcing)
  assert got.tokens.tolist() == tokens
  assert got.forced.suppressed == dropped
  assert got.forced.spans == spans


PARAMS = toy.decoder_params()
SHAPE = Shape(lanes=16, write=3, readers=8, tile=4, least=8, long=24, few=2)


def real(limits_, **kwargs):
  return toy.generator(toy.writes(), PARAMS, limits_, shape=kwargs.pop('shape', SHAPE), **kwargs)


@functools.cache
def real_prompts():
  return [[1, *np.random.default_rng(b).integers(5, 13, 1 + 9 * b).tolist()] for b in range(B)]


def same(got, want):
  assert got.tokens.tobytes() == want.tokens.tobytes()
  assert got.logprob.tobytes() == want.logprob.tobytes()
  assert (got.entered, got.attended, got.forced) == (want.entered, want.attended, want.forced)


@pytest.fixture(scope='module')
def together():
  return run(real(limits()), real_prompts(), KEYS, CASES[1][0])


@pytest.mark.parametrize('b', [0, 3, 5])
def test_rows_that_end_at_different_places_are_as_each_alone(together, b):
  assert len({len(s.tokens) for of in together for s in of}) > 5
  assert len({s.forced.spans for of in together for s in of}) > 5
  for n in range(N):
    (alone,), = run(real(limits()), real_prompts()[b:b + 1], KEYS[b:b + 1, n:n + 1], CASES[1][0])
    same(alone, together[b][n])


def test_a_real_decoder_by_a_full_forward(together):
  texts = [[*prompt, *s.tokens] for prompt, of in zip(real_prompts(), together) for s in of]
  found = [s for of in together for s in of]
  logits, _ = toy.full_forward(toy.ARCH, PARAMS, reference.padded(texts, max(map(len, texts))))
  log_probs = np.asarray(jax.nn.log_softmax(logits))
  for row, text, sample in zip(log_probs, texts, found):
    places = np.arange(len(text) - len(sample.tokens), len(text))
    want = row[places - 1, np.array(text)[places]]
    for begin, end in sample.forced.spans:
      want[begin:end] = 0.0
    np.testing.assert_allclose(sample.logprob, want, atol=1e-4)


def test_a_cap_that_is_not_reached_is_a_plain_sample():
  """The same tokens and counts; who was cut off in the thought has no more of it."""
  limits_ = limits(max_tokens=30, max_steps=4, max_step_tokens=9, first_halves=(7, 8),
                   second_halves=(8,))
  data = np.asarray(jax.random.key_data(KEYS))
  begin = lambda b: lambda group: pool.samples(real_, group, real_prompts()[b], data[b])
  real_ = real(limits_)
  samples = toy.run([begin(b) for b in range(B)], [real_])
  kinds = set()
  for of, forced in zip(samples, run(real_, real_prompts(), KEYS, Forcing(29, 0, (WAIT,)))):
    for want, got in zip(of, forced, strict=True):
      thinking, finished = limits_.roles.thinking, limits_.roles.finished(want.tokens)
      kinds.add((finished, thinking.cut_off(want.tokens)))
      if finished and thinking.cut_off(want.tokens):  # it ended without an answer: one is forced
        assert got.tokens[:len(want.tokens)].tolist() == [*want.tokens[:-1], END]
        continue
      assert got.tokens.tolist() == want.tokens.tolist()
      np.testing.assert_allclose(got.logprob, want.logprob, atol=1e-5)
      assert (got.entered, got.attended) == (want.entered, want.attended)
      assert got.forced.spans == () and got.forced.suppressed == 0
  assert len(kinds) == 4
