"""Shapes of an 8B generator and a 7B process reward model, for `launch.compile`: no weights.

  python -m launch.compile --config=configs/pod.py --topology=v5e:4x4 --only=search/

Llama-3.1-8B and Qwen2.5-Math-PRM-7B by the fields that their `config.json` publish, in bfloat16,
four chips a model: what a search with open checkpoints of that size asks of a pod. The verifier
reads the generator's ids here; one with a tokenizer of its own has the same matrices and longer
texts. Sixteen lanes are what fits were every text as long as the limits allow; real ones are
shorter, and leave room for more: --config.lanes=64. To run such models import them and take
configs/open.py with --config.mesh.model=4; here nothing is loaded, and training them is not meant
to fit. configs/pod.py:4 has four layers in each model.
"""

from tts import config
from tts.models.arch import Arch
from tts.sampling.logits import SamplingConfig
from tts.train.steps import TrainConfig
from tts.types import InputError

_STORED = dict(activation='silu', gated=True, tied=False, dtype='bfloat16', param_dtype='bfloat16')
_LLAMA = dict(vocab_size=128_256, width=4096, num_heads=32, num_kv_heads=8, head_size=128,
              mlp_width=14_336, rope_theta=500_000.0, norm_eps=1e-5,
              rope_scaling=(8.0, 1.0, 4.0, 8192.0), **_STORED)
_QWEN = dict(vocab_size=152_064, width=3584, num_heads=28, num_kv_heads=4, head_size=128,
             mlp_width=18_944, rope_theta=10_000.0, qkv_bias=True, value_hidden=3584, **_STORED)


def get_config(layers: str = ''):
  if layers and not (layers.isascii() and layers.isdigit() and int(layers)):
    raise InputError(f'--config=configs/pod.py:{layers}: a number of layers stands there, or '
                     'nothing')
  model = lambda shape, depth: config.ModelConfig(
      arch=Arch(num_layers=int(layers or depth), **shape),
      train=TrainConfig(learning_rate=1e-5, row_length=1024, steps=1000))
  off = config.ModelConfig(enabled=False)
  return config.to_config_dict(config.Experiment(
      name='pod',
      mesh=config.MeshConfig(model=4),
      lanes=16,
      models=config.Models(base=model(_LLAMA, 32), prm=model(_QWEN, 28), mid=off, large=off,
                                 orm=off),
      limits=config.LimitsConfig(
          max_prompt_tokens=512, max_tokens=1024, max_steps=40, max_step_tokens=256),
      sampling=SamplingConfig(temperature=0.8),
      labels=config.LabelsConfig(block=8),
      search=config.SearchConfig(
          questions=500, pool=32, budgets=(4, 16, 32), block=8, max_rows=32,
          lookahead_questions=100, lookahead_budgets=(32,), lookahead=((1, 'sqrt'),)),
      difficulty=config.DifficultyConfig(samples=32, block=2),
      stage_seconds=()))
