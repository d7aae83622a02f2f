"""New questions by a run's saved policy: difficulty first, then the budget by it (paper, 3.2).

A question's difficulty is estimated as the policy's own questions' was, from the prompt or from the
first samples; the strategy of its bin then spends what is left. Samples that strategies can use
stay candidates.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging
import ml_collections
import numpy as np

from tts import config as config_lib, methods
from tts.data import hub
from tts.eval.measures import answer_choice, flops
from tts.eval.policy import policy as policy_lib
from tts.eval.policy.estimators import Asked, ESTIMATORS
from tts.eval.policy.policy import Choice, Policy
from tts.eval.storage import find_equal_answers, records
from tts.eval.storage.equal_answers import Pairs
from tts.eval.storage.samples import COUNTS, numbered
from tts.library.tree_json import tree_page
from tts.runs import blocks as blocks_lib, verifiers
from tts.runs.blocks import Block
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.stages import probe, sample_pool, search
from tts.types import InputError, Problem

_STREAM = 'solve'
_CHUNK = 512  # questions whose answers are given out together

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Solution:
  """How one question was answered, and at what cost.

  Attributes:
    id: of the problem.
    answer: as written, or None where no candidate has one.
    text: the solution that it is from, or None.
    score: the verifier's value at its end, or None where the strategy reads no verifier.
    strategy: what was run, e.g. `beam-m4-n16`, and how its answer was chosen.
    bin: difficulty, 1 = easiest to 5, by `estimate`.
    estimate: of difficulty, as the policy makes it; higher = easier.
    generations: charged, the estimate's included.
    tokens: that the generator wrote, discarded ones included.
    verifier_tokens: that the verifier read.
    flops: of both.
    candidates: every solution that had a vote or was cut off: text, answer, score.
    tree: the search's nodes where one was run, else None.
  """

  id: str
  answer: str | None
  text: str | None
  score: float | None
  strategy: str
  selection: str
  bin: int
  estimate: float
  generations: int
  tokens: int
  verifier_tokens: int
  flops: int
  candidates: list[dict[str, Any]]
  tree: dict[str, Any] | None


class Solver:
  """A run's models and policy, loaded once."""

  def __init__(self, workdir: str | os.PathLike[str]):
    """Opens the folder of a run that has been through its report.

    Raises:
      InputError: it is none, or its models or its policy are missing or damaged.
    """
    folder = hub.local(workdir)
    if not os.path.isfile(os.path.join(folder, 'run.json')):
      raise InputError(f'--workdir={folder} holds no run.json: it is not the folder of a run; '
                       'launch.reproduce makes one')
    written = records.read_object(os.path.join(folder, 'run.json'), 'config')
    experiment = config_lib.from_config_dict(ml_collections.ConfigDict(written['config']))
    experiment.models.check_here('launch.solve needs the models of the run here; use tts.search')
    self._run = Run(experiment, Workdir(folder), experiment.seeds[0])
    self._workers = Workers(self._run)
    self._policy: Policy = policy_lib.load(os.path.join(folder, 'policy.json'))
    known = {'sample', 'greedy', *methods.METHODS.of(experiment.plugins)}
    if unknown := sorted(policy_lib.methods(self._policy) - known):
      raise InputError(f'{os.path.join(folder, "policy.json")} chooses {unknown[0]!r}: no strategy '
                       'of ours or of the config\'s plugins; delete it and run launch.report')
    if self._policy.estimator not in ESTIMATORS.of(experiment.plugins):
      raise InputError(f'{os.path.join(folder, "policy.json")} goes by the estimator '
                       f'{self._policy.estimator!r}: none of ours or of the config\'s plugins; '
                       'delete it and run launch.report')
    self._estimator = ESTIMATORS[self._policy.estimator]
    self._folder = folder
    self._latent = verifiers.is_latent(experiment, self._run.main)

  @property
  def experiment(self) -> config_lib.Experiment:
    return self._run.experiment

  def solve(self, problems: Sequence[Problem], budget: int,
            shared: bool = False) -> Iterator[Solution]:
    """Answers questions, in order.

    Args:
      problems: ids unique.
      budget: generations for each, the estimate's charge included.
      shared: for each on average, and more where more is expected to buy more.

    Raises:
      InputError: a prompt is too long, or the budget is below the policy's smallest.
    """
    known = policy_lib.fitted(self._policy, budget, shared)  # an error is to show before any work
    if known < budget:
      logging.warning('a budget of %d: the run measured none between %d and that, so at most %d '
                      'are spent', budget, known, known)
    for problem in problems:  # so is a question that it cannot read
      blocks_lib.encode(problem, self._run.prompts, self.experiment.limits.max_prompt_tokens)
    for first in range(0, len(problems), _CHUNK):
      yield from self._chunk(list(problems[first:first + _CHUNK]), budget, shared)

  def _chunk(self, problems: list[Problem], budget: int, shared: bool) -> list[Solution]:
    spent: dict[str, Rows] = {p.id: [] for p in problems}

    def first(samples: int) -> dict[str, float]:
      self._sample(problems, 0, samples, spent, score=True)
      return {i: float(np.mean([r['answer_score'] if _votes(r) else 0.0 for r in rows]))
              for i, rows in spent.items()}

    estimates = self._estimator.new(Asked(problems, lambda: self._probed(problems), first))
    chosen = {i: policy_lib.choose(self._policy, estimates[i], budget, shared) for i in spent}
    by_choice: dict[Choice, list[Problem]] = collections.defaultdict(list)
    for problem in problems:
      by_choice[chosen[problem.id]].append(problem)
    trees: dict[str, dict[str, Any]] = {}
    answers: dict[str, Rows] = {}  # the rows that are candidates
    for choice, members in by_choice.items():
      self._spend(choice, members, spent, answers, trees)
    same = find_equal_answers.of_rows(self.experiment.data.grader,
                             [row for rows in answers.values() for row in rows])
    return [self._solution(p, chosen[p.id], estimates[p.id], spent[p.id], answers[p.id],
                           same.of(p.id), trees.get(p.id)) for p in problems]

  def _probed(self, problems: list[Problem]) -> dict[str, float]:
    hidden = probe.hidden_states(self._run, problems)
    values = probe.predict(self._probe_weights, hidden)
    return dict(zip([p.id for p in problems], values.tolist()))

  @functools.cached_property
  def _probe_weights(self) -> np.ndarray:
    return np.array(records.read_object(
        os.path.join(self._folder, 'probe.json'), 'weights')['weights'])

  def _block(self, problems: list[Problem]) -> Block:
    block, = blocks_lib.cut(problems, self._run.prompts,
                            self.experiment.limits.max_prompt_tokens, len(problems))
    return block

  def _sample(self, problems: list[Problem], first: int, num: int, spent: dict[str, Rows],
              score: bool, greedy: bool = False) -> None:
    """Adds the samples of slots `first` to `first + num - 1` to what was spent."""
    run, block = self._run, self._block(problems)
    sampling = self.experiment.sampling
    if greedy:
      sampling = dataclasses.replace(sampling, temperature=0.0)
    judges = [run.main] if score or self._latent else []  # a latent one has its scores for nothing
    tables, = self._workers.ask(sample_pool.scored(
        self._workers, 'base', _STREAM, num, sampling, judges, '', first), [block])
    run.rows.grade(block, tables)
    for problem, found in zip(block.problems, tables):
      spent[problem.id] += found

  def _spend(self, choice: Choice, problems: list[Problem], spent: dict[str, Rows],
             answers: dict[str, Rows], trees: dict[str, dict[str, Any]]) -> None:
    strategy, run = choice.strategy, self._run
    if strategy.method in ('sample', 'greedy'):
      stay = min(self._policy.stay, strategy.budget) if strategy.method == 'sample' else 0
      own = {p.id: spent[p.id][:stay] for p in problems}
      more: dict[str, Rows] = {p.id: [] for p in problems}
      if strategy.budget > stay:
        self._sample(problems, stay, strategy.budget - stay, more,
                     score=choice.selection in ('best_of_n', 'best_of_n_weighted'),
                     greedy=strategy.method == 'greedy')
      for problem in problems:
        spent[problem.id] += more[problem.id]
        answers[problem.id] = own[problem.id] + more[problem.id]
      return
    block = self._block(problems)
    look = search.searcher(self._workers, strategy, run.main, _STREAM)
    found, = self._workers.ask(look, [block])
    for b, (problem, tree) in enumerate(zip(block.problems, found)):
      rows = run.rows.tree_rows(problem, strategy, tree, verifier=run.main, split='',
                                stream=_STREAM, prompt_tokens=len(block.prompts[b]),
                                own_prompt=run.model(run.main).own_prompt(problem),
                                latent=self._latent)
      spent[problem.id] += rows
      answers[problem.id] = rows
      trees[problem.id] = tree_page(run.tokenizer, self.experiment.data.grader, problem, strategy,
                                    tree, rows)

  def _solution(self, problem: Problem, choice: Choice, estimate: float, spent: Rows,
                answers: Rows, equal: Pairs, tree: dict[str, Any] | None) -> Solution:
    winner = chosen(answers, choice.selection, equal)
    text = lambda row: self._run.tokenizer.decode(row['tokens'])
    cost, base = _total(spent, 'base'), self._run.model('base')
    total = flops.counted(dataclasses.asdict(base.arch), 'lm', cost)
    read = _total(spent, self._run.main)
    if read['entered']:
      judge = self._run.model(self._run.main)
      total += (flops.latent({**dataclasses.asdict(judge.head), 'width': judge.arch.width}, read)
                if judge.head else flops.counted(dataclasses.asdict(judge.arch), 'prm', read))
    strategy = choice.strategy
    pooled = strategy.method == 'sample'
    charge = math.ceil(self._policy.charge)
    return Solution(
        id=problem.id, answer=winner and winner['answer'], text=winner and text(winner),
        score=winner and winner['answer_score'], strategy=strategy.name,
        selection=choice.selection, bin=policy_lib.bin_of(self._policy, estimate),
        estimate=estimate,
        generations=strategy.budget + charge - (min(self._policy.stay, strategy.budget)
                                                if pooled else 0),
        tokens=cost['kept'] + cost['pruned'] + cost['simulated'],
        verifier_tokens=0 if self._latent else read['entered'],
        flops=int(total), tree=tree,
        candidates=[{'text': text(r), 'answer': r['answer'], 'score': r['answer_score']}
                    for r in answers])


def _votes(row: dict[str, Any]) -> bool:
  return row['answer'] is not None and not row['truncated']


def chosen(rows: Rows, selection: str, equal: Pairs = ()) -> dict[str, Any] | None:
  """The row that one of `select.SELECTIONS` answers with, or None without any answer.

  Args:
    rows: candidates, in the order of their slots.
    selection: the strategy.
    equal: normal forms that are the same by the grader.
  """
  answer = np.array([numbered([r['answer'] if _votes(r) else None for r in rows], equal)])
  score = np.array([[np.nan if r['answer_score'] is None else r['answer_score'] for r in rows]])
  logprob = np.array([[r['logprob'] for r in rows]])
  weight = np.array([[r.get('weight', 1) for r in rows]])
  slot = int(answer_choice.choose(selection, answer, score, logprob, weight=weight)[0])
  return None if slot == answer_choice.NOBODY else rows[slot]


def _total(rows: Rows, model: str) -> dict[str, int]:
  return {name: sum(r['counts'].get(model, {}).get(name, 0) for r in rows) for name in COUNTS}
