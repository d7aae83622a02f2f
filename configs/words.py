"""A language model of 135M parameters on word problems that it can do: many samples of many questions.

  python -m launch.reproduce --config=configs/words.py:small --workdir=W \\
    --config.models.base.checkpoint=F.gguf

F.gguf is SmolLM2-135M-Instruct, as a file, a folder or hf://org/name; a larger one to compare with is
--config.models.large.checkpoint=G.gguf --config.models.large.enabled=True. `:small` looks at `dev`.

The problems are our own (`tts.data.words`): stories of one or two operations, three worked examples
before each. Kinds of problems, prompt and temperature were set on `dev` for a fifth to two fifths of
samples right (BUILD_NOTES.md, "Word problems"), and no question of another split was looked at.
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
      # A latent verifier is one model more, `latent=ModelConfig(learns=...)` in `given`, and the name
      # of the verifier; the log-probability's would be an ablation then, or go.
      plugins=('examples.logprob',), verifier='logprob',
      data=DataConfig(family='words', words=WordsConfig(seed=1)),
      prompts=PromptConfig(kind='few_shot', examples='words', layout='question'),
      models=given(),
      limits=config.LimitsConfig(
          max_prompt_tokens=512, max_tokens=96, max_steps=8, max_step_tokens=64),
      sampling=SamplingConfig(temperature=0.6),
      # What a verifier is trained on: `verifier` has 6,000 questions.
      labels=config.LabelsConfig(questions=of(2000, 200), samples=8, rollouts=1, temperature=0.6),
      search=config.SearchConfig(
          split=of('test', 'dev'), questions=of(1000, 100), pool=of(64, 16),
          methods=('beam', 'dvts', 'rebase', 'particle_filter'), beam_widths=(4,),
          budgets=of((4, 16), (4,)), deep_questions=of(250, 50), deep_budgets=of((64,), (16,)),
          block=of(50, 25)),
      difficulty=config.DifficultyConfig(samples=of(16, 8), block=of(50, 25)),
      stage_seconds=()))
