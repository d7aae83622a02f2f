"""A stage's models at work: what they compute is counted, and each is there once."""

import types

import numpy as np
import pytest

from tests import toy
from tts import config, parallel, rng
from tts.engine import shape
from tts.engine.shape import Shape
from tts.runs.blocks import Block
from tts.runs.models_at_work import Computed, Workers
from tts.runs.run import Model
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.stages import sample_pool, scoring, search
from tts.types import Problem, Strategy

LANES, READERS, TILE = 6, 5, 4
PROMPTS = [[4 + (b * 5 + i) % 9 for i in range(3 + b)] for b in range(3)]


@pytest.fixture
def workers(monkeypatch):
  monkeypatch.setattr(shape, 'of', lambda *_: Shape(
      lanes=LANES, write=3, readers=READERS, tile=TILE))
  models = {name: Model(name, toy.ARCH, toy.decoder_params(seed=seed), '')
            for seed, name in enumerate(('base', 'prm'))}
  return Workers(types.SimpleNamespace(
      mesh=parallel.make_mesh(2), seed=0, main='prm', model=models.get,
      prompts=types.SimpleNamespace(encode=lambda question: [1], tokenizer=None),
      limits=Limits(12, 4, 6, toy.ROLES),
      experiment=config.Experiment(sampling=SamplingConfig())))


def make_blocks():
  """Two, one of a question and one of two."""
  words = rng.problem_words([f'p{b}' for b in range(3)])
  return [Block([Problem(f'p{b}', '') for b in of], [PROMPTS[b] for b in of], words[of])
          for of in ([0], [1, 2])]


@pytest.mark.parametrize('strategy', [
    Strategy.of('beam', 4, beam_width=2), Strategy.of('lookahead', 8, beam_width=2, lookahead=1)])
def test_a_search_s_tokens_are_counted(workers, strategy):
  """Entered: the prompts, once, and what is written. Computed: whole passes over a group's lanes."""
  found = workers.ask(search.searcher(workers, strategy, 'prm', 'test'), make_blocks())
  nodes = [node for of_block in found for tree in of_block for node in tree.nodes]
  ahead = sum(len(n.simulation.tokens) for n in nodes if n.simulation)
  assert (ahead > 0) == (strategy.method == 'lookahead')
  tokens = sum(map(len, PROMPTS)) + sum(len(n.tokens) for n in nodes) + ahead
  counted = workers.computed()
  assert counted['base', 'entered'] == counted['prm', 'entered'] == tokens
  generator, verifier = workers.generator('base', SamplingConfig()), workers.verifier('prm')
  for worker, whole in ((generator.writer, LANES), (generator.reader, READERS * TILE),
                        (verifier.reader, READERS * TILE)):
    assert worker.computed % whole == 0 and worker.computed >= worker.entered > 0
  assert counted['base', 'computed'] == generator.writer.computed + generator.reader.computed
  assert counted['prm', 'computed'] == verifier.reader.computed
  assert counted.occupancy == pytest.approx(
      2 * tokens / (counted['base', 'computed'] + counted['prm', 'computed']), abs=1e-4)


def test_a_model_is_made_to_work_once_for_all_that_want_it(workers):
  for num in (2, 3):
    workers.ask(sample_pool.sampler(workers, 'base', 'test', num, SamplingConfig()), make_blocks())
  generator = workers.generator('base', SamplingConfig())
  assert generator is workers.generator('base', SamplingConfig())
  assert generator is not workers.generator('base', SamplingConfig(temperature=0.5))
  before = workers.computed()
  scoring.Scorer(workers, 'prm')
  assert workers.computed() == before and before['base', 'entered'] > 0


def test_samples_do_not_depend_on_blocks(workers):
  """A question alone, beside another, in another group, asked for more samples."""
  both = workers.ask(sample_pool.sampler(workers, 'base', 'test', 3, SamplingConfig()), make_blocks())
  first, (second, third) = make_blocks()[0], (
      Block([p], [prompt], words[None]) for p, prompt, words in zip(
          *(getattr(make_blocks()[1], k) for k in ('problems', 'prompts', 'words'))))
  sample = sample_pool.sampler(workers, 'base', 'test', 2, SamplingConfig())
  alone = [workers.ask(sample, [block])[0][0] for block in (first, second, third)]
  for whole, mine in zip([both[0][0], *both[1]], alone, strict=True):
    for a, b in zip(whole[:2], mine, strict=True):
      np.testing.assert_array_equal(a.tokens, b.tokens)
      np.testing.assert_array_equal(a.logprob, b.logprob)
      assert (a.entered, a.attended) == (b.entered, b.attended)


def test_nothing_computed_has_no_occupancy():
  assert Computed().occupancy is None
  assert Computed({('base', 'entered'): 3, ('base', 'computed'): 4}).occupancy == 0.75
