"""The demonstration: a small model, its verifier and the search, on a laptop.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart

Seven to fifteen minutes on two CPU cores, a quarter less with
--config.revision.enabled=False. docs/results.md has the numbers to expect.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.problems import DataConfig
from tts.models.arch import decoder
from tts.train.steps import TrainConfig


def revised(arch, length, tokens, batch_size, **train):
  """The base finetuned to revise, in rows of `length` places."""
  return config.ModelConfig(init='base', arch=arch, train=TrainConfig(
      learning_rate=1e-2, batch_size=batch_size, row_length=length, tokens=tokens, **train))


def revision_judge(init, length, batch_size, steps, **train):
  """A verifier of what the model `init` writes."""
  return config.ModelConfig(
      init=init, arch=decoder(layers=3, width=32, heads=4, surprise_layer=2), train=TrainConfig(
          learning_rate=3e-3, batch_size=batch_size, row_length=length, steps=steps, **train))


def get_config():
  tokens = 1_800_000
  base = decoder(layers=2, width=32, heads=4)
  # 14x the base's parameters, and the same with one layer more for its verifier.
  large = lambda layers, **more: decoder(layers=layers, width=112, heads=4, kv_heads=2,
                                         mlp_width=352, **more)
  lm = lambda arch, rate: config.ModelConfig(
      arch=arch, train=TrainConfig(learning_rate=rate, tokens=tokens))
  judge = lambda init, arch, steps: config.ModelConfig(init=init, arch=arch, train=TrainConfig(
      learning_rate=3e-3, batch_size=16, row_length=96, steps=steps, eval_every=100))
  off = config.ModelConfig(enabled=False)
  # Small: what revisions take in a study is in configs/arithmetic.py.
  reviser = lambda length: revised(base, length, 1_000_000, 3200 // length)
  its_judge = lambda init, length: revision_judge(init, length, 3200 // length, 100)
  return config.to_config_dict(config.Experiment(
      name='quickstart',
      verifier='latent',
      data=DataConfig(arith=ArithConfig(
          seed=8, max_ops=5, ranges=(5, 10, 20), max_value=199)),
      models=config.Models(
          base=lm(base, 1e-2), mid=off, large=lm(large(3), 3e-3),
          # The main verifier is a head on the base's own hidden states, next to no cost. Beside it:
          # how likely the base finds a step; the paper's, a value head on a copy of the base, of
          # steps and of whole solutions; and one on the large model, dearer than the generator.
          latent=config.ModelConfig(init='base'), logprob=config.ModelConfig(init='base'),
          prm_plain=judge('base', base, 800), orm=judge('base', base, 800),
          prm=judge('large', large(4, surprise_layer=3), 400),
          revision=reviser(425), revision_control=reviser(100), revision_restem=off,
          revision_orm=its_judge('revision', 425), revision_orm_alone=its_judge('revision', 100),
          control_orm=its_judge('revision_control', 100)),
      limits=config.LimitsConfig(
          max_prompt_tokens=20, max_tokens=64, max_steps=7, max_step_tokens=12),
      labels=config.LabelsConfig(questions=4000, samples=8, rollouts=2, block=200),
      revision=config.RevisionConfig(
          enabled=True, questions=800, samples=16, orm_questions=200, orm_chains=(4, 4), asked=60,
          chains=((1, 8), (4, 4), (8, 1)), searched=((4, 16),)),
      search=config.SearchConfig(
          methods=('beam', 'lookahead', 'dvts(beam_width=4)', 'rebase', 'particle_filter',
                   'particle_filter_entropic'),
          lookahead=((1, 'sqrt'), (3, 'sqrt')), lookahead_budgets=(16,), lookahead_questions=400),
      stage_seconds=(('data', 8), ('base', 31), ('large', 74), ('labels', 45),
                     ('verifiers', 80), ('revision', 65), ('revision_orms', 40),
                     ('search', 130), ('difficulty', 17), ('revise', 60), ('report', 32)),
  ))
