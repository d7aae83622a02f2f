"""The long study: five training seeds by five benchmark seeds of a task family, a folder for each
of the latter.

  python -m launch.reproduce --config=configs/arithmetic.py --workdir=/tmp/tts-arith-11 \
    --config.data.arith.seed=11

and so for 12 to 15; the other family is --config.data.family=plan --config.data.plan.seed=11 and so
on. --config.seeds=(3,4) does some of the training seeds. What is finished is published by

  python -m benchmarks.seeds --workdirs=/tmp/tts-arith-11,... --study=seeds/arith

beside the cells that are there, so that a study may be done piece by piece on several machines.
A folder takes some two hours of one CPU core; two at a time are best, each with
--config.mesh.cpu_devices=1. What to expect: docs/results.md.
Everything was chosen on `dev` of benchmark seed 0 (docs/log/arithmetic.md, "A pilot for five
seeds"). The main verifier is a head on the generator's own states. The others guide beam search and
score the pools: log-probability, the paper's PRM on a copy of the base, and one on 14 times the
parameters, which is an ablation: it costs more than the generator.
"""

from tts import config, presets
from tts.data.arith import ArithConfig
from tts.data.plan import PlanConfig
from tts.data.problems import DataConfig
from tts.models.arch import decoder
from tts.train.steps import TrainConfig

_QUICKSTART = presets.module('quickstart')


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
  judge = lambda init, arch, steps: config.ModelConfig(init=init, arch=arch, train=TrainConfig(
      learning_rate=3e-3, batch_size=16, row_length=96, steps=steps, eval_every=100))
  # Small: with seven in ten of a chain's answers right, more changes little.
  reviser = lambda length, tokens: _QUICKSTART.revised(base, length, tokens, 3840 // length)
  its_judge = lambda init, length: _QUICKSTART.revision_judge(init, length, 3840 // length, 150)
  return config.to_config_dict(config.Experiment(
      name='arithmetic',
      seeds=(0, 1, 2, 3, 4),
      verifier='latent',
      data=DataConfig(
          arith=ArithConfig(seed=11, max_ops=5, ranges=(5, 10, 20), max_value=199),
          plan=PlanConfig(seed=11, max_pairs=5)),
      models=config.Models(
          base=lm(base, 1e-2), mid=lm(mid, 5e-3), large=lm(large(3), 3e-3),
          latent=config.ModelConfig(init='base'), logprob=config.ModelConfig(init='base'),
          # The paper's two: a value head on a copy of the base, of steps and of whole solutions.
          prm_plain=judge('base', base, 800), orm=judge('base', base, 800),
          prm=judge('large', large(4, surprise_layer=3), 400),
          revision=reviser(480, 1_000_000), revision_control=reviser(120, 1_000_000),
          revision_restem=reviser(480, 400_000), revision_orm=its_judge('revision', 480),
          revision_orm_alone=its_judge('revision', 120),
          control_orm=its_judge('revision_control', 120)),
      limits=config.LimitsConfig(
          max_prompt_tokens=24, max_tokens=72, max_steps=8, max_step_tokens=12),
      labels=config.LabelsConfig(questions=4000, samples=8, rollouts=2, block=200),
      search=config.SearchConfig(
          questions=400, pool=64, budgets=(1, 2, 4, 8, 16, 32, 64), ablation_budgets=(4, 16, 64),
          methods=('beam', 'lookahead', 'dvts(beam_width=4)', 'rebase', 'particle_filter',
                   'particle_filter_entropic'),
          lookahead=((1, 'sqrt'), (3, 'sqrt')), lookahead_budgets=(4, 16, 64),
          lookahead_questions=400),
      revision=config.RevisionConfig(
          enabled=True, questions=800, samples=16, orm_questions=300, orm_chains=(4, 4), asked=100,
          chains=((1, 16), (4, 4), (16, 1)), searched=((4, 16),)),
      difficulty=config.DifficultyConfig(samples=64),
      stage_seconds=(('data', 8), ('base', 40), ('mid', 70), ('large', 120), ('labels', 55),
                     ('verifiers', 100), ('revision', 90), ('revision_orms', 70), ('restem', 30),
                     ('search', 600), ('difficulty', 15), ('revise', 60), ('report', 30)),
  ))
