"""Test-time scaling of an open model of half a billion parameters on GSM8K, on two cores.

  python -m launch.reproduce --config=configs/gsm8k.py --workdir=W --config.data.path=FOLDER \\
    --config.models.base.checkpoint=F.gguf \\
    --config.models.large.checkpoint=G.gguf --config.models.large.enabled=True

FOLDER has GSM8K's train.jsonl and test.jsonl, or is hf://openai/gsm8k/main; F.gguf and G.gguf are
Qwen2.5-Coder-0.5B-Instruct and the 1.5B that it is compared with (greedy, and a majority of
four), as files, folders or hf://org/name. `:small` looks at `dev` with few questions; the second
model may be left out. Of the training file's 7,473 questions `dev` is 512, by a hash of their
texts, on which prompts are compared (benchmarks/prompting.py; BUILD_NOTES.md, "GSM8K's prompt"):
the chat template alone does best there, with some 270 tokens a solution. What is fitted learns from
`verifier`, 2,231 others. `test` is GSM8K's own.

The same on MATH-500, which has no other questions, so nothing is fitted (or family=math and the
folder prm800k/math_splits, whose training problems are dealt in the same way):

  --config.data.family=math500 --config.data.path=hf://HuggingFaceH4/MATH-500 \\
  --config.data.grader=math --config.limits.max_tokens=768 --config.limits.max_prompt_tokens=1024 \\
  --config.models.latent.enabled=False --config.verifier=logprob
"""

from tts import config, presets
from tts.config import ModelConfig
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.sampling.logits import SamplingConfig
from tts.types import InputError

given = presets.module('words').given
SIZES = ('full', 'small')
TEMPERATURE = 0.7


def get_config(size: str = 'full'):
  if size not in SIZES:
    raise InputError(f'--config=configs/gsm8k.py:{size}: the sizes are {", ".join(SIZES)}')
  of = lambda *values: values[SIZES.index(size)]
  return config.to_config_dict(config.Experiment(
      name='gsm8k',
      lanes=16,
      verifier='latent',
      data=DataConfig(family='gsm8k'),
      prompts=PromptConfig(kind='chat'),
      models=given(latent=ModelConfig(init='base'), logprob=ModelConfig(init='base')),
      limits=config.LimitsConfig(
          max_prompt_tokens=512, max_tokens=400, max_steps=64, max_step_tokens=256),
      sampling=SamplingConfig(temperature=TEMPERATURE, statistics=True),
      labels=config.LabelsConfig(questions=of(250, 40), samples=8, rollouts=0,
                                 temperature=TEMPERATURE, block=10),
      search=config.SearchConfig(
          split=of('test', 'dev'), questions=of(500, 24), pool=of(16, 8), large_samples=4,
          methods=('beam', 'lookahead(beam_width=4, lookahead=1)', 'dvts', 'rebase',
                   'particle_filter', 'particle_filter_entropic'), beam_widths=(4,),
          budgets=(4,), deep_questions=of(200, 0), deep_budgets=of((16,), ()),
          lookahead_questions=of(200, 12), lookahead_budgets=of((16,), (8,)),
          block=of(20, 6)),
      difficulty=config.DifficultyConfig(samples=of(8, 4), block=of(20, 6)),
      stage_seconds=()))
