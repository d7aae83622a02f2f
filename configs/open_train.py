"""An open model with a verifier of its own making, on MATH: no human labels, and revisions.

  python -m launch.reproduce --config=configs/open_train.py --workdir=W \\
    --config.data.path=FOLDER \\
    --config.models.base.checkpoint=hf://Qwen/Qwen2.5-Math-1.5B-Instruct

FOLDER has train.jsonl and test.jsonl of prm800k/math_splits (12,000 and 500 problems). The PRM and
an ORM are the base with a value head, learnt on rollouts of the base from every step of its own
solutions (paper, 3.2 and appendix D). --config.revision.enabled=True adds the revision model, its
control and their verifiers (section 6). All are finetuned by low-rank adapters. The paper: 12,000
questions, 16 samples and 16 rollouts a step; here 2,000, 4 and 8, a twelfth of the rollouts.
Expect hours on one accelerator: --dry_run says how many FLOPs, and how much memory. By its formula
an update takes 16 GB for the PRM's rows of 1,536 tokens and 38 GB for the revision model's of
7,680; smaller chips share one with --config.mesh.train=-1.
"""

from tts import config, presets
from tts.config import ModelConfig
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.models.arch import AS_INIT
from tts.sampling.logits import SamplingConfig
from tts.train.steps import TrainConfig

SYSTEM = presets.module('open').SYSTEM
_PROMPT, _ANSWER = 384, 1152  # tokens


def get_config():
  off = ModelConfig(enabled=False)
  lora = dict(learning_rate=1e-4, warmup_fraction=0.03, lora_rank=32, remat=True,
              checkpoint_every=100)
  judge = lambda init, turns: ModelConfig(init=init, arch=AS_INIT, train=TrainConfig(
      batch_size=8, row_length=turns * (_PROMPT + _ANSWER), steps=2000, eval_every=200, patience=3,
      **lora))
  revised = lambda turns: ModelConfig(init='base', arch=AS_INIT, train=TrainConfig(
      batch_size=8, row_length=turns * (_PROMPT + _ANSWER), steps=1000, eval_every=200, **lora))
  return config.to_config_dict(config.Experiment(
      name='open_train',
      data=DataConfig(family='math', grader='math'),
      prompts=PromptConfig(kind='chat', system=SYSTEM, delimiter='blank_line'),
      models=config.Models(
          mid=off, large=off, prm=judge('base', 1), orm=judge('base', 1),
          # A row has room for five turns: four answers in context and the one that is learnt.
          revision=revised(5), revision_control=revised(1), revision_restem=off,
          revision_orm=judge('revision', 5), revision_orm_alone=off,
          control_orm=judge('revision_control', 1)),
      limits=config.LimitsConfig(
          max_prompt_tokens=_PROMPT, max_tokens=_ANSWER, max_steps=40, max_step_tokens=384),
      sampling=SamplingConfig(temperature=0.8),
      labels=config.LabelsConfig(questions=2000, samples=4, rollouts=8, block=8),
      revision=config.RevisionConfig(
          questions=1500, samples=16, temperature=1.2, block=8, orm_questions=500,
          orm_chains=(4, 6), asked=100, chains=((1, 16), (4, 4), (16, 1)), searched=()),
      search=config.SearchConfig(
          questions=500, pool=64, budgets=(1, 4, 16, 64), block=8, max_rows=128,
          lookahead_questions=100, lookahead_budgets=(16, 64)),
      difficulty=config.DifficultyConfig(samples=64, block=8),
      stage_seconds=()))
