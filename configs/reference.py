"""The study for one data-centre GPU: models of 5M and 70M parameters, pools of 2,048 samples.

  python -m launch.reproduce --config=configs/reference.py --workdir=/tmp/tts-reference
  python -m launch.reproduce --config=configs/reference.py --config.data.family=plan \
    --workdir=/tmp/tts-reference-plan

Meant for at most 25 minutes; no machine has run it whole yet (BUILD_NOTES.md, "A GPU").
`--config=configs/reference.py:short` is for 10 minutes; `:tiny` is every stage in miniature, for a
CPU.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.plan import PlanConfig
from tts.data.problems import DataConfig
from tts.models.arch import decoder
from tts.train.steps import TrainConfig
from tts.types import InputError


SIZES = ('full', 'short', 'tiny')


def get_config(size: str = 'full'):
  if size not in SIZES:
    raise InputError(f'--config=configs/reference.py:{size}: the sizes are {", ".join(SIZES)}')
  tiny = size == 'tiny'
  of = lambda *values: values[SIZES.index(size)]
  # Far larger numbers than in the CPU's studies. Of numbers to 9,999 a model of 5M parameters had
  # 0.91 right after 40M tokens, which leaves nothing to measure.
  sizes = (('lm', of(400_000, 100_000, 4_000)), ('verifier', of(20_000, 8_000, 200)),
           ('revision', of(8_000, 2_000, 80)), ('validation', of(1_000, 1_000, 20)),
           ('dev', of(2_000, 1_000, 20)), ('test', of(4_000, 2_000, 40)))

  def shape(layers, width, heads, **more):
    if tiny:
      layers, width, heads = (1 if layers < 12 else 2), width // 16, 2
      more = {'surprise_layer': 1} if more else {}
    return decoder(layers=layers, width=width, heads=heads, kv_heads=heads // 2,
                   dtype='bfloat16', **more)

  batch = lambda rows: 4 if tiny else rows
  lm = lambda arch, rate: config.ModelConfig(arch=arch, train=TrainConfig(
      learning_rate=rate, batch_size=batch(256), row_length=256,
      tokens=of(100_000_000, 40_000_000, 100_000)))
  judge = config.ModelConfig(
      init='large', arch=shape(12, 768, 12, surprise_layer=11),
      train=TrainConfig(learning_rate=1e-3, batch_size=batch(128), row_length=256,
                        steps=of(1200, 480, 20), eval_every=of(200, 120, 20)))
  stages = ('data', 'base', 'mid', 'large', 'labels', 'verifiers', 'search', 'difficulty', 'report')
  return config.to_config_dict(config.Experiment(
      name='reference',
      data=DataConfig(
          arith=ArithConfig(seed=6, max_ops=6, ranges=(1000, 10_000), max_value=99_999,
                           level_cuts=(1817, 3870, 9478, 32_052), sizes=sizes),
          plan=PlanConfig(seed=6, max_pairs=6, sizes=sizes)),
      models=config.Models(
          base=lm(shape(7, 256, 8), 2e-3), mid=lm(shape(9, 448, 8), 1.5e-3),
          large=lm(shape(11, 768, 12), 1e-3), prm=judge, orm=judge),
      limits=config.LimitsConfig(
          max_prompt_tokens=48, max_tokens=128, max_steps=10, max_step_tokens=20),
      labels=config.LabelsConfig(
          questions=of(16_000, 6_000, 160), samples=8, rollouts=4, block=of(1000, 1000, 20)),
      search=config.SearchConfig(
          questions=of(2000, 1000, 20), pool=of(256, 64, 4), large_samples=16,
          budgets=of((1, 4, 16, 64, 256), (1, 4, 16, 64), (4,)), block=of(500, 500, 20),
          max_rows=4096,
          # Every setting more is a program to compile.
          lookahead=((3, 'sqrt'),) if tiny else ((1, 'sqrt'), (3, 4), (3, 'sqrt')),
          lookahead_budgets=of((4, 16, 64, 256), (4, 16, 64), (4,)),
          lookahead_questions=of(500, 500, 20)),
      difficulty=config.DifficultyConfig(samples=of(2048, 256, 20), block=of(250, 250, 20)),
      stage_seconds=tuple(zip(stages, of(
          (160, 110, 60, 330, 120, 240, 300, 150, 30), (80, 60, 25, 120, 60, 90, 120, 30, 15),
          (5, 5, 5, 5, 15, 20, 60, 15, 10)))),
  ))
