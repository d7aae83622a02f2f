"""The demonstration: a small model, its verifier and the search, on a laptop.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart

At most ten minutes on two CPU cores. README.md has the numbers to expect.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.problems import DataConfig
from tts.models.transformer import Arch
from tts.train.steps import TrainConfig


def get_config():
  tokens = 1_800_000
  value = lambda steps: TrainConfig(
      learning_rate=3e-3, batch_size=16, steps=steps, eval_every=250, lm_loss_weight=0.3)
  verifier = Arch(0, 4, 32, 4, 4, 8, 128)
  return config.to_config_dict(config.Experiment(
      name='quickstart',
      data=DataConfig(arith=ArithConfig(max_ops=5, ranges=(5, 10, 20), max_value=199)),
      models=config.ModelsConfig(
          base=config.ModelConfig(
              arch=Arch(0, 2, 32, 4, 4, 8, 128),
              train=TrainConfig(learning_rate=1e-2, tokens=tokens)),
          large=config.ModelConfig(
              arch=Arch(0, 3, 112, 4, 2, 28, 352),
              train=TrainConfig(learning_rate=3e-3, tokens=tokens)),
          # The base model's trunk and two layers more. What a token says against what was
          # expected is known only above the last layer of a language model: on a trunk alone,
          # right and wrong answers of one question are told apart no better than by a coin.
          prm=config.ModelConfig(init='base', arch=verifier, train=value(2000)),
          orm=config.ModelConfig(init='base', arch=verifier, train=value(800))),
      limits=config.LimitsConfig(
          max_prompt_tokens=20, max_tokens=64, max_steps=7, max_step_tokens=12),
      labels=config.LabelsConfig(questions=6000, samples=8, rollouts=1, block=200),
      stage_seconds=(('data', 15), ('base', 45), ('large', 120), ('labels', 60), ('verifiers', 180),
                     ('search', 60), ('difficulty', 30), ('report', 15)),
  ))
