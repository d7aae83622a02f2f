"""How sure a generator is of its tokens: against numpy, by whatever writes; nothing where off."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import device_programs, reference, toy
from tests.sampling import decode_test
from tts import methods, rng
from tts.engine import all_programs, lanes as lanes_lib
from tts.engine.shape import Shape
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.revision import chains
from tts.sampling import confidence, decode, logits as logits_lib, pool
from tts.sampling.confidence import LIKELIEST
from tts.sampling.logits import GROUP, SamplingConfig
from tts.types import PAD_ID

LIMITS = decode_test.LIMITS
ON = SamplingConfig(statistics=True)
FIELDS = ('entropy', 'confidence', 'certainty')
# Lanes whose number changes while texts are being written.
HALVED = Shape(lanes=8, write=2, readers=4, tile=4, least=2)


def plain(logits, size=None):
  """What `Statistics` has, by its definitions in float64, of logits [..., V]."""
  logits = np.asarray(logits, np.float64)[..., :size]
  log_probs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
  probs = np.exp(log_probs)
  likeliest = -np.sort(-log_probs, axis=-1)[..., :20]
  return {'entropy': -np.where(probs > 0, probs * np.maximum(log_probs, -1e300), 0.0).sum(-1),
          'confidence': -likeliest.mean(-1),
          'certainty': -(log_probs + np.log(logits.shape[-1])).mean(-1)}


def assert_statistics(got, want, **tolerance):
  for name in FIELDS:
    np.testing.assert_allclose(getattr(got, name), want[name], err_msg=name, **tolerance)


EDGE = LIKELIEST * GROUP


@pytest.mark.parametrize('vocab,size', [
    (9, None), (9, 7), (LIKELIEST, None), (LIKELIEST + 5, LIKELIEST + 1), (EDGE, None),
    (EDGE + 1, None), (EDGE + 1, EDGE - 3), (5000, None), (5000, 4900), (50_000, None),
    (50_000, 15), (300, 400)])
def test_statistics_are_those_of_numpy(vocab, size):
  gen = np.random.default_rng(vocab)
  logits = gen.normal(0.0, 3.0, (7, vocab)).astype(np.float32)
  logits[:, size:] += 50.0  # padding, the likeliest rows
  logits[1] = np.sort(logits[1])  # the likeliest side by side,
  logits[2] = -np.sort(-logits[2])  # at either end,
  logits[3] = logits[3].round()     # and equal ones
  if size is not None:
    logits[1:3, size:] = 90.0
  logits[4] *= 20.0  # nearly all of it is one id's
  logits[5] = 2.5    # all ids alike
  logits += gen.normal(0.0, 40.0, (7, 1)).astype(np.float32)
  want = plain(logits, size)
  got = jax.jit(confidence.statistics, static_argnums=1)(logits, size)
  assert got.entropy.dtype == np.float32 and got.entropy.shape == (7,)
  assert_statistics(got, want, rtol=2e-5, atol=1e-4)
  assert want['entropy'][4] < 0.2 * want['entropy'][5]


def test_the_largest_are_found_wherever_they_lie():
  """All in one group, each in its own, and across the padding of the last."""
  vocab = 30 * GROUP + 5
  values = np.random.default_rng(0).uniform(-9.0, -1.0, (3, vocab)).astype(np.float32)
  values[0, 7 * GROUP:7 * GROUP + LIKELIEST] += 9.0
  values[1, 3:LIKELIEST * GROUP:GROUP] += 9.0
  values[2, -LIKELIEST:] += 9.0
  got = jax.jit(confidence._largest, static_argnums=1)(values, LIKELIEST)
  np.testing.assert_array_equal(got, -np.sort(-values, axis=-1)[:, :LIKELIEST])


@pytest.mark.parametrize('low', [-np.inf, -1e9])
def test_an_impossible_id_leaves_no_nan(low):
  logits = np.array([[0.0, 1.0, low, 2.0]], np.float32)
  got = confidence.statistics(logits)
  alone = plain(np.delete(logits, 2, axis=1))
  np.testing.assert_allclose(got.entropy, alone['entropy'], rtol=1e-5)
  assert got.confidence[0] > 1e8 and got.certainty[0] > 1e8


@pytest.fixture(scope='module')
def inputs():
  prefix, _ = toy.prompts(0, decode_test.B, decode_test.P)
  lengths = np.random.default_rng(1).integers(
      1, decode_test.P + 1, (decode_test.B, decode_test.J)).astype(np.int32)
  return (toy.random_tables(0, decode_test.B), prefix, lengths,
          toy.slot_keys(decode_test.B, decode_test.J), np.array([9, 5, 2, 0, 4, 8], np.int32))


def of_text(table, text, own):
  """What numpy says of a text's last `own` tokens."""
  return plain(np.stack([toy.next_logits(table, text[:i]) for i in range(len(text) - own,
                                                                          len(text))]))


@pytest.mark.parametrize('sampling', [
    ON, dataclasses.replace(ON, temperature=0.6, top_k=3), dataclasses.replace(ON, top_p=0.8),
    dataclasses.replace(ON, temperature=0.0)])
@pytest.mark.parametrize('shape', [toy.SHAPE, HALVED])
def test_samples_have_those_of_the_table(inputs, sampling, shape):
  """At temperature 1 and of all ids, whatever is drawn from; tokens are as without."""
  table, prefix, lengths, _, _ = inputs
  found = decode_test.queue(*inputs, sampling=sampling, shape=shape)
  without = decode_test.queue(*inputs, sampling=sampling.to_learn_from(), shape=shape)
  for b, (got, base) in enumerate(zip(found, without, strict=True)):
    decode_test.assert_same(got, base)
    for j, sample in enumerate(got):
      text = [*prefix[b, :lengths[b, j]], *sample.tokens]
      assert_statistics(sample.statistics, of_text(table[b], text, len(sample.tokens)), rtol=1e-5,
                        atol=1e-5)
      assert base[j].statistics is None


@pytest.mark.parametrize('method', [methods.Beam(2), methods.Lookahead(2, 2)])
def test_nodes_of_a_search_have_those_of_their_own_tokens(method):
  table, num = toy.random_tables(3, 8), 6
  prompts = toy.ragged(*toy.prompts(3, 8, 5))
  search = lambda sampling: toy.search(
      toy.generator(toy.TableGenerator, table, LIMITS, sampling=sampling, shape=HALVED),
      toy.verifier(toy.TableVerifier, np.zeros(())), prompts, toy.slot_keys(8, num), method)
  simulated = 0
  for b, (tree, base) in enumerate(zip(search(ON), search(SamplingConfig()), strict=True)):
    for i, (node, other) in enumerate(zip(tree.nodes, base.nodes, strict=True)):
      text = [*prompts[b], *(t for n in tree.path(i) for t in tree.nodes[n].tokens)]
      assert_statistics(node.statistics, of_text(table[b], text, len(node.tokens)), rtol=1e-5,
                        atol=1e-5)
      assert node.logprobs.shape == node.tokens.shape
      np.testing.assert_allclose(node.logprobs.sum(), node.logprob, rtol=1e-5)
      assert other.statistics is None and other.logprobs is None
      assert (node.tokens.tolist(), node.score, node.logprob, node.parent) == (
          other.tokens.tolist(), other.score, other.logprob, other.parent)
      simulated += node.simulation is not None
  assert bool(simulated) == isinstance(method, methods.Lookahead)


def test_answers_of_a_chain_have_them():
  table = toy.random_tables(0, 4)
  prompts, keys = toy.ragged(*toy.prompts(0, 4, 5)), toy.slot_keys(4, 2)
  generator = toy.generator(toy.TableGenerator, table, LIMITS, sampling=ON)
  data = np.asarray(jax.random.key_data(keys))
  begin = lambda b: lambda group: chains.chains(generator, group, prompts[b], data[b], 3)
  for b, of_question in enumerate(toy.run([begin(b) for b in range(4)], [generator])):
    for chain in of_question:
      answers = [revision.sample.tokens.tolist() for revision in chain]
      for t, revision in enumerate(chain):
        text = [*chains.context(prompts[b], answers[:t], toy.ROLES), *answers[t]]
        assert_statistics(revision.sample.statistics, of_text(table[b], text, len(answers[t])),
                          rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('size', [None, toy.ARCH.vocab_size - 3])
@pytest.mark.parametrize('model', [1, 2])
def test_a_real_decoders_are_those_of_a_full_forward(size, model):
  """Of real ids alone where rows are padding; and where two devices share the vocabulary."""
  params, count = toy.decoder_params(), 3
  limits = dataclasses.replace(LIMITS, roles=dataclasses.replace(toy.ROLES, size=size))
  prompts = toy.ragged(*toy.prompts(3, count, 5, size or toy.ARCH.vocab_size))
  generator = toy.generator(toy.writes(), params, limits, sampling=ON, model=model)
  data = np.asarray(jax.random.key_data(toy.slot_keys(count, 4)))
  begin = lambda b: lambda group: pool.samples(generator, group, prompts[b], data[b])
  found = toy.run([begin(b) for b in range(count)], [generator])
  jobs = [(prompts[b], sample) for b in range(count) for sample in found[b]]
  texts = [[*prompt, *sample.tokens] for prompt, sample in jobs]
  logits, _ = toy.full_forward(toy.ARCH, params, reference.padded(texts, 5 + LIMITS.max_tokens))
  for (prompt, sample), row in zip(jobs, logits):
    before = np.arange(len(sample.tokens)) + len(prompt) - 1
    assert_statistics(sample.statistics, plain(row[before], size), atol=2e-4)


def test_nothing_where_nothing_is_written():
  """Lanes without a text, like the tokens there, are zeros."""
  table = jnp.asarray(toy.random_tables(0, 2))
  generator = toy.TableGenerator(table)
  lanes = lanes_lib.empty(generator, 3, 8)
  lanes = lanes.replace(active=jnp.array([True, False, True]), steps=jnp.full(3, 2),
                        rows=lanes.rows.replace(live=jnp.array([True, False, True])))
  _, log = lanes_lib.write(generator, lanes, 4, ON, LIMITS)
  idle = np.asarray(log.code) == 0
  assert idle[:, 1].all() and not idle[0, 0]
  for name in FIELDS:
    values = np.asarray(getattr(log.statistics, name))
    assert (values[idle] == 0).all() and (values[~idle] != 0).all()


def emit_without(generator, writing, rows, active, greedy, sampling, limits):
  """`decode.emit` as it was before there were statistics."""
  logits = generator.logits(writing)
  uniforms = lambda attempt: rng.token_uniforms(
      rows.key, rows.past_steps + rows.step, rows.past_positions + rows.position,
      logits_lib.num_uniforms(logits.shape[-1]), attempt)
  token, logprob = logits_lib.sample(logits, uniforms(None), sampling, limits.roles.size, greedy,
                                     uniforms)
  token = jnp.where(active, token, PAD_ID)
  rows = decode.advance(rows, token, active, limits)
  writing = generator.extend(writing, token, active & rows.live)
  return writing, rows, token, jnp.where(active, logprob, 0.0)


def write_without(generator, lanes, num, sampling, limits):
  """`lanes.write` as it was before."""
  blank = jnp.zeros((num, lanes.active.shape[0]), jnp.int32)

  def going(carry):
    i, _, lanes, _ = carry
    return (i < num) & jnp.any(lanes.active)

  def body(carry):
    i, writing, lanes, log = carry
    active, greedy, before = lanes.active, lanes.steps <= lanes.ahead, lanes.rows
    writing, rows, token, logprob = emit_without(generator, writing, before, active, greedy,
                                                 sampling, limits)
    ended = rows.step > before.step
    steps = lanes.steps - ended
    code = active * (lanes_lib.ACTIVE + lanes_lib.STEP_ENDED * ended
                     + lanes_lib.FINISHED * rows.finished + lanes_lib.LIVE * rows.live
                     + lanes_lib.GREEDY * greedy)
    log = jax.tree.map(lambda old, new: jax.lax.dynamic_update_index_in_dim(old, new, i, 0),
                       log, (token, logprob, code))
    over = lambda flag, x: flag.reshape(flag.shape + (1,) * (x.ndim - 1))
    saved = jax.tree.map(lambda new, old: jnp.where(over(active & ~greedy, new), new, old),
                         writing.texts.carry, lanes.saved)
    lanes = lanes.replace(rows=rows, active=active & rows.live & (steps > 0), steps=steps,
                          saved=saved)
    return i + 1, writing, lanes, log

  writing = generator.begin(lanes.texts, num)
  first = (jnp.zeros((), jnp.int32), writing, lanes.replace(texts=None),
           (blank, blank.astype(jnp.float32), blank))
  _, writing, lanes, log = jax.lax.while_loop(going, body, first)
  return lanes.replace(texts=generator.end(writing)), lanes_lib.Log(*log, lanes.active)


@pytest.mark.parametrize('sampling', [SamplingConfig(), device_programs.DRAWN])
def test_off_the_program_is_the_one_without(sampling):
  """To the letter, so that nothing is paid for what nobody asked for; on it is another."""
  make = Functions(Generator, toy.ARCH)
  shape, limits = device_programs.SHAPE, device_programs.LIMITS
  block = all_programs.writes(make, toy.decoder_params(), shape, device_programs.WIDTH)
  text = lambda step: jax.jit(step).lower(toy.decoder_params(), *block).as_text()
  written = lambda how: text(lambda params, lanes: lanes_lib.write(
      make(params), lanes, shape.write, how, limits))
  without = text(lambda params, lanes: write_without(
      make(params), lanes, shape.write, sampling, limits))
  assert written(sampling) == without
  assert written(dataclasses.replace(sampling, statistics=True)) != without


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
def test_on_it_lowers_for_other_devices(platform):
  logits = jax.ShapeDtypeStruct((4, 50_000), jnp.float32)
  text = jax.jit(functools.partial(confidence.statistics, size=49_000)).trace(logits).lower(
      lowering_platforms=(platform,)).as_text()
  # No whole vocabulary is put in order: maxima of groups are, and what is in 20 of them.
  assert re.findall(r'top_k\(.*\) : tensor<4x(\d+)x', text) == ['782', '1280']
  assert 'stablehlo.sort' not in text and 'f64' not in text
