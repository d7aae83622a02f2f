"""The long study on two CPU cores, one task family a run.

  python -m launch.reproduce --config=configs/arithmetic.py --workdir=/tmp/tts-arith
  python -m launch.reproduce --config=configs/arithmetic.py --config.data.family=plan \
    --workdir=/tmp/tts-plan

At most 120 minutes each (78, half of it beside another run). What to expect: results/arithmetic/.
Revisions are a run of their own over the same models, at most 60 minutes: the same command and
workdir with --config.revision.enabled=True.
Everything was chosen on `dev` of the family `arith` under another seed (BUILD_NOTES.md,
"Verifier"); `plan` runs as it comes.
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
                                         mlp_width=368, **more)
  # 4.28x: level with just over 4, 16 and 64 of the base's answers at the paper's three R.
  mid = decoder(layers=3, width=64, heads=4, kv_heads=2, mlp_width=184)
  lm = lambda arch, rate: config.ModelConfig(
      arch=arch, train=TrainConfig(learning_rate=rate, tokens=tokens))
  # As in the quickstart, for longer.
  judge = config.ModelConfig(
      init='large', arch=large(4, surprise_layer=3),
      train=TrainConfig(learning_rate=3e-3, batch_size=16, row_length=96, steps=600,
                        eval_every=100))
  # Of 1,800,000 places none was longer than a question and its answer, so contexts take more.
  reviser = lambda length, tokens: _QUICKSTART.revised(
      base, length, tokens, 3840 // length, eval_every=500)
  its_judge = lambda init, length: _QUICKSTART.revision_judge(
      init, length, 16, 600, eval_every=100)
  return config.to_config_dict(config.Experiment(
      name='arithmetic',
      data=DataConfig(
          arith=ArithConfig(seed=5, max_ops=5, ranges=(5, 10, 20), max_value=199),
          # Six pairs, so that the large model leaves something to win on easy questions too.
          plan=PlanConfig(seed=6, max_pairs=6)),
      models=config.Models(
          base=lm(base, 1e-2), mid=lm(mid, 5e-3), large=lm(large(3), 3e-3), prm=judge, orm=judge,
          orm_more=judge,
          # The paper's: the base model itself with a value head, nothing else.
          prm_plain=config.ModelConfig(
              init='base', arch=base,
              train=TrainConfig(learning_rate=3e-3, batch_size=16, row_length=96, steps=1600,
                                eval_every=200)),
          revision=reviser(480, 8_000_000), revision_control=reviser(128, 8_000_000),
          # Answers that were cut off may stand in contexts here: five of the longest turns.
          revision_restem=reviser(488, 3_000_000), revision_orm=its_judge('revision', 488),
          revision_orm_alone=its_judge('revision', 128),
          control_orm=its_judge('revision_control', 128)),
      limits=config.LimitsConfig(
          max_prompt_tokens=24, max_tokens=72, max_steps=8, max_step_tokens=12),
      labels=config.LabelsConfig(questions=7500, samples=8, rollouts=2, block=250),
      search=config.SearchConfig(
          questions=2000, pool=64, large_samples=16, budgets=(1, 4, 16, 64), deep_questions=500,
          deep_pool=256, deep_budgets=(256,), lookahead_budgets=(4, 16, 64, 256),
          lookahead_questions=500),
      revision=config.RevisionConfig(
          questions=3600, samples=24, temperature=1.2, block=100, orm_questions=1000, asked=300,
          chains=((2, 64), (8, 16), (64, 4)), searched=((4, 16), (4, 64))),
      difficulty=config.DifficultyConfig(samples=64),
      stage_seconds=(('data', 20), ('base', 60), ('mid', 75), ('large', 150), ('labels', 200),
                     ('verifiers', 500), ('revision', 1000), ('revision_orms', 900),
                     ('restem', 200), ('search', 2800), ('difficulty', 100), ('revise', 1200),
                     ('report', 90)),
  ))
