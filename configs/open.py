"""Test-time scaling of an open checkpoint on MATH-500, with an open process reward model.

  python -m launch.evaluate --config=configs/open.py:chat --workdir=W \\
    --config.data.path=hf://HuggingFaceH4/MATH-500 \\
    --config.models.base.checkpoint=hf://Qwen/Qwen2.5-Math-1.5B-Instruct \\
    --config.models.prm.checkpoint=hf://Qwen/Qwen2.5-Math-PRM-7B

`:chat` is for models that were made for it, `:few_shot` for base models (four worked examples, as
in the paper). The exchange with a larger model: --config.models.large.checkpoint. Folders do as
well; both are imported into W once. What fits on a device, and how long it takes, is what --dry_run
says; --config.lanes is the number of texts at a time. The two above take 0.95e18 FLOPs
and 150,000 generations in bfloat16: about two hours of an H100 at 15% of its rate,
which nobody has measured yet.

Greedy answers on MATH, zero-shot, as their makers published them, to compare `greedy` in the report
with (they asked 5,000 questions, with graders of their own; MATH-500 is a sample of these):

  Qwen2.5-Math-1.5B-Instruct  75.8%  arXiv 2409.12122
  Llama-3.2-1B-Instruct       30.6%  its model card
  Llama-3.1-8B-Instruct       51.9%  arXiv 2407.21783, table 2
  gemma-3-1b-it               48.0%  arXiv 2503.19786, table 6
  gemma-3-12b-it              83.8%  the same
"""

from tts import config
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.sampling.logits import SamplingConfig
from tts.types import InputError

SYSTEM = 'Please reason step by step, and put your final answer within \\boxed{}.'
# Chat models set off steps by blank lines, as their verifiers were taught to read them.
_PROMPTS = {'chat': PromptConfig(kind='chat', system=SYSTEM, delimiter='blank_line'),
            'few_shot': PromptConfig(kind='few_shot')}


def get_config(prompts: str = 'chat'):
  if prompts not in _PROMPTS:
    raise InputError(f'--config=configs/open.py:{prompts}: one of {", ".join(_PROMPTS)} stands '
                     'there')
  return config.to_config_dict(config.Experiment(
      name='open',
      data=DataConfig(family='math500', grader='math'),
      prompts=_PROMPTS[prompts],
      limits=config.LimitsConfig(
          max_prompt_tokens=1024, max_tokens=2048, max_steps=40, max_step_tokens=512),
      sampling=SamplingConfig(temperature=0.8),
      search=config.SearchConfig(
          questions=500, pool=64, large_samples=16, budgets=(1, 4, 16, 64), block=8, max_rows=64,
          lookahead_questions=100, lookahead_budgets=(16, 64)),
      difficulty=config.DifficultyConfig(samples=64, block=8),
      stage_seconds=()))
