"""A latent verifier in `tts.sample`, `tts.search`, `tts.score`: one text, one score, no reading."""

import dataclasses
import json
from unittest import mock

import jax
import numpy as np
import pytest

import tts
from tests import toy
from tts import parallel
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.engine.engine_models import EngineVerifier
from tts.engine.shape import Shape
from tts.eval.measures import flops, statistics
from tts.library import calls, features
from tts.models import latent, latent_states
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.train import latent_fit, latent_folder

TOKENIZER = Tokenizer.train(['Problem: 3;+4;*2\nSolution:\n3+4=7\n7*2=14\n#### 14\n'], 40)
QUESTIONS = ['3;+4;*2', '7;*3;+4', '3;+4;*2']
LIMITS = tts.Limits(max_prompt_tokens=64, max_tokens=40, max_steps=5, max_step_tokens=12)
ARCH = dataclasses.replace(toy.ARCH, vocab_size=TOKENIZER.vocab_size, heads=('lm',))
HEAD = latent.Head((1, 2), ('logprob',))


@pytest.fixture(scope='module')
def generator():
  return tts.LanguageModel(
      Functions(Generator, ARCH), toy.decoder_params(ARCH), parallel.make_mesh(1),
      Prompts(PromptConfig(), TOKENIZER), Shape(lanes=8, write=4, readers=8, tile=8), ARCH, 'toy')


@pytest.fixture(scope='module')
def verifier(generator, tmp_path_factory):
  gen = np.random.default_rng(2)
  params = jax.tree.map(lambda x: gen.normal(0, 0.5, x.shape).astype(np.float32),
                        latent.zeros(HEAD, ARCH.width))
  folder = tmp_path_factory.mktemp('models') / 'latent'
  latent_folder.save(folder, HEAD, params, latent_folder.fingerprint(ARCH, generator.params))
  return tts.load_verifier(folder, generator=generator)


@pytest.fixture(scope='module')
def reading(verifier):
  """The same verifier as one that reads."""
  return dataclasses.replace(verifier, head=None, generator=None)


def test_samples_have_the_scores_of_a_verifier_that_reads_them(generator, verifier, reading):
  inside, outside, bare = (list(tts.sample(generator, QUESTIONS, 6, verifier=v, limits=LIMITS,
                                           progress=False)) for v in (verifier, reading, None))
  for mine, theirs, plain in zip(inside, outside, bare, strict=True):
    assert [s.text for s in mine.solutions] == [s.text for s in plain.solutions]
    assert len({s.score for s in mine.solutions}) > 1
    for a, b in zip(mine.solutions, theirs.solutions, strict=True):
      assert a.step_scores == pytest.approx(b.step_scores, abs=2e-6)
    assert mine.verifier_tokens == 0 < theirs.verifier_tokens
    entered = len(generator.prompts.encode(QUESTIONS[0] + '\n')) + mine.tokens - 6
    assert mine.flops - plain.flops == flops.latent(
        {'layers': HEAD.layers, 'beside': HEAD.beside, 'width': ARCH.width},
        {'kept': mine.tokens, 'pruned': 0, 'simulated': 0, 'entered': entered})


@pytest.mark.parametrize('method', [
    tts.methods.beam(2), tts.methods.dvts(2), tts.methods.best_of_n(), tts.methods.rebase(),
    tts.methods.particle_filter(), tts.methods.lookahead(2, 1)], ids=lambda m: type(m).__name__)
def test_searches_go_the_ways_of_a_verifier_that_reads(generator, verifier, reading, method):
  inside, outside = (list(tts.search(generator, v, QUESTIONS, method=method, budget=8,
                                     limits=LIMITS, progress=False)) for v in (verifier, reading))
  for mine, theirs in zip(inside, outside, strict=True):
    assert [s.text for s in mine.solutions] == [s.text for s in theirs.solutions]
    assert [n['score'] for n in mine.tree['nodes']] == pytest.approx(
        [n['score'] for n in theirs.tree['nodes']], abs=2e-6)
    assert mine.verifier_tokens == 0 < theirs.verifier_tokens
    assert mine.flops < 0.7 * theirs.flops


def test_given_texts_are_read_as_the_generator_puts_questions(generator, verifier, reading,
                                                              tmp_path):
  texts = [['3+4=7\n7*2=14\n#### 14', '3+4=14\n#### 14']]
  of = lambda v, **how: [s.step_scores for s in next(tts.score(
      v, QUESTIONS[:1], texts, limits=LIMITS, progress=False, **how))]
  assert [len(scores) for scores in of(verifier)] == [3, 2]
  assert of(verifier) == of(reading)
  (tmp_path / 'examples.jsonl').write_text(
      json.dumps({'problem': '7;+7', 'solution': '7+7=14\n#### 14'}) + '\n')
  how = {'kind': 'few_shot', 'examples': str(tmp_path / 'examples.jsonl')}
  asked = dataclasses.replace(generator, prompts=Prompts(PromptConfig(**how), TOKENIZER))
  other = tts.load_verifier(verifier.source, generator=asked)
  assert of(other) == of(reading, **how) != of(reading)


def test_the_log_probability_needs_no_training(generator):
  verifier = tts.logprob_verifier(generator)
  for result in tts.sample(generator, QUESTIONS, 4, verifier=verifier, limits=LIMITS,
                           progress=False):
    assert result.verifier_tokens == 0
    for solution in result.solutions:
      mean = 10 * solution.logprob / solution.num_tokens
      assert solution.score == pytest.approx(1 / (1 + np.exp(-mean)), abs=1e-6)


def test_what_does_not_go_together(generator, verifier, tmp_path):
  other = dataclasses.replace(generator, source='another')
  with pytest.raises(tts.InputError, match='reads the states of toy'):
    next(tts.sample(other, QUESTIONS, 2, verifier=verifier, limits=LIMITS))
  with pytest.raises(tts.InputError, match='give generator='):
    tts.load_verifier(verifier.source)
  with pytest.raises(tts.InputError, match='lanes is given'):
    tts.load_verifier(verifier.source, generator=generator, lanes=8)
  with pytest.raises(tts.InputError, match='this one is'):
    tts.load_verifier(verifier.source, generator=dataclasses.replace(
        generator, params=toy.decoder_params(ARCH, seed=1)))
  with pytest.raises(tts.InputError, match='is not a folder'):
    tts.load_verifier(tmp_path / 'none', generator=generator)
  with pytest.raises(tts.InputError, match='layers has 3'):
    tts.RewardModel.of_head(generator, latent.Head((3,)), {})


@pytest.fixture(scope='module', name='planted')
def fixture_planted(generator):
  """A verifier of random numbers, and texts with labels by it: the better half of a question's."""
  gen = np.random.default_rng(6)
  params = {'states': (gen.normal(0, 1, (2, ARCH.width, 2)) * [0.4, 1]).astype(np.float32),
            'bias': np.zeros(2, np.float32)}
  told = tts.RewardModel.of_head(generator, latent.Head((1, 2)), params)
  numbers = gen.choice([1, 3, 4, 7], (160, 4))
  questions = [f'{a};+{b};*{c};+{d}' for a, b, c, d in numbers]
  text = lambda: '\n'.join(''.join(gen.choice(list('1347+*='), gen.integers(2, 7)))
                           for _ in range(gen.integers(1, 4))) + '\n#### 14'
  texts = [[text() for _ in range(8)] for _ in questions]
  scores = np.array([[s.score for s in of] for of in tts.score(
      told, questions, texts, limits=LIMITS, progress=False)])
  return questions, texts, (scores > np.median(scores, axis=1, keepdims=True)).astype(float)


@pytest.mark.slow
def test_what_states_say_is_learnt(generator, planted, tmp_path):
  """On other questions than it was fitted on, where the log-probability says nothing."""
  questions, texts, labels = planted
  how = dict(layers=(1, 2), beside=('logprob',), limits=LIMITS, progress=False, l2=1e-4, epochs=20,
             learning_rate=0.3)
  learn, held_out = slice(0, 120), slice(120, None)
  with mock.patch.object(latent_fit, 'fit', side_effect=KeyboardInterrupt):
    with pytest.raises(KeyboardInterrupt):
      tts.train_latent(generator, questions[learn], texts[learn], labels[learn], tmp_path / 'v',
                       **how)
  with mock.patch.object(calls, 'values', side_effect=AssertionError('it was read before')):
    found = tts.train_latent(generator, questions[learn], texts[learn], labels[learn],
                             tmp_path / 'v', **how)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['v']
  again = tts.load_verifier(tmp_path / 'v', generator=generator)
  scores = lambda verifier: np.array([[s.score for s in of] for of in tts.score(
      verifier, questions[held_out], texts[held_out], limits=LIMITS, progress=False)])
  np.testing.assert_array_equal(scores(found), scores(again))
  only = tts.RewardModel.of_head(generator, latent.Head((1,), ('logprob',)), {
      'states': np.zeros((1, ARCH.width, 2), np.float32), 'bias': np.zeros(2, np.float32),
      'beside': np.array([[0, 1]], np.float32)})
  auc = lambda verifier: np.nanmean(statistics.auc_by_question(
      scores(verifier), labels[held_out] > 0, np.ones(labels[held_out].shape, bool)))
  assert auc(found) > 0.95 and auc(found) > auc(only) + 0.1


def test_features_are_what_the_head_reads(generator, planted, tmp_path):
  """The scores of a head by numpy of the features are those of the engine; blocks are kept."""
  questions, texts, labels = (x[:40] for x in planted)
  head = latent.Head((1, 2), latent.BESIDE)
  gen = np.random.default_rng(8)
  params = jax.tree.map(lambda x: gen.normal(0, 0.5, x.shape).astype(np.float32),
                        latent.zeros(head, ARCH.width))
  told = tts.RewardModel.of_head(generator, head, params)
  prompts = [generator.prompts.encode(q + '\n') for q in questions]
  ids = [[TOKENIZER.encode_solution(text) for text in of] for of in texts]

  def read(**how):
    reading = EngineVerifier(generator.mesh, Functions(latent_states.States, ARCH, head),
                             generator.params, generator.shape)
    return features.read(reading, latent.num_features(head, ARCH.width), prompts, ids, labels,
                         progress=False, **how)

  examples = read()
  assert examples.features.shape == (sum(len(x) for of in ids for x in of), 34)
  want = [s.score for of in tts.score(told, questions, texts, limits=LIMITS, progress=False)
          for s in of]
  np.testing.assert_allclose(1 / (1 + np.exp(-latent_fit.scores(params, examples))), want,
                             atol=3e-3)  # features are in half precision
  values, called = calls.values, []

  def ended(*args):
    called.append(args)
    if len(called) == 36:
      raise KeyboardInterrupt
    return values(*args)

  with mock.patch.object(calls, 'values', ended):
    with pytest.raises(KeyboardInterrupt):
      read(folder=tmp_path / 'work')
    kept = read(folder=tmp_path / 'work')
    assert len(called) == 36 + 40 - 32  # the first block was there
    read(folder=tmp_path / 'work', mark='another')
    assert len(called) == 36 + 40 - 32 + 40
  np.testing.assert_array_equal(kept.features, examples.features)
