"""`--dry_run`: what each stage would generate and cost, before anything is run."""

from __future__ import annotations

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np

from tts.config import Experiment, ModelConfig
from tts.data import problems as problems_lib
from tts.eval import flops
from tts.stages import search

_UTILISATION = 0.15  # of a large matrix product's speed, seen for models of 25k to 350k parameters
_SAMPLE = 200        # problems whose lengths stand for all


@dataclasses.dataclass(frozen=True)
class Cost:
  """One stage. Memory is of one device group: weights, optimiser or caches."""

  stage: str
  generations: int
  tokens: int
  flops: int
  memory: int


def _lengths(experiment: Experiment) -> tuple[float, float]:
  """Mean characters, hence at most as many tokens, of a prompt and of a solution."""
  data = experiment.data
  if data.test:
    problems = problems_lib.load_jsonl(data.test)[:_SAMPLE]
  else:
    family = problems_lib.FAMILIES[data.family]
    stream = family.generate(getattr(data, data.family), experiment.search.split)
    problems = [p for p, _ in zip(stream, range(_SAMPLE))]
  solution = [len(p.solution) + 1 for p in problems if p.solution]
  return (float(np.mean([len(p.prompt) + 1 for p in problems])),
          float(np.mean(solution)) if solution else experiment.limits.max_tokens / 2)


def _arch(config: ModelConfig, experiment: Experiment) -> dict:
  arch = dataclasses.asdict(config.arch)
  return arch | {'vocab_size': arch['vocab_size'] or experiment.tokenizer.vocab_size}


def _params(arch: dict) -> int:
  return (flops.per_token(arch) // 2 + arch['vocab_size'] * arch['width'] * (2 - arch['tied'])
          + (2 * arch['num_layers'] + 1) * arch['width'])


def _read(arch: dict, kind: str, tokens: float, context: float) -> float:
  """FLOPs of `tokens` entering with `context` keys each."""
  return tokens * (flops.per_token(arch) + context * flops.per_key(arch)
                   + flops.per_output(arch, kind))


def costs(experiment: Experiment) -> list[Cost]:
  """The stages that compute, in order. Counts are expectations, not bounds."""
  e, limits = experiment, experiment.limits
  prompt, solution = _lengths(e)
  text = prompt + solution
  base, prm = _arch(e.models.base, e), _arch(e.models.prm, e)
  buffer = limits.max_prompt_tokens + limits.max_tokens

  def cache(arch, rows):
    return 4 * rows * buffer * 2 * arch['num_layers'] * arch['num_kv_heads'] * arch['head_size']

  rows = []
  for name in ('base', 'large'):
    config = getattr(e.models, name)
    if config.enabled and not config.checkpoint:
      arch, train = _arch(config, e), config.train
      tokens = train.num_steps * train.batch_size * train.row_length
      rows.append(Cost(name, 0, tokens, int(3 * _read(arch, 'lm', tokens, train.row_length)),
                       16 * _params(arch)))
  questions, search_cfg = e.labels.questions, e.search
  steps = max(1.0, solution / limits.max_step_tokens * 1.5)
  samples = questions * e.labels.samples
  rollouts = samples * (steps - 1) * e.labels.rollouts
  tokens = samples * solution + rollouts * solution / 2
  rows.append(Cost('labels', int(samples + rollouts), int(tokens),
                   int(_read(base, 'lm', tokens, text * 0.75)), cache(base, 64 * 16)))
  verifiers = [c for c in (e.models.prm, e.models.orm) if c.enabled and not c.checkpoint]
  tokens = sum(c.train.num_steps * c.train.batch_size * c.train.row_length for c in verifiers)
  rows.append(Cost('verifiers', 0, tokens, int(3 * _read(prm, 'prm', tokens, text)),
                   16 * _params(prm)))
  beams = sum(s.budget for s in search.beam_strategies(search_cfg.budgets, search_cfg.beam_widths))
  for stage, generations, widest, block in (
      ('search', search_cfg.questions * (1 + search_cfg.pool + beams),
       max(search_cfg.budgets, default=1), search_cfg.block),
      ('difficulty', search_cfg.questions * e.difficulty.samples,
       min(16, e.difficulty.samples), e.difficulty.block)):
    tokens = generations * solution
    both = _read(base, 'lm', tokens, text * 0.75) + _read(prm, 'prm', tokens, text * 0.75)
    rows.append(Cost(stage, generations, int(tokens), int(both),
                     cache(base, widest * block) + cache(prm, widest * block)))
  return rows


def _matmul_speed() -> float:
  """FLOP/s of one large matrix product on one device."""
  x = jnp.ones((1024, 1024))
  product = jax.jit(lambda x: x @ x)
  product(x).block_until_ready()
  begun = time.perf_counter()
  for _ in range(8):
    product(x).block_until_ready()
  return 8 * 2 * 1024**3 / (time.perf_counter() - begun)


def table(experiment: Experiment) -> str:
  """The plan as text, a line a stage."""
  speed = _matmul_speed() * _UTILISATION
  lines = [f'{"stage":<11}{"generations":>13}{"tokens":>13}{"GFLOP":>11}{"MB/device":>11}'
           f'{"about s":>9}']
  for c in costs(experiment):
    lines.append(f'{c.stage:<11}{c.generations:>13,}{c.tokens:>13,}{c.flops / 1e9:>11,.1f}'
                 f'{c.memory / 1e6:>11,.1f}{c.flops / speed:>9,.0f}')
  return '\n'.join(lines)
