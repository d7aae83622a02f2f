"""The demonstration: a small model, its verifier and the search, on a laptop.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart

Fifteen to twenty minutes on two CPU cores, a third less with
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
  # 14x the base's parameters, and the same with one layer more for the verifier.
  large = lambda layers, **more: decoder(layers=layers, width=112, heads=4, kv_heads=2,
                                         mlp_width=352, **more)
  # 4.28x: level with just over 4, 16 and 64 of the base's answers at the paper's three R.
  mid = decoder(layers=3, width=64, heads=4, kv_heads=2, mlp_width=184)
  lm = lambda arch, rate: config.ModelConfig(
      arch=arch, train=TrainConfig(learning_rate=rate, tokens=tokens))
  # The large language model, left as it is, and one layer above it that is told how likely it
  # found each token. What a verifier can tell apart is bounded by what its language model knows:
  # on the base model's it ties with the log-probability (BUILD_NOTES.md, "Verifier").
  judge = config.ModelConfig(
      init='large', arch=large(4, surprise_layer=3),
      train=TrainConfig(learning_rate=3e-3, batch_size=16, row_length=96, steps=400,
                        eval_every=100))
  # Small: what revisions take in a study is in configs/arithmetic.py.
  reviser = lambda length, tokens: revised(base, length, tokens, 3200 // length)
  its_judge = lambda init, length: revision_judge(init, length, 3200 // length, 150)
  return config.to_config_dict(config.Experiment(
      name='quickstart',
      data=DataConfig(arith=ArithConfig(
          seed=3, max_ops=5, ranges=(5, 10, 20), max_value=199)),
      models=config.Models(
          base=lm(base, 1e-2), mid=lm(mid, 5e-3), large=lm(large(3), 3e-3), prm=judge, orm=judge,
          # The paper's: the base model itself with a value head, nothing else.
          prm_plain=config.ModelConfig(
              init='base', arch=base,
              train=TrainConfig(learning_rate=3e-3, batch_size=16, row_length=96, steps=800,
                                eval_every=200)),
          revision=reviser(425, 1_000_000), revision_control=reviser(100, 1_000_000),
          revision_restem=reviser(425, 400_000), revision_orm=its_judge('revision', 425),
          revision_orm_alone=its_judge('revision', 100),
          control_orm=its_judge('revision_control', 100)),
      limits=config.LimitsConfig(
          max_prompt_tokens=20, max_tokens=64, max_steps=7, max_step_tokens=12),
      labels=config.LabelsConfig(questions=4000, samples=8, rollouts=2, block=200),
      revision=config.RevisionConfig(
          enabled=True, questions=800, samples=16, orm_questions=300, orm_chains=(4, 4), asked=100,
          chains=((1, 16), (4, 4), (16, 1)), searched=((4, 16),)),
      # Every setting more is a program to compile: 15 seconds.
      search=config.SearchConfig(lookahead=((1, 'sqrt'), (3, 'sqrt')), lookahead_budgets=(16,),
                                 lookahead_questions=400),
      stage_seconds=(('data', 15), ('base', 45), ('mid', 60), ('large', 110), ('labels', 70),
                     ('verifiers', 130), ('revision', 120), ('revision_orms', 90), ('restem', 30),
                     ('search', 110), ('difficulty', 60), ('revise', 90), ('report', 15)),
  ))
