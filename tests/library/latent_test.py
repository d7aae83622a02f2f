"""A latent verifier in `tts.sample`, `tts.search` and `tts.score`: one text, one score, no reading."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import tts
from tests import toy
from tts import parallel
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.engine.shape import Shape
from tts.eval.measures import flops
from tts.models import latent
from tts.models.functions import Functions
from tts.models.generator import Generator
from tts.train import latent_folder

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
