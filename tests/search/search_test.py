"""The compiled search against a plain python one, round by round."""

import collections
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tts.models.generator import Generator
from tts.models.transformer import Decoder
from tts.models.verifier import Verifier
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.search import search, tree
from tts.search.search import BeamConfig

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, P = 48, 5
SETTINGS = sorted({(n, m) for n in (1, 2, 4, 6, 8) for m in (1, 2, 3, 4)})


@dataclasses.dataclass
class Kept:
  """A `BeamConfig` whose K is an argument of the program, so that one is compiled for every M."""

  num_kept: jax.Array
  lookahead: int = 0


def search_program(generator, verifier, prefix, prefix_len, keys, valid, config, limits=LIMITS,
                   question=None):
  state = search.init(generator, verifier, prefix, prefix_len, keys, valid, limits, question)
  return search.run(generator, verifier, state, config, SamplingConfig(), limits)


@jax.jit
def table_search(table, prefix, prefix_len, keys, valid, num_kept):
  return search_program(toy.TableGenerator(table), toy.TableVerifier(), prefix, prefix_len, keys,
                        valid, Kept(num_kept))


@functools.partial(jax.jit, static_argnames='slots')
def table_queue(table, prefix, prefix_len, keys, num_jobs, slots):
  return decode.sample_queue(toy.TableGenerator(table), prefix, prefix_len, keys, num_jobs,
                             num_slots=slots, sampling=SamplingConfig(), limits=LIMITS)


@pytest.fixture(scope='module')
def inputs():
  """Tables, prompts and their lengths of 48 problems."""
  return toy.random_tables(0, B), *toy.prompts(0, B, P)


@pytest.fixture(scope='module')
def uniforms():
  return toy.uniforms(toy.slot_keys(B, 8), LIMITS.max_steps, LIMITS.max_tokens)


@pytest.fixture(scope='module')
def expected(inputs, uniforms):
  """Reference searches of a setting, made once."""
  table, prefix, prefix_len = inputs

  @functools.cache
  def of(num, width):
    return [reference.beam_search(table[b], prefix[b, :prefix_len[b]], uniforms[b, :num], width,
                                  LIMITS) for b in range(B)]
  return of


def run(inputs, num, width, valid=None, keys=None):
  valid = np.ones(B, bool) if valid is None else valid
  keys = toy.slot_keys(B, num) if keys is None else keys
  return table_search(*inputs, keys, valid, BeamConfig(num, width).num_kept)


@pytest.mark.parametrize('num,width', SETTINGS)
def test_reference(inputs, expected, num, width):
  history, rounds = run(inputs, num, width)
  history = jax.tree.map(np.asarray, history)
  want = expected(num, width)
  assert int(rounds) == max(len(w.rounds) for w in want)
  for b, w in enumerate(want):
    for r, each in enumerate(w.rounds):
      got = lambda field: getattr(history, field)[r, b]  # pylint: disable=cell-var-from-loop
      for field in ('parent', 'length', 'live', 'finished', 'kept', 'score', 'entered',
                    'attended'):
        assert got(field).tolist() == each[field], (b, r, field)
      np.testing.assert_array_equal(
          got('token'), reference.padded(each['token'], LIMITS.max_step_tokens))
      np.testing.assert_allclose(got('logprob'), each['logprob'], atol=1e-4)
    done = len(w.rounds)
    assert not history.length[done:, b].any() and not history.entered[done:, b].any()
    assert not history.attended[done:, b].any()


def test_the_reference_shows_every_case(expected):
  """Ties at the cut, every way to end, every way to stop, uneven shares, answers carried along."""
  seen = collections.Counter()
  for num, width in SETTINGS:
    num_kept = max(1, num // width)
    for found in expected(num, width):
      seen[found.stop] += 1
      seen.update(row.rule or row.status for row in found.rows)
      for r, each in enumerate(found.rounds):
        status = ['live' if l else 'finished' if f else 'truncated'
                  for l, f in zip(each['live'], each['finished'])]
        seen['tie'] += reference.tie_at_the_cut(each['score'], status, num_kept)
        seen['truncated kept'] += 'truncated' in np.array(status)[each['kept']]
        if r + 1 < len(found.rounds):
          seen['answer carried'] += any(k and f for k, f in zip(each['kept'], each['finished']))
          after = found.rounds[r + 1]['parent']
          shares = {after.count(p) for p in after if each['live'][p]}
          seen['uneven'] += len(shares) > 1
      seen['voters beyond the kept'] += sum(
          f and not k for f, k in zip(found.rounds[-1]['finished'], found.rounds[-1]['kept']))
  for case in ('none live', 'none kept live', 'finished', 'tokens', 'steps', 'step_tokens', 'live',
               'tie', 'truncated kept', 'answer carried', 'uneven', 'voters beyond the kept'):
    assert seen[case] > 10, (case, seen)


@pytest.mark.parametrize('num,width', [(1, 1), (4, 1), (6, 3), (8, 2), (8, 4)])
def test_trees(inputs, expected, num, width):
  """Candidates and their paths, counts of tokens, and what became of every node."""
  history, _ = run(inputs, num, width)
  for found, want in zip(tree.unroll(history), expected(num, width)):
    texts = {slot: np.concatenate([found.nodes[i].tokens for i in found.path(last)])
             for slot, last in found.candidates}
    ended = {slot: row for slot, row in enumerate(want.rows) if row.status != 'live'}
    assert sorted(texts) == sorted(ended) and len(texts) <= num
    for slot, row in ended.items():
      np.testing.assert_array_equal(texts[slot], row.own)
      last = found.nodes[dict(found.candidates)[slot]]
      assert last.finished == (row.status == 'finished') and last.score == row.score
      path = found.path(dict(found.candidates)[slot])
      np.testing.assert_allclose(sum(found.nodes[i].logprob for i in path), sum(row.logprobs),
                                 atol=1e-4)
    lasts = [last for _, last in found.candidates]
    assert len(set(lasts)) == len(lasts), 'an answer was copied'
    tokens = sum(len(node.tokens) for node in found.nodes)
    ends = sum(not node.live for node in found.nodes)
    # Every token of every node entered, once; the generator's last tokens never do.
    assert found.entered.tolist() == [tokens - ends, tokens]
    assert found.attended.tolist() == [
        sum(each['attended'][i] for each in want.rounds) for i in range(2)]
    status = found.statuses()
    for i, node in enumerate(found.nodes):
      above = any(i in found.path(last)[:-1] for last in lasts)
      assert status[i] == (('finished' if node.finished else 'truncated') if i in lasts
                           else 'kept' if above else 'pruned')
    assert all(node.parent < i for i, node in enumerate(found.nodes))


def assert_sampled(trees, samples):
  """Candidates of an M = 1 search are the samples of the same slots, token for token."""
  for found, want in zip(trees, samples):
    assert [slot for slot, _ in found.candidates] == sorted(want)
    for slot, last in found.candidates:
      nodes = [found.nodes[i] for i in found.path(last)]
      np.testing.assert_array_equal(np.concatenate([n.tokens for n in nodes]), want[slot].tokens)
      ends = toy.ROLES.step_ends(want[slot].tokens)
      parts = np.split(want[slot].logprob, ends[:-1])
      yield [n.logprob for n in nodes], parts
    assert found.entered[0] == sum(s.entered for s in want.values())
    assert found.attended[0] == sum(s.attended for s in want.values())


def test_one_child_each_is_plain_sampling(inputs):
  num = 8
  table, prefix, prefix_len = inputs
  history, _ = run(inputs, num, 1)
  log = table_queue(table, prefix, np.repeat(prefix_len[:, None], num, 1), toy.slot_keys(B, num),
                    np.full(B, num, np.int32), slots=num // 2)
  for got, parts in assert_sampled(tree.unroll(history), pool.collect(log)):
    assert got == [float(np.add.accumulate(p)[-1]) for p in parts]  # the same sum, bit for bit


def test_a_round_at_a_time_is_the_same_search(inputs):
  """The host may iterate `search_round` itself."""
  table, prefix, prefix_len = inputs
  config = BeamConfig(6, 3)
  models = toy.TableGenerator(table), toy.TableVerifier()
  one = jax.jit(lambda state, parent: search.search_round(
      *models, state, parent, config, SamplingConfig(), LIMITS))
  state = jax.jit(lambda keys: search.init(
      *models, prefix, prefix_len, keys, np.ones(B, bool), LIMITS))(toy.slot_keys(B, 6))
  history, rounds = run(inputs, 6, 3)
  parent = jnp.broadcast_to(jnp.arange(6), (B, 6))
  for r in range(int(rounds)):
    assert np.asarray(state.open).any()
    state, parent, got = one(state, parent)
    jax.tree.map(np.testing.assert_array_equal, got, jax.tree.map(lambda x, r=r: x[r], history))
  assert not np.asarray(state.open).any()


def test_problems_do_not_depend_on_the_block(inputs):
  """Others in other places, some there twice: the same rounds, bit for bit."""
  order = np.random.default_rng(0).integers(0, B, B)
  base, _ = run(inputs, 6, 3)
  moved, _ = run([x[order] for x in inputs], 6, 3, keys=toy.slot_keys(B, 6)[order])
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a)[:, order], b), base, moved)


def test_pad_problems_do_nothing(inputs):
  valid = np.arange(B) % 3 != 1
  base, _ = run(inputs, 4, 2)
  padded, _ = run(inputs, 4, 2, valid=valid)
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(
      np.asarray(a)[:, valid], np.asarray(b)[:, valid]), base, padded)
  for field in ('token', 'length', 'logprob', 'live', 'finished', 'entered', 'attended'):
    assert not np.asarray(getattr(padded, field))[:, ~valid].any(), field
  pads = [t for t, ok in zip(tree.unroll(padded), valid) if not ok]
  assert all(t.nodes == [] and t.candidates == [] for t in pads)
  _, rounds = run(inputs, 4, 2, valid=np.zeros(B, bool))
  assert int(rounds) == 0


def test_nan_is_an_error_never_a_winner(inputs):
  history, _ = run(inputs, 4, 2)
  score = np.array(history.score)
  score[0, 3, 1] = np.nan
  with pytest.raises(FloatingPointError, match='NaN'):
    tree.unroll(history.replace(score=score))


def test_beam_finds_a_known_optimum():
  """Eight steps, each A or B at even odds; the value counts the A. One text of 256 is the best."""
  a, b, d, steps, num, problems = 6, 7, toy.DELIMITER, 8, 12, 6
  limits = decode.Limits(2 * steps + 1, steps + 1, 2, toy.ROLES)
  table = toy.chain_table((1, a, b), (a, d), (b, d), (d, a, b), period=2 * steps + 2)
  table[2 * steps + 1, d] = toy.chain_table((d, 2))[0, d]
  generator = toy.TableGenerator(np.broadcast_to(table, (problems, *table.shape)))
  models = generator, toy.ShareVerifier(a)
  prefix, one = np.ones((problems, 1), np.int32), np.ones(problems, np.int32)

  program = jax.jit(lambda keys, num_kept: search_program(
      *models, prefix, one, keys, one > 0, Kept(num_kept), limits)[0])

  def best(width):
    found = tree.unroll(program(toy.slot_keys(problems, num), BeamConfig(num, width).num_kept))
    assert all(len(t.candidates) == num for t in found)
    assert all(t.nodes[i].finished for t in found for _, i in t.candidates)
    return np.array([max(t.nodes[i].score for _, i in t.candidates) for t in found]) * 64

  np.testing.assert_array_equal(best(4), steps)
  assert best(1).max() < steps


R = 3  # problems of the real decoder


@jax.jit
def real_search(params, prefix, prefix_len, keys, valid, num_kept, question=None):
  generator_params, verifier_params = params
  decoder = Decoder(toy.ARCH)
  return search_program(Generator(decoder, generator_params), Verifier(decoder, verifier_params),
                        prefix, prefix_len, keys, valid, Kept(num_kept), question=question)


@pytest.fixture(scope='module')
def real():
  """Generator and verifier with parameters of their own, prompts, lengths, keys, valid."""
  params = toy.decoder_params(), toy.decoder_params(seed=1)
  return (params, *toy.prompts(1, R, P, toy.ARCH.vocab_size), toy.slot_keys(R, 4),
          np.ones(R, bool))


@pytest.mark.parametrize('before', [0, 7])
def test_real_search_equals_scoring_every_path_from_scratch(real, before):
  """The generator may have more before the question, which the verifier is not shown."""
  params, prefix, prefix_len, keys, valid = real
  told, question = prefix, None
  if before:
    more = np.random.default_rng(2).integers(5, toy.ARCH.vocab_size, (R, before), np.int32)
    told, question = np.concatenate([more, prefix], axis=1), (prefix, prefix_len)
  history, _ = real_search(params, told, before + prefix_len, keys, valid, 2, question)
  paths, nodes, prompts = [], [], []
  for b, found in enumerate(tree.unroll(history)):
    for i, node in enumerate(found.nodes):
      paths.append(np.concatenate([found.nodes[j].tokens for j in found.path(i)]))
      nodes.append(node)
      prompts.append(told[b, :before + prefix_len[b]])
  assert max(node.round for node in nodes) >= 2
  seen = lambda skip: reference.padded([[*p[skip:], *path] for p, path in zip(prompts, paths)],
                                       before + P + LIMITS.max_tokens)
  log_probs = np.asarray(jax.nn.log_softmax(toy.full_forward(toy.ARCH, params[0], seen(0))[0]))
  values = toy.full_forward(toy.ARCH, params[1], seen(before))[1]
  for i, (prompt, path, node) in enumerate(zip(prompts, paths, nodes)):
    end = len(prompt) + len(path)
    assert node.score == pytest.approx(values[i, end - before - 1], abs=1e-5)
    own = np.arange(end - len(node.tokens), end)
    assert node.logprob == pytest.approx(log_probs[i, own - 1, seen(0)[i, own]].sum(), abs=1e-4)


def test_real_one_child_each_is_plain_sampling(real):
  (params, _), prefix, prefix_len, keys, _ = real
  history, _ = real_search(*real, 4)
  log = jax.jit(lambda: decode.sample_queue(
      Generator(Decoder(toy.ARCH), params), prefix, jnp.repeat(prefix_len[:, None], 4, 1), keys,
      jnp.full(R, 4), num_slots=2, sampling=SamplingConfig(), limits=LIMITS))()
  for got, parts in assert_sampled(tree.unroll(history), pool.collect(log)):
    np.testing.assert_allclose(got, [p.sum() for p in parts], atol=1e-4)
