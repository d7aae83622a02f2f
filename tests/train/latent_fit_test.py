"""A head that was planted is found, within questions, and not what only tells questions apart."""

import numpy as np
import pytest
from scipy import special

from tts.eval.measures import statistics
from tts.models import latent
from tts.train import latent_fit
from tts.train.latent_config import FitConfig
from tts.train.latent_fit import Examples
from tts.types import InputError

HEAD, WIDTH = latent.Head((1, 3), ('logprob',)), 8
SIZE = latent.num_features(HEAD, WIDTH)
GEN = np.random.default_rng(11)
PLANTED = {'states': GEN.normal(0, 1.2, (2, WIDTH, 2)), 'beside': np.zeros((1, 2)),
           'bias': np.array([-1.0, 0.3])}
SCALES = 10.0 ** GEN.uniform(-2, 2, SIZE)  # of very different sizes, as states are
PLANTED['states'] /= SCALES[:-1].reshape(2, WIDTH, 1)


def made(seed, questions=80, each=8, noise=0.0):
  """Solutions of 5 to 30 tokens; the better half of each question's, by the planted head, right.

  One feature says how hard the question is, and nothing of its solutions.
  """
  gen = np.random.default_rng(seed)
  lengths = gen.integers(5, 30, questions * each)
  ends = np.cumsum(lengths)
  question = np.repeat(np.arange(questions), each)
  features = gen.normal(0, 1, (ends[-1], SIZE)) + 0.3 * gen.normal(
      0, 1, (len(ends), SIZE)).repeat(lengths, 0)
  features = (features * SCALES).astype(np.float32)
  found = Examples(features, ends - lengths, ends, question, np.zeros(len(ends)))
  score = latent_fit.scores(PLANTED, found) + noise * gen.normal(0, 1, len(ends))
  right = score > np.median(score.reshape(questions, each), axis=1).repeat(each)
  return Examples(features, found.start, found.end, question, right.astype(np.float32))


def auc(score, examples):
  shape = (examples.question.max() + 1, -1)
  right = examples.label.reshape(shape) > 0.5
  return np.nanmean(statistics.auc_by_question(score.reshape(shape), right, np.ones_like(right)))


LEARN, HELD_OUT = made(1, questions=400), made(2)


def test_a_planted_head_is_found():
  """Its gates too: without them it is found in part, by the log-probability by chance."""
  gated = latent_fit.fit(HEAD, WIDTH, LEARN, FitConfig(l2=1e-4, epochs=30, learning_rate=0.1))
  plain = latent_fit.fit(HEAD, WIDTH, LEARN, FitConfig(l2=1e-4, epochs=0))
  of = lambda params: auc(latent_fit.scores(params, HELD_OUT), HELD_OUT)
  assert of(gated) > 0.95 and of(gated) > of(plain) + 0.03
  logprob = [HELD_OUT.features[a:b, -1].mean() for a, b in zip(HELD_OUT.start, HELD_OUT.end)]
  assert abs(auc(np.array(logprob), HELD_OUT) - 0.5) < 0.06
  assert not plain['states'][..., 0].any() and plain['states'].dtype == np.float32


def test_scores_are_probabilities():
  params = latent_fit.fit(HEAD, WIDTH, LEARN, FitConfig(epochs=0))
  chance = special.expit(latent_fit.scores(params, HELD_OUT))
  order = np.argsort(chance)
  for part in np.array_split(order, 4):
    assert chance[part].mean() == pytest.approx(HELD_OUT.label[part].mean(), abs=0.12)


def test_how_hard_a_question_is_teaches_nothing():
  """Labels that differ between questions alone have no pair; those within weigh the same."""
  questions = np.repeat(np.arange(2), 3)
  spans = np.arange(6)
  features = np.random.default_rng(0).normal(0, 1, (6, SIZE))
  fit = lambda label, features=features: latent_fit.fit(
      HEAD, WIDTH, Examples(features, spans, spans + 1, questions, np.array(label)),
      FitConfig(epochs=0))
  with pytest.raises(InputError, match='different labels'):
    fit([0, 0, 0, 1, 1, 1])
  moved = features + 5 * questions[:, None]
  one, other = fit([0, 1, 1, 1, 0, 0]), fit([0, 1, 1, 1, 0, 0], moved)
  np.testing.assert_allclose(one['states'] / np.linalg.norm(one['states']),
                             other['states'] / np.linalg.norm(other['states']), atol=0.01)


def test_beginnings_share_their_tokens():
  """Labels of steps: a batch reads a solution once, and gives what one of its copies would."""
  start = np.array([0, 0, 0, 9, 9])
  end = np.array([3, 6, 9, 12, 20])
  label = np.array([0.2, 0.5, 1.0, 0.0, 0.7])
  features = np.random.default_rng(3).normal(0, 1, (20, SIZE)).astype(np.float32)
  shared = Examples(features, start, end, np.zeros(5, int), label)
  copied = np.concatenate([features[a:b] for a, b in zip(start, end)])
  ends = np.cumsum(end - start)
  apart = Examples(copied, ends - (end - start), ends, np.zeros(5, int), label)
  one, other = (latent_fit.scores(latent_fit.fit(
      HEAD, WIDTH, x, FitConfig(epochs=0, l2=0.01)), shared) for x in (shared, apart))
  np.testing.assert_allclose(one, other, rtol=1e-3)
  assert np.argmax(one) == 2
  gen = np.random.default_rng(4)
  params = {'gate': gen.normal(size=SIZE), 'value': gen.normal(size=SIZE), 'open': np.zeros(())}
  scale = {name: np.ones(SIZE) for name in ('centre', 'gate', 'value')}

  def loss(examples):
    batch, = latent_fit._batches(examples, latent_fit._pairs(examples), FitConfig(), 0)
    batch = batch(examples.features)
    return len(batch['features']), float(latent_fit._loss(params, scale, np.zeros(SIZE), batch))

  (few, once), (many, copies) = loss(shared), loss(apart)
  assert few == 64 == many and once == pytest.approx(copies, rel=1e-5)


def test_it_goes_on_where_it_was_ended(tmp_path):
  config = FitConfig(epochs=3)
  want = latent_fit.fit(HEAD, WIDTH, HELD_OUT, config)
  seen = []

  def ended(epoch, loss):
    seen.append(epoch)
    if epoch == 2 and seen.count(2) == 1:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    latent_fit.fit(HEAD, WIDTH, HELD_OUT, config, tmp_path, ended)
  found = latent_fit.fit(HEAD, WIDTH, HELD_OUT, config, tmp_path, ended)
  assert seen == [0, 1, 2, 0, 3]
  for name, x in want.items():
    np.testing.assert_array_equal(found[name], x)
  latent_fit.fit(HEAD, WIDTH, HELD_OUT, FitConfig(epochs=1, seed=1), tmp_path, ended)
  assert seen[5:] == [0, 1]  # of another config nothing is taken


def test_what_is_no_good_is_said():
  fields = {name: getattr(HELD_OUT, name) for name in ('start', 'end', 'question', 'label')}
  with pytest.raises(InputError, match='an item has no token'):
    latent_fit.fit(HEAD, WIDTH, Examples(HELD_OUT.features, **fields | {'end': fields['start']}))
  with pytest.raises(InputError, match=f'reads .tokens, {SIZE}'):
    latent_fit.fit(HEAD, WIDTH, Examples(HELD_OUT.features[:, 1:], **fields))
