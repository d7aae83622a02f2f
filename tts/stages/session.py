"""Models in hand: sample, score and search from Python, without a run's folder or its stages."""

from __future__ import annotations

import collections
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from tts.config import Experiment, LimitsConfig, ModelConfig, ModelsConfig
from tts.data import problems as problems_lib
from tts.sampling.logits import SamplingConfig
from tts.search import methods
from tts.stages import blocks as blocks_lib, rows as rows_lib, scoring, search, verifiers
from tts.stages.blocks import Block
from tts.stages.context import Run
from tts.stages.workdir import Workdir
from tts.stages.workers import Workers
from tts.types import InputError, Problem, Strategy

_STREAM = 'session'


@dataclasses.dataclass(frozen=True)
class Candidate:
  """One solution.

  Attributes:
    text: as it was written.
    answer: the one found in it, or None where there is none or it was cut off.
    score: the verifier's value at its end, or None without a verifier.
    step_scores: at each step's end.
    logprob: of the text, summed, natural log at temperature 1; None of a text that was given.
    num_tokens: of the text.
  """

  text: str
  answer: str | None
  score: float | None
  step_scores: tuple[float, ...]
  logprob: float | None
  num_tokens: int


class Session:
  """A generator, and perhaps a verifier, on the devices. See `tts.load`."""

  def __init__(self, base: str | os.PathLike[str], verifier: str | os.PathLike[str] | None,
               limits: LimitsConfig, sampling: SamplingConfig, seed: int, reads: str = 'prm',
               **fields: Any):
    config = lambda path: ModelConfig(enabled=path is not None,
                                      checkpoint=None if path is None else os.fspath(path))
    verifiers.main(Experiment(verifier=reads, **fields))  # a mistake is to show now
    off = dict.fromkeys(('mid', 'large', 'prm', 'orm'), ModelConfig(enabled=False))
    models = off | {verifiers.model_of(reads): config(verifier)} | {'base': config(base)}
    experiment = Experiment(models=ModelsConfig(**models), limits=limits, sampling=sampling,
                            verifier=reads, **fields)
    self._folder = tempfile.TemporaryDirectory(prefix='tts-session-')
    self._run = Run(experiment, Workdir(self._folder.name), seed)
    self._workers = Workers(self._run)
    self._run.model('base')  # a mistake is to show now
    self._verifier = self._run.main
    if verifier is not None:
      self._run.model(self._verifier)

  @property
  def _verified(self) -> bool:
    return self._run.has_model(self._verifier)

  def sample(self, questions: Sequence[str], n: int) -> list[list[Candidate]]:
    """n independent solutions of each question, scored where there is a verifier.

    Sample i of a question is the same for every n and whatever else is asked, in whatever order.
    Of a text that is asked twice, the first and the second are drawn apart.
    """
    run, blocks = self._run, self._blocks(questions, n)
    strategy = Strategy('sample', n)
    sample = search.sampler(self._workers, 'base', _STREAM, n, run.experiment.sampling)

    def tables(group: list[Block]) -> list[Any]:
      return [rows_lib.grade(run, block, rows_lib.sample_table(
          run, block, found, strategy, stream=_STREAM, model='base', split=''))
              for block, found in zip(group, sample(group))]

    return self._computed(questions, blocks, tables, scored=True)

  def score(self, questions: Sequence[str],
            solutions: Sequence[Sequence[str]]) -> list[list[Candidate]]:
    """Solutions that are given, `solutions[i]` those of `questions[i]`, with the verifier's values.

    Raises:
      InputError: there is no verifier, or a solution is too long for the limits.
    """
    if not self._verified:
      raise InputError('score needs a verifier: tts.load(base, verifier=DIR)')
    blocks = self._blocks(questions, max(map(len, solutions), default=1))
    texts = {p.id: t for p, t in zip(problems_lib.of_texts(questions), solutions, strict=True)}
    tables = lambda group: [[[self._given(p, slot, text) for slot, text in enumerate(texts[p.id])]
                             for p in block.problems] for block in group]
    return self._computed(questions, blocks, tables, scored=True)

  def search(self, questions: Sequence[str], budget: int, beam_width: int = 4,
             lookahead: int = 0, method: str | None = None) -> list[list[Candidate]]:
    """What a search (paper, section 5.2) of each question ends with.

    Args:
      questions: prompts.
      budget: generations that it is charged; with lookahead k it has budget // (k + 1) candidates.
      beam_width: M, children of each candidate that is kept.
      lookahead: k, steps rolled out before a candidate is judged.
      method: a name in `tts.search.methods`, yours too; None is beam search, or lookahead.

    Raises:
      InputError: there is no verifier, no such method, or the budget has no candidate.
    """
    if not self._verified:
      raise InputError('search needs a verifier: tts.load(base, verifier=DIR)')
    method = method or ('lookahead' if lookahead else 'beam')
    if method not in methods.METHODS:
      raise InputError(f'no search strategy {method!r} has been registered: see tts.search.methods')
    if methods.METHODS[method].lookahead != (lookahead > 0):
      raise InputError(f'lookahead is {lookahead}: {method} takes '
                       + ('1 or more' if methods.METHODS[method].lookahead else '0'))
    strategy = Strategy(method, budget, beam_width, lookahead or None)
    if strategy.num_candidates < 1:
      raise InputError(f'a budget of {budget} has no candidate with lookahead {lookahead}: give '
                       f'{lookahead + 1} or more')
    blocks = self._blocks(questions, strategy.num_candidates)
    look = search.searcher(self._workers, strategy, self._verifier, _STREAM)
    judge = self._run.model(self._verifier)

    def tables(group: list[Block]) -> list[Any]:
      return [[rows_lib.tree_rows(
          self._run, p, strategy, found, verifier=self._verifier, split='', stream=_STREAM,
          prompt_tokens=len(block.prompts[b]), own_prompt=judge.own_prompt(p))
               for b, (p, found) in enumerate(zip(block.problems, trees))]
              for block, trees in zip(group, look(group))]

    return self._computed(questions, blocks, tables, scored=False)

  def _blocks(self, questions: Sequence[str], num: int) -> list[Block]:
    if not questions or num < 1:
      raise InputError(f'{len(questions)} questions, {num} solutions of each: give one at least')
    run = self._run
    size = min(search.block_size(run.experiment.search, num), -(-len(questions) // run.groups))
    return blocks_lib.cut(problems_lib.of_texts(questions), run.prompts,
                          run.experiment.limits.max_prompt_tokens, size)

  def _given(self, problem: Problem, slot: int, text: str) -> dict[str, Any]:
    """A row of a text from elsewhere."""
    run = self._run
    tokens = run.tokenizer.encode_solution(text)
    if len(tokens) > run.limits.max_tokens:
      raise InputError(f'a solution has {len(tokens)} tokens, the buffer {run.limits.max_tokens}: '
                       'give tts.load a larger max_tokens')
    ends = run.limits.roles.step_ends(tokens)
    return {'slot': slot, 'tokens': tokens, 'step_ends': ends, 'context': [], 'logprob': None,
            'counts': {}, 'other_scores': {}, 'step_scores': None, 'answer_score': None,
            **rows_lib.judge(run, [(text, True, problem)])[0]}

  def _computed(self, questions: Sequence[str], blocks: list[Block], tables: Any,
                scored: bool) -> list[list[Candidate]]:
    """Rows of every question, a group of blocks at a time, in the order that was asked in."""
    run = self._run
    add_scores = (scoring.scorer(self._workers, self._verifier) if scored and self._verified
                  else None)
    found: dict[str, list[Candidate]] = collections.defaultdict(list)
    for at in range(0, len(blocks), run.groups):
      group = blocks[at:at + run.groups]
      made = tables(group)
      if add_scores is not None:
        add_scores(group, made)
      for block, table in zip(group, made):
        for problem, rows in zip(block.problems, table):
          found[problem.id] = [self._candidate(row) for row in rows]
    return [found[p.id] for p in problems_lib.of_texts(questions)]

  def _candidate(self, row: dict[str, Any]) -> Candidate:
    return Candidate(text=self._run.tokenizer.decode(row['tokens']), answer=row['answer'],
                     score=row['answer_score'], step_scores=tuple(row['step_scores'] or ()),
                     logprob=row['logprob'], num_tokens=len(row['tokens']))
