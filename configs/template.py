"""A config to copy: each part that a study of your own is likely to change, in plain words.

  python -m launch.reproduce --config=configs/template.py --workdir=/tmp/my-study --dry_run
  python -m launch.reproduce --config=configs/template.py --workdir=/tmp/my-study

Put your copy where you like. As it stands it trains small models on chained arithmetic and searches
with three methods: about six minutes on two cores. What is not said here has a default:
`--describe` lists every field, and `--describe rollouts` those in which the word stands. A field
that is to be tried at another value need not be written down: --config.search.budgets='(1, 4)'.
"""

from tts import config
from tts.data.arith import ArithConfig
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.models.arch import decoder
from tts.sampling.logits import SamplingConfig
from tts.train.steps import TrainConfig


def get_config():
  return config.to_config_dict(config.Experiment(
      # What results and figures are called by.
      name='template',
      # Models, labels and searches are made anew for each seed, and reported together.
      seeds=(0,),
      # Modules of yours with methods, verifiers or tasks: see examples/.
      plugins=(),

      # WHAT IS ASKED. `arith` and `plan` are generated; `gsm8k`, `math` and `math500` are read from
      # `path`, a folder or hf://...; your own questions are a file: test='questions.jsonl', each
      # line {"problem": ..., "answer": ...}. grader='math' compares answers by algebra, too.
      data=DataConfig(family='arith', grader='exact', arith=ArithConfig(seed=11)),
      # How a question is put: `plain`, `few_shot` or `chat`, and what ends a step of a solution.
      prompts=PromptConfig(kind='plain', delimiter='newline'),
      # Where texts are cut off, in tokens. Generous limits cost nothing.
      limits=config.LimitsConfig(
          max_prompt_tokens=32, max_tokens=72, max_steps=8, max_step_tokens=16),

      # WHO ANSWERS. A model is trained here, or given: checkpoint='hf://org/name', a folder,
      # F.gguf.
      models=config.Models(
          # Test-time compute is spent on this one.
          base=config.ModelConfig(
              arch=decoder(layers=2, width=32, heads=4),
              train=TrainConfig(learning_rate=1e-2, tokens=1_000_000)),
          # These answer greedily, to compare with at equal FLOPs; enabled=False leaves one out.
          mid=config.ModelConfig(enabled=False),
          large=config.ModelConfig(
              arch=decoder(layers=3, width=112, heads=4, kv_heads=2, mlp_width=336),
              train=TrainConfig(learning_rate=3e-3, tokens=1_000_000)),
          # The process reward model: here the base with a value head.
          prm=config.ModelConfig(
              init='base', arch=decoder(layers=2, width=32, heads=4),
              train=TrainConfig(learning_rate=3e-3, batch_size=16, row_length=96, steps=400)),
          orm=config.ModelConfig(enabled=False),
          # A verifier that reads what the base has computed already: its hidden states. It costs
          # next to nothing; verifier='latent' makes it the main one.
          latent=config.ModelConfig(enabled=False, init='base')
          # One more is one entry more, under a name of its own that says what it learns from:
          # prm_wide=config.ModelConfig(
          #     learns='rollouts', init='base', arch=decoder(...), train=...)
          ),
      # Which verifier guides searches and scores samples; a plugin's has a name of its own.
      verifier='prm',
      # What the verifier learns from: solutions of the base, and continuations of each step.
      labels=config.LabelsConfig(questions=1500, samples=8, rollouts=2),

      # HOW COMPUTE IS SPENT. A budget is a number of full generations.
      sampling=SamplingConfig(temperature=1.0),
      search=config.SearchConfig(
          # Look at `dev` while you choose, at `test` once.
          split='dev', questions=200,
          # Independent samples of each: best-of-N and votes are computed from them, for every N.
          pool=16,
          # `tts.methods`, with parameters where they are not the default's.
          methods=('beam', 'dvts', 'rebase(temperature=0.1)'), budgets=(1, 4, 16),
          beam_widths=(4,)),
      # Samples that say how hard a question is, apart from those that are scored.
      difficulty=config.DifficultyConfig(samples=16),
  ))
