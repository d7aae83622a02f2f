"""What the stages of revisions cost, for `--dry_run`."""

from __future__ import annotations

from collections.abc import Iterable

from tts.config import Experiment
from tts.estimates import cost
from tts.estimates.cost import Cost
from tts.eval.storage.samples import REVISION_VERIFIERS
from tts.revision.trajectories import MAX_CONTEXT
from tts.runs import verifiers
from tts.stages import train_revision


def training(e: Experiment, prompt: float, solution: float) -> list[Cost]:
  """The stages that train; `prompt` and `solution` are mean lengths in tokens."""
  config, text = e.revision, prompt + solution
  pool = config.questions * config.samples
  models = cost.training(e, 'revision', train_revision.MODELS)
  chains, length = config.orm_chains
  answers = config.orm_questions * chains * length
  orms = cost.training(e, 'revision_orms', REVISION_VERIFIERS)
  return [
      _sum(models, pool, pool * solution,
           {'write': cost.read(e, 'base', pool * solution, text * 0.75)}),
      _sum(orms, 2 * answers, 2 * answers * solution,
           {'write': config.orm_questions * _written(e, [config.orm_chains], prompt, solution)
                     + cost.read(e, 'revision_control', answers * solution, text * 0.75)}),
      cost.training(e, 'restem', ('revision_restem',))]


def answering(e: Experiment, prompt: float, solution: float) -> Cost:
  """Stage `revise`: chains, the control's samples, and all that judges them."""
  config, text = e.revision, prompt + solution
  answers = sum(chains * length for chains, length in config.chains)
  has = lambda name: getattr(e.models, verifiers.model_of(name)).enabled
  read = lambda name, *how: cost.read(e, name, *how) if has(name) else 0
  most = has('revision_control') and max(chains * length for chains, length in config.chains)
  main = verifiers.main(e)
  searched = config.searched if has(main) else ()
  written, seen = _written(e, config.chains, prompt, solution), 0.0
  for chains, length in config.chains:
    for t in range(length):
      tokens = min(t, MAX_CONTEXT) * text + solution
      seen += chains * read('revision_orm', tokens, (tokens + prompt) / 2)
  seen += sum(read(name, answers * solution, text * 0.75)
              for name in (main, 'revision_orm_alone'))  # without an answer's history
  seen += sum(read(name, most * solution, text * 0.75) for name in ('control_orm', main))
  written += read('revision_control', most * solution, text * 0.75)
  for k, budget in searched:
    written += _written(e, [(1, k)], prompt, solution)
    kept, context = budget - k, min(k, MAX_CONTEXT) * text
    written += cost.read(e, 'revision', context + kept * solution, prompt + context)
    seen += cost.read(e, main, kept * solution, text * 0.75)
  generations = config.asked * (answers + most + sum(budget for _, budget in searched))
  return Cost('revise', generations, int(generations * solution),
              {'write': config.asked * written, 'read': config.asked * seen})


def _written(e: Experiment, pools: Iterable[tuple[int, int]], prompt: float,
             solution: float) -> float:
  """FLOPs of a question's chains: what is written, and what is read again for it."""
  spent = 0.0
  for chains, length in pools:
    for t in range(length):
      context = min(t, MAX_CONTEXT) * (prompt + solution)
      again = 0 if t == 0 else prompt + 1 if t <= MAX_CONTEXT else context
      spent += chains * (cost.read(e, 'revision', solution, prompt + context)
                         + cost.read(e, 'revision', again, context))
  return spent


def _sum(trained: Cost, generations: int, tokens: float, spent: dict[str, float]) -> Cost:
  return Cost(trained.stage, generations, int(tokens) + trained.tokens, {**trained.spent, **spent})
