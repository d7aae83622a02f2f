"""Test-time scaling of language models in JAX: search, verifiers, allocation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import os


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
    A `tts.stages.solve.Solution` per question, in order.

  Raises:
    tts.types.InputError: the folder, a question or the budget is no good; the message says why.
  """
  from tts.data import problems
  from tts.stages.solve import Solver
  return list(Solver(workdir).solve(problems.of_texts(questions), budget, shared))


def load(base: str | os.PathLike[str], verifier: str | os.PathLike[str] | None = None, *,
         max_prompt_tokens: int = 512, max_tokens: int = 1024, max_steps: int = 40,
         max_step_tokens: int = 256, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0,
         plugins: Sequence[str] = (), reads: str = 'prm', **prompts: str):
  """A generator, and perhaps a verifier, to sample, score and search with.

  Args:
    base: folder of a language model: `W/models/base`, an open checkpoint's, hf://org/name or gs://;
      or a GGUF file, F.gguf or hf://org/name/F.gguf.
    verifier: the same of a process or outcome reward model.
    max_prompt_tokens, max_tokens, max_steps, max_step_tokens: buffers; a solution that fills one is
      cut off, and has no answer.
    temperature: of samples; 0 is greedy.
    top_p: keep the likeliest tokens up to this total probability.
    seed: of everything that is drawn.
    plugins: modules that add strategies or verifiers, e.g. ('examples.my_verifier',).
    reads: how the verifier's model is read: `prm`, or by the verifier of a plugin, e.g. mean_value.
    prompts: how questions are put, fields of `tts.data.prompts.PromptConfig`: `kind='chat'`,
      `system=...`, `delimiter='blank_line'`, `template_arguments='{"enable_thinking": false}'`.

  Returns:
    A `tts.stages.session.Session`: `sample(questions, n)`, `score(questions, solutions)`,
    `search(questions, budget, beam_width, lookahead)`; each gives lists of `Candidate`s.

  Raises:
    tts.types.InputError: a folder holds no model; the message says why.
  """
  from tts.config import LimitsConfig
  from tts.data.prompts import PromptConfig
  from tts.sampling.logits import SamplingConfig
  from tts.stages.session import Session
  limits = LimitsConfig(max_prompt_tokens, max_tokens, max_steps, max_step_tokens)
  return Session(base, verifier, limits, SamplingConfig(temperature, top_p=top_p), seed, reads,
                 plugins=tuple(plugins), prompts=PromptConfig(**prompts))
