"""Searches against a plain python one, round by round."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import reference, toy
from tts.engine.shape import Shape
from tts.sampling import decode, pool
from tts import methods

LIMITS = decode.Limits(max_tokens=11, max_steps=4, max_step_tokens=5, roles=toy.ROLES)
B, P = 48, 5
SETTINGS = sorted({(n, m) for n in (1, 2, 4, 6, 8) for m in (1, 2, 3, 4)})
WIDE = Shape(lanes=64, write=4, readers=32, tile=8)  # few calls


def table_search(inputs, num, width, shape=WIDE, method=methods.Beam):
  table, prompts, _ = inputs
  return toy.search(toy.generator(toy.TableGenerator, table, LIMITS, shape=shape),
                    toy.verifier(toy.TableVerifier, np.zeros(()), shape=shape), prompts,
                    toy.slot_keys(B, num), method(width), in_flight=16)


@pytest.fixture(scope='module')
def inputs():
  """Tables and prompts of 48 problems, and the draws of their slots."""
  return toy.random_tables(0, B), toy.ragged(*toy.prompts(0, B, P)), toy.uniforms(
      toy.slot_keys(B, 8), LIMITS.max_steps, LIMITS.max_tokens)


@pytest.fixture(scope='module')
def expected(inputs):
  """Reference searches of a setting, made once."""
  table, prompts, uniforms = inputs

  @functools.cache
  def of(num, width):
    return [reference.beam_search(table[b], prompts[b], uniforms[b, :num], width, LIMITS)
            for b in range(B)]
  return of


@pytest.mark.parametrize('num,width', SETTINGS)
def test_reference(inputs, expected, num, width):
  for got, want in zip(table_search(inputs, num, width), expected(num, width), strict=True):
    reference.assert_tree(got, want, simulations=False)


@pytest.mark.parametrize('shape', [toy.SHAPE, Shape(1, 1, 1, 1), Shape(7, 16, 2, 3)])
def test_the_reference_by_lanes_of_any_number_and_size(inputs, expected, shape):
  for got, want in zip(table_search(inputs, 6, 3, shape), expected(6, 3), strict=True):
    reference.assert_tree(got, want, simulations=False)


def test_the_reference_shows_every_case(expected):
  """Ties at the cut, every way to end, every way to stop, uneven shares, answers carried along."""
  seen = collections.Counter()
  for num, width in SETTINGS:
    num_kept = max(1, num // width)
    for found in expected(num, width):
      seen[found.stop] += 1
      seen.update(row.rule or row.status for row in found.rows)
      for r, each in enumerate(found.rounds):
        status = ['live' if x else 'finished' if f else 'truncated'
                  for x, f in zip(each['live'], each['finished'])]
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
def test_candidates(inputs, expected, num, width):
  """What they wrote, how they ended, and what became of every node."""
  for found, want in zip(table_search(inputs, num, width), expected(num, width)):
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
    status = found.statuses()
    for i, node in enumerate(found.nodes):
      above = any(i in found.path(last)[:-1] for last in lasts)
      assert status[i] == (('finished' if node.finished else 'truncated') if i in lasts
                           else 'kept' if above else 'pruned')
    assert all(node.parent < i for i, node in enumerate(found.nodes))


def assert_sampled(trees, samples, atol=0):
  """Candidates of an M = 1 search are the samples of the same slots."""
  for found, want in zip(trees, samples, strict=True):
    assert [slot for slot, _ in found.candidates] == list(range(len(want)))
    for slot, last in found.candidates:
      nodes = [found.nodes[i] for i in found.path(last)]
      np.testing.assert_array_equal(np.concatenate([n.tokens for n in nodes]), want[slot].tokens)
      ends = toy.ROLES.step_ends(want[slot].tokens)
      np.testing.assert_allclose(
          [n.logprob for n in nodes],
          [part.sum(dtype=np.float32) for part in np.split(want[slot].logprob, ends[:-1])],
          rtol=0, atol=atol)
    assert found.entered[0] == sum(s.entered for s in want)
    assert found.attended[0] == sum(s.attended for s in want)


def samples(generator, prompts, keys):
  data = np.asarray(jax.random.key_data(keys))
  begin = lambda b: lambda group: pool.samples(generator, group, prompts[b], data[b])
  return toy.run([begin(b) for b in range(len(prompts))], [generator])


def test_one_child_each_is_plain_sampling(inputs):
  table, prompts, _ = inputs
  generator = toy.generator(toy.TableGenerator, table, LIMITS)
  assert_sampled(table_search(inputs, 8, 1), samples(generator, prompts, toy.slot_keys(B, 8)))


class BrokenVerifier(toy.TableVerifier):
  """Gives NaN at a token."""

  def __init__(self, params):
    super().__init__()
    self._token = params

  def extend(self, texts, tokens, lengths, own):
    values, texts = super().extend(texts, tokens, lengths, own)
    return jnp.where(tokens == self._token, jnp.nan, values), texts


def test_nan_is_an_error_never_a_winner(inputs):
  table, prompts, _ = inputs
  broken = lambda token: toy.search(
      toy.generator(toy.TableGenerator, table, LIMITS),
      toy.verifier(BrokenVerifier, np.int32(token)),
      prompts, toy.slot_keys(B, 4), methods.Beam(2))
  assert len(broken(toy.VOCAB)) == B  # a token that nobody writes
  with pytest.raises(FloatingPointError, match='NaN'):
    broken(toy.DELIMITER)


def test_a_rule_of_ones_own(inputs):
  """It is told of each row; here the shortest steps are kept, then the lowest slot."""
  class Shortest(methods.Beam):
    def priority(self, rows):
      return -rows.length.astype(np.float32)

  checked = 0
  for found in table_search(inputs, 6, 3, method=Shortest):
    rounds = max(node.round for node in found.nodes) + 1
    for r in range(rounds - 1):
      written = [node for node in found.nodes if node.round == r]
      if r or len(written) < 6:
        continue
      order = sorted(written, key=lambda n: (not (n.live or n.finished), len(n.tokens), n.slot))
      kept = {found.nodes.index(node) for node in order[:2] if node.live}
      assert {n.parent for n in found.nodes if n.round == 1} == kept
      checked += 1
  assert checked > 20


def test_beam_finds_a_known_optimum():
  """Eight steps, each A or B at even odds; the value counts the A. One text of 256 is the best."""
  a, b, d, steps, num, problems = 6, 7, toy.DELIMITER, 8, 12, 6
  limits = decode.Limits(2 * steps + 1, steps + 1, 2, toy.ROLES)
  table = toy.chain_table((1, a, b), (a, d), (b, d), (d, a, b), period=2 * steps + 2)
  table[2 * steps + 1, d] = toy.chain_table((d, 2))[0, d]

  def best(width):
    found = toy.search(toy.generator(toy.TableGenerator, table[None], limits),
                       toy.verifier(toy.ShareVerifier, np.int32(a)), [[1]] * problems,
                       toy.slot_keys(problems, num), methods.Beam(width))
    assert all(len(t.candidates) == num for t in found)
    assert all(t.nodes[i].finished for t in found for _, i in t.candidates)
    return np.array([max(t.nodes[i].score for _, i in t.candidates) for t in found]) * 64

  np.testing.assert_array_equal(best(4), steps)
  assert best(1).max() < steps


R = 3  # problems of the real decoder


@pytest.fixture(scope='module')
def real():
  """Parameters of generator and verifier, prompts, keys."""
  params = toy.decoder_params(), toy.decoder_params(seed=1)
  return (params, toy.ragged(*toy.prompts(1, R, P, toy.ARCH.vocab_size)), toy.slot_keys(R, 4))


def real_search(params, prompts, keys, width, own=None):
  return toy.search(toy.generator(toy.writes(), params[0], LIMITS),
                    toy.verifier(toy.judges(toy.ARCH), params[1]), prompts, keys,
                    methods.Beam(width), own=own)


@pytest.mark.parametrize('before', [0, 7, 30])
def test_real_search_equals_scoring_every_path_from_scratch(real, before):
  """The generator may have more before the question, which the verifier is not shown."""
  params, own, keys = real
  more = np.random.default_rng(2).integers(5, toy.ARCH.vocab_size, (R, before)).tolist()
  told = [[*m, *question] for m, question in zip(more, own)]
  paths, nodes, prompts = [], [], []
  for b, found in enumerate(real_search(params, told, keys, 2, own)):
    for i, node in enumerate(found.nodes):
      paths.append(np.concatenate([found.nodes[j].tokens for j in found.path(i)]))
      nodes.append(node)
      prompts.append(told[b])
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
  params, prompts, keys = real
  generator = toy.generator(toy.writes(), params[0], LIMITS)
  # A search begins anew at every step's end, so its sums are added up in other parts.
  assert_sampled(real_search(params, prompts, keys, 1), samples(generator, prompts, keys),
                 atol=1e-5)
