"""Test-time scaling of language models in JAX: search, verifiers, allocation.

  base = tts.load_generator('hf://Qwen/Qwen2.5-1.5B-Instruct', kind='chat')
  prm = tts.load_verifier('hf://Qwen/Qwen2.5-Math-PRM-7B')
  for result in tts.search(base, prm, questions, method=tts.methods.rebase(), budget=16):
    print(result.answer, result.votes, result.tokens, result.flops)

What is public is listed here, and stays; every other name may move. A name is imported when it is
first used, so that `import tts` takes no time.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
import os
from typing import Any, TYPE_CHECKING

# Name --> the module that has it; None is a module of its own.
_PUBLIC = {
    'load_generator': 'tts.library.models', 'load_verifier': 'tts.library.models',
    'connect_generator': 'tts.library.served', 'ServedModel': 'tts.library.served',
    'LanguageModel': 'tts.library.models', 'RewardModel': 'tts.library.models',
    'sample': 'tts.library.api', 'score': 'tts.library.api', 'search': 'tts.library.api',
    'deepconf': 'tts.library.confident',
    'grade': 'tts.library.api', 'train_latent': 'tts.library.latent',
    'logprob_verifier': 'tts.library.latent',
    'Limits': 'tts.library.calls', 'BudgetForcing': 'tts.budget_forcing_config',
    'Grade': 'tts.library.api',
    'Result': 'tts.library.results', 'Solution': 'tts.library.results',
    'methods': None, 'protocols': None, 'make_mesh': 'tts.parallel',
    'InputError': 'tts.types'}
__all__ = (*_PUBLIC, 'solve')  # noqa: PLE0604, all are strings

if TYPE_CHECKING:  # the same names once more, for those that read hints and run nothing
  from tts import methods as methods, protocols as protocols
  from tts.budget_forcing_config import BudgetForcing as BudgetForcing
  from tts.library.api import (
      Grade as Grade, grade as grade, sample as sample, score as score, search as search)
  from tts.library.calls import Limits as Limits
  from tts.library.confident import deepconf as deepconf
  from tts.library.latent import (
      logprob_verifier as logprob_verifier, train_latent as train_latent)
  from tts.library.models import (
      LanguageModel as LanguageModel, load_generator as load_generator,
      load_verifier as load_verifier, RewardModel as RewardModel)
  from tts.library.results import Result as Result, Solution as Solution
  from tts.library.served import (
      connect_generator as connect_generator, ServedModel as ServedModel)
  from tts.parallel import make_mesh as make_mesh
  from tts.types import InputError as InputError


def __getattr__(name: str) -> Any:
  if name not in _PUBLIC:
    raise AttributeError(f'module tts has no {name!r}: it has {", ".join(__all__)}')
  module = importlib.import_module(_PUBLIC[name] or f'tts.{name}')
  return module if _PUBLIC[name] is None else getattr(module, name)


def __dir__() -> list[str]:
  return sorted(__all__)


def solve(workdir: str | os.PathLike[str], questions: Iterable[str], budget: int,
          shared: bool = False) -> list:
  """Answers questions with a run's models, each by the strategy that its difficulty asks for.

  Args:
    workdir: of a run that has been through its report.
    questions: prompts, as the run's own are.
    budget: generations for each.
    shared: for each on average, more where more is expected to buy more.

  What is drawn for a question depends on its text, and for a text that is asked again on how often
  it stands before; never on the question's place or on the others.

  Returns:
    A `tts.serving.solve.Solution` per question, in order.

  Raises:
    tts.InputError: the folder, a question or the budget is no good; the message says why.
  """
  from tts.data import problems
  from tts.serving.solve import Solver
  return list(Solver(workdir).solve(problems.of_texts(questions), budget, shared))
