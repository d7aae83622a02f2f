"""A latent verifier in the stages: what it says while its generator writes, and what it is charged."""

import types

import jax
import numpy as np
import pytest

from tests import toy
from tts import config, parallel, rng
from tts.engine import shape
from tts.engine.engine_models import EngineVerifier
from tts.engine.shape import Shape
from tts.library import features
from tts.model_config import ModelConfig, Models
from tts.models import latent, latent_states
from tts.models.functions import Functions
from tts.models.latent import Head
from tts.runs.blocks import Block
from tts.runs.models_at_work import Workers
from tts.runs.record_rows import RowMaker
from tts.runs.run import Model
from tts.runs.workdir import Workdir
from tts.sampling.decode import Limits
from tts.sampling.logits import SamplingConfig
from tts.stages import sample_pool, search, train, train_latent
from tts.train import latent_folder
from tts.train.latent_fit import Examples
from tts.train.packed import Labelled
from tts.types import Problem, Strategy

HEAD = Head((1, 2), ('logprob',))
TOKENIZER = types.SimpleNamespace(  # a token is a number
    decode=lambda tokens: ' '.join(map(str, tokens)),
    decode_batch=lambda batch: [' '.join(map(str, tokens)) for tokens in batch])
PROMPTS = [[4, 9, 6], [5, 8, 4, 7]]


@pytest.fixture(scope='module')
def workers():
  """Of a run with two heads: one is the main verifier, the other is read."""
  params, gen = toy.decoder_params(), np.random.default_rng(3)
  head = jax.tree.map(lambda x: gen.normal(0, 0.5, x.shape).astype(np.float32),
                      latent.zeros(HEAD, toy.ARCH.width))
  judge = lambda name: Model(name, toy.ARCH, params | {latent.NAME: head}, '', make=latent.Verifier,
                             head=HEAD)
  models = {'base': Model('base', toy.ARCH, params, ''), 'latent': judge('latent'),
            'other': judge('other')}
  run = types.SimpleNamespace(
      mesh=parallel.make_mesh(2), seed=0, main='latent', model=models.get,
      prompts=types.SimpleNamespace(encode=lambda question: [1], tokenizer=None),
      limits=Limits(12, 4, 6, toy.ROLES), rows=RowMaker(TOKENIZER, toy.ROLES, 'exact', 0),
      experiment=config.Experiment(verifier='latent', models=Models(
          latent=ModelConfig(init='base'), other=ModelConfig(learns='states', init='base'))))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shape, 'of', lambda *_: Shape(lanes=6, write=3, readers=5, tile=4))
    yield Workers(run)


def block():
  ids = [f'p{b}' for b in range(len(PROMPTS))]
  return Block([Problem(i, '', answer='7') for i in ids], PROMPTS, rng.problem_words(ids))


def test_scores_of_a_pool_are_those_of_reading_it(workers):
  """The main head scores while its generator writes, an equal one reads; charges are the same."""
  asked = sample_pool.scored(workers, 'base', 'test', 4, SamplingConfig(), ['latent', 'other'], 'x')
  found, = workers.ask(asked, [block()])
  rows = [row for of in found for row in of]
  assert len(rows) == 8 and len({row['answer_score'] for row in rows}) > 1
  for row in rows:
    assert row['step_scores'] == pytest.approx(row['other_scores']['other'], abs=2e-6)
    assert len(row['step_scores']) == len(row['step_ends'])
    assert row['counts']['latent'] == row['counts']['other'] == row['counts']['base']
  counted = workers.computed()
  assert counted['other', 'entered'] == sum(map(len, PROMPTS)) + sum(
      len(t) for of in found for t in {tuple(row['tokens']) for row in of})
  assert not counted['latent', 'computed']


def test_a_search_reads_nothing(workers):
  how, asked = Strategy.of('beam', 4, beam_width=2), block()
  trees, = workers.ask(search.searcher(workers, how, 'latent', 'test'), [asked])
  generator = workers.generator('base', SamplingConfig(), 'latent')
  assert generator.reader.entered and generator.writer.entered
  for b, (problem, tree) in enumerate(zip(asked.problems, trees)):
    assert list(tree.entered) == [tree.entered[0], 0] and tree.entered[0] > 0
    rows = workers.run.rows.tree_rows(problem, how, tree, verifier='latent', split='', stream='test',
                                      prompt_tokens=len(PROMPTS[b]), latent=True)
    for row in rows:
      assert row['counts']['latent'] == row['counts']['base']
      assert row['answer_score'] == row['step_scores'][-1]


def test_steps_have_their_own_labels():
  """Each beginning of a solution is an item of its own, over the solution's tokens."""
  of = lambda name, ends, labels: Labelled(name, [1], [0] * ends[-1], ends, labels)
  labelled = [of('a', [2, 5], [0.5, 1.0]), of('a', [3], [0.0]), of('b', [1, 2, 4], [0.1, 0.2, 0.0])]
  whole = Examples(np.zeros((12, 2)), np.array([0, 5, 8]), np.array([5, 8, 12]),
                   np.array([0, 0, 1]), np.array([1.0, 0.0, 0.0]))
  found = train_latent.steps(whole, labelled)
  assert found.start.tolist() == [0, 0, 5, 8, 8, 8] and found.end.tolist() == [2, 5, 8, 9, 10, 12]
  assert found.question.tolist() == [0, 0, 0, 1, 1, 1]
  assert found.label == pytest.approx([0.5, 1, 0, 0.1, 0.2, 0])


def test_what_reads_states_starts_from_the_model_that_writes():
  with pytest.raises(ValueError, match="other.init is 'scratch'.*set it to base"):
    Models(other=ModelConfig(learns='states'))


def test_states_that_are_kept_while_writing_are_those_of_reading(workers):
  """Labels' samples carry what a head learns from; what is lost is read to the same numbers."""
  asked = sample_pool.sampler(workers, 'base', 'test', 4, SamplingConfig(), states=HEAD)
  found, = workers.ask(asked, [block()])
  texts = [[s.tokens.tolist() for s in of] for of in found]
  kept = [np.concatenate([s.values for s in of]) for of in found]
  assert kept[0].dtype == np.float16 and kept[0].shape[1] == latent.num_features(
      HEAD, toy.ARCH.width)
  reading = EngineVerifier(workers.run.mesh, Functions(latent_states.States, toy.ARCH, HEAD),
                           toy.decoder_params(), shape.of(toy.ARCH))
  read = lambda **how: features.read(reading, kept[0].shape[1], PROMPTS, texts,
                                     [[0.0] * 4] * 2, progress=False, **how).features
  again = read()
  assert np.abs(np.concatenate(kept).astype(float) - again.astype(float)).max() < 2e-3
  known = read(known=lambda i: kept[0] if i == 0 else None)
  assert (known[:len(kept[0])] == kept[0]).all()
  assert (known[len(kept[0]):] == again[len(kept[0]):]).all()
  assert (read(known=lambda i: kept[i][:-1]) == again).all()  # of other texts


def test_a_head_that_is_there_is_not_fitted_again(tmp_path):
  """Unless a file of it is not as it was: then it is moved away."""
  folder = tmp_path / 'models' / 'latent'
  latent_folder.save(folder, HEAD, latent.zeros(HEAD, toy.ARCH.width), 'g', {'fingerprint': 'x'})
  (tmp_path / 'run.json').write_text('{}')
  run = types.SimpleNamespace(workdir=Workdir(tmp_path), experiment=config.Experiment())
  assert train.is_there(run, 'latent', 'x') and train.is_there(run, 'latent', 'x')
  next((folder / 'params').rglob('0.0*')).write_bytes(b'0')
  assert not train.is_there(run, 'latent', 'x')
  assert not folder.exists() and list((tmp_path / 'stale' / 'models').iterdir())
