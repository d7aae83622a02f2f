"""A language model of 135M parameters on word problems that it can do, many samples of each.

  python -m launch.reproduce --config=configs/words.py:small --workdir=W \\
    --config.models.base.checkpoint=F.gguf

F.gguf is SmolLM2-135M-Instruct, as a file, a folder or hf://org/name. A larger model to compare it
with, of the same tokenizer, is --config.models.large.checkpoint=G.gguf
--config.models.large.enabled=True. `:small` looks at `dev`, with a tenth of the questions.

The problems are our own (`tts.data.words`): stories of one or two operations, behind three worked
examples. Which operations, the prompt and the temperature were set on `dev` for 0.2 to 0.4 of
samples right (BUILD_NOTES.md, "Word problems"). Verifiers learn from `verifier`, other stories.
"""

from tts import config
from tts.config import ModelConfig
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.data.words import WordsConfig
from tts.model_kinds import LEARNS
from tts.sampling.logits import SamplingConfig
from tts.types import InputError

SIZES = ('full', 'small')
TEMPERATURE = 0.6


def given(**models: ModelConfig) -> config.Models:
  """Models of a study in which nothing but what is named here is trained; the base is given."""
  off = ModelConfig(enabled=False)
  return config.Models(**{name: off for name in LEARNS if name != 'base'} | models)


def get_config(size: str = 'full'):
  if size not in SIZES:
    raise InputError(f'--config=configs/words.py:{size}: the sizes are {", ".join(SIZES)}')
  of = lambda *values: values[SIZES.index(size)]
  return config.to_config_dict(config.Experiment(
      name='words',
      verifier='latent',  # chosen on `dev`: BUILD_NOTES.md, "Word problems"
      data=DataConfig(family='words', words=WordsConfig(seed=1)),
      prompts=PromptConfig(kind='few_shot', examples='words', layout='question'),
      models=given(latent=ModelConfig(init='base'), logprob=ModelConfig(init='base')),
      limits=config.LimitsConfig(
          max_prompt_tokens=512, max_tokens=96, max_steps=8, max_step_tokens=64),
      sampling=SamplingConfig(temperature=TEMPERATURE, statistics=True),
      labels=config.LabelsConfig(
          questions=of(2000, 200), samples=8, rollouts=0, temperature=TEMPERATURE),
      search=config.SearchConfig(
          split=of('test', 'dev'), questions=of(1000, 100), pool=of(64, 16),
          methods=('beam', 'dvts', 'rebase', 'particle_filter'), beam_widths=(4,),
          budgets=of((4, 16), (4,)), deep_questions=of(250, 50), deep_budgets=of((64,), (16,)),
          block=of(50, 25)),
      difficulty=config.DifficultyConfig(samples=of(16, 8), block=of(50, 25)),
      stage_seconds=()))
