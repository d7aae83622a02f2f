"""Every stage in seconds, for tests: the models learn next to nothing.

  python -m launch.reproduce --config=configs/smoke.py --workdir=/tmp/tts-smoke

About two minutes on two CPU cores, nearly all of it compiling.
`--config=configs/smoke.py:revisions` has revisions too, and takes twice as long.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.problems import DataConfig
from tts.models.arch import decoder
from tts.train.steps import TrainConfig
from tts.types import InputError


def get_config(what: str = ''):
  if what not in ('', 'revisions'):
    raise InputError(f'--config=configs/smoke.py:{what}: nothing or `revisions` stands there')
  train = TrainConfig(learning_rate=1e-2, steps=200, checkpoint_every=50)
  value = TrainConfig(learning_rate=3e-3, steps=60, eval_every=20, checkpoint_every=20)
  base = decoder(layers=1, width=16, heads=2, kv_heads=1, mlp_width=32)
  # One shape for both larger models: their programs are compiled once.
  larger = decoder(layers=1, width=32, heads=2, kv_heads=1, mlp_width=64)
  verifier = decoder(layers=2, width=16, heads=2, kv_heads=1, mlp_width=32, surprise_layer=1)
  # A row holds five prompts and five solutions.
  revised = config.ModelConfig(init='base', arch=base, train=TrainConfig(
      learning_rate=3e-3, row_length=288, steps=40, checkpoint_every=20))
  judge = lambda init, length: config.ModelConfig(init=init, arch=verifier, train=TrainConfig(
      learning_rate=3e-3, row_length=length, steps=20, checkpoint_every=10))
  return config.to_config_dict(config.Experiment(
      name='smoke',
      data=DataConfig(arith=ArithConfig(
          max_ops=2, ranges=(5, 10), max_value=30,
          sizes=(('lm', 400), ('verifier', 60), ('revision', 60), ('validation', 20),
                 ('dev', 20), ('test', 40)))),
      models=config.Models(
          base=config.ModelConfig(arch=base, train=train),
          mid=config.ModelConfig(arch=larger, train=train),
          large=config.ModelConfig(arch=larger, train=train),
          prm=config.ModelConfig(init='base', arch=verifier, train=value),
          orm=config.ModelConfig(init='base', arch=verifier, train=value),
          prm_plain=config.ModelConfig(enabled=False, init='base', arch=base, train=value),
          orm_more=config.ModelConfig(enabled=False, init='base', arch=verifier, train=value),
          revision=revised, revision_control=revised, revision_restem=revised,
          revision_orm=judge('revision', 288), revision_orm_alone=judge('revision', 128),
          control_orm=judge('revision_control', 128)),
      limits=config.LimitsConfig(
          max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16),
      labels=config.LabelsConfig(questions=60, samples=2, rollouts=2, block=20),
      revision=config.RevisionConfig(
          enabled=what == 'revisions', questions=60, samples=8, block=20, orm_questions=40,
          orm_chains=(3, 3), asked=16, chains=((2, 6), (4, 2)), searched=((2, 4),)),
      search=config.SearchConfig(questions=24, pool=4, large_samples=2, budgets=(1, 4), block=8,
                                 trees=2, lookahead=((1, 'sqrt'),), lookahead_budgets=(8,),
                                 lookahead_questions=8),
      difficulty=config.DifficultyConfig(samples=8, block=8),
      stage_seconds=(('data', 5), ('base', 10), ('mid', 5), ('large', 10), ('labels', 10),
                     ('verifiers', 15), ('search', 20), ('difficulty', 5), ('report', 10)),
  ))
