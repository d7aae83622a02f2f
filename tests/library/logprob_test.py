"""The verifier of `examples.logprob`: the mean log-probability that the generator itself had."""

import dataclasses

import numpy as np

import tts
from examples import logprob
from tests import toy
from tts import parallel
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.models.functions import Functions
from tts.models.generator import Generator

TOKENIZER = Tokenizer.train(['Problem: 3;+4;*2\nSolution:\n3+4=7\n7*2=14\n#### 14\n'], 40)
ARCH = dataclasses.replace(toy.ARCH, vocab_size=TOKENIZER.vocab_size, heads=('lm',))


def test_a_score_is_of_the_mean_log_probability():
  mesh, params = parallel.make_mesh(1), toy.decoder_params(ARCH)
  generator = tts.LanguageModel(Functions(Generator, ARCH), params, mesh,
                                Prompts(PromptConfig(), TOKENIZER), toy.SHAPE, ARCH)
  verifier = tts.RewardModel(Functions(logprob.MeanLogprob, ARCH), params, mesh, TOKENIZER,
                             toy.SHAPE, arch=ARCH)
  limits = tts.Limits(max_prompt_tokens=64, max_tokens=40, max_steps=5, max_step_tokens=12)
  found = list(tts.sample(generator, ['3;+4;*2', '7;*3'], 6, verifier=verifier, limits=limits,
                          progress=False))
  scores = [[s.score for s in result.solutions] for result in found]
  wanted = [[1 / (1 + np.exp(-logprob.SLOPE * s.logprob / s.num_tokens)) for s in result.solutions]
            for result in found]
  np.testing.assert_allclose(scores, wanted, rtol=1e-4)
  assert len(np.unique(scores)) > 6 and found[0].verifier_tokens > 0
  assert all(len(s.step_scores) > 0 for r in found for s in r.solutions)
