"""The study for one data-centre GPU: models of 5M and 70M parameters, pools of 2,048 samples.

  python -m launch.reproduce --config=configs/reference.py --workdir=/tmp/tts-reference
  python -m launch.reproduce --config=configs/reference.py --config.data.family=plan \
    --workdir=/tmp/tts-reference-plan

Meant for at most 25 minutes; no such machine has run it yet. `--config=configs/reference.py:tiny`
is every stage of it in miniature, for a CPU.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.plan import PlanConfig
from tts.data.problems import DataConfig
from tts.models.transformer import Arch
from tts.train.steps import TrainConfig
from tts.types import InputError


def get_config(size: str = 'full'):
  if size not in ('full', 'tiny'):
    raise InputError(f'--config=configs/reference.py:{size}: the sizes are full and tiny')
  tiny = size == 'tiny'
  # Longer chains over larger numbers than the CPU's studies, and more of them: these models learn
  # configs/arithmetic.py's problems nearly perfectly.
  some = lambda count: max(count // 100, 20) if tiny else count
  sizes = tuple((split, some(count)) for split, count in (
      ('lm', 400_000), ('verifier', 20_000), ('revision', 8_000), ('validation', 1_000),
      ('dev', 2_000), ('test', 4_000)))

  def shape(layers, width, heads, **more):
    if tiny:
      layers, width, heads = (1 if layers < 12 else 2), width // 16, 2
      more = {'surprise_layer': 1} if more else {}
    return Arch(0, layers, width, heads, heads // 2, width // heads, 4 * width, dtype='bfloat16',
                **more)

  batch = lambda rows: 4 if tiny else rows
  lm = lambda arch, rate: config.ModelConfig(arch=arch, train=TrainConfig(
      learning_rate=rate, batch_size=batch(256), row_length=256, tokens=some(100_000_000) // (
          10 if tiny else 1)))
  judge = config.ModelConfig(
      init='large', arch=shape(12, 768, 12, surprise_layer=11),
      train=TrainConfig(learning_rate=1e-3, batch_size=batch(128), row_length=256,
                        steps=some(1200), eval_every=some(200)))
  return config.to_config_dict(config.Experiment(
      name='reference',
      data=DataConfig(
          arith=ArithConfig(seed=6, max_ops=8, ranges=(20, 50, 100), max_value=999, sizes=sizes),
          plan=PlanConfig(seed=6, max_pairs=6, sizes=sizes)),
      models=config.ModelsConfig(
          base=lm(shape(7, 256, 8), 2e-3), mid=lm(shape(9, 448, 8), 1.5e-3),
          large=lm(shape(11, 768, 12), 1e-3), prm=judge, orm=judge),
      limits=config.LimitsConfig(
          max_prompt_tokens=40, max_tokens=128, max_steps=10, max_step_tokens=20),
      labels=config.LabelsConfig(
          questions=some(16_000), samples=8, rollouts=4, block=some(1000),
          in_flight=some(4096)),
      search=config.SearchConfig(
          questions=some(2000), pool=4 if tiny else 256, large_samples=16,
          budgets=(4,) if tiny else (1, 4, 16, 64, 256), block=some(500),
          # Every setting more is a program to compile.
          lookahead=((3, 'sqrt'),) if tiny else ((1, 'sqrt'), (3, 4), (3, 'sqrt')),
          lookahead_budgets=(4,) if tiny else (4, 16, 64, 256), lookahead_questions=some(500)),
      difficulty=config.DifficultyConfig(samples=some(2048), block=some(250)),
      stage_seconds=(('data', 60), ('base', 60), ('mid', 120), ('large', 300), ('labels', 120),
                     ('verifiers', 240), ('search', 360), ('difficulty', 200), ('report', 40)),
  ))
