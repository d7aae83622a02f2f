"""How each strategy did on each question, and what it cost: the common currency of the analysis.

Curves, and later the compute-optimal policy and the exchange with a larger model, are means over
these. A new kind of strategy is a new function that gives `Outcome`s.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tts.eval.measures import answer_choice, flops, vote_groups
from tts.eval.storage.columns import THINKING
from tts.eval.storage.runfiles import RunFiles
from tts.eval.storage.samples import COUNTS, Samples
from tts.model_kinds import MAIN
from tts.types import Strategy

_KEPT = 16  # what one pool's selections share: the verifiers' scores, the models' tokens


@dataclasses.dataclass(frozen=True)
class Outcome:
  """One strategy at one budget, question by question. Costs are per question, own and prompt.

  Attributes:
    strategy: its name in the results.
    budget: charged full generations.
    parameters: of a search method, as in `Strategy`; () of what has none.
    guided: whether a verifier led the search.
    chains: of revisions, side by side; None where nothing is revised.
    chain_length: answers of each, or None; of a search, those before what it wrote.
    proposal: the model that wrote the answers, where that is not what its strategy says.
    verifier: the one that guided the search or scored the answers; None where none is read.
    aggregation: of step scores: `last`, `min`, `prod`, or None.
    selection: how the answer is chosen among the candidates.
    repeats: independent tries averaged per question.
    ids: problem ids [Q].
    accuracy: float64 [Q], share of tries that were right.
    unanswered: float64 [Q], share of tries in which no candidate had an answer.
    truncated: float64 [Q], truncated candidates per try.
    generated_tokens: float64 [Q], tokens sampled, discarded ones included; None where they were
      not counted.
    verifier_tokens: float64 [Q], tokens that the verifier read, or None.
    flops: float64 [Q], or None where a model or its tokens are unknown.
    seconds: per question, or None where nothing was timed.
    main: the run's main verifier.
    thinking_tokens, answer_tokens: float64 [Q], tokens of the candidates' thoughts, and behind
      them; None of a model that does not think.
    forced_tokens: float64 [Q], those of both that budget forcing read into them.
  """

  strategy: str
  budget: int
  verifier: str | None
  aggregation: str | None
  selection: str
  repeats: int
  ids: tuple[str, ...]
  accuracy: np.ndarray
  unanswered: np.ndarray
  truncated: np.ndarray
  generated_tokens: np.ndarray | None
  verifier_tokens: np.ndarray | None
  flops: np.ndarray | None
  seconds: float | None
  parameters: tuple[tuple[str, Any], ...] = ()
  guided: bool = False
  chains: int | None = None
  chain_length: int | None = None
  proposal: str | None = None
  main: str = MAIN
  thinking_tokens: np.ndarray | None = None
  answer_tokens: np.ndarray | None = None
  forced_tokens: np.ndarray | None = None

  @property
  def how(self) -> Strategy:
    """What it is, as a strategy of its name in the results."""
    return Strategy(self.strategy, self.budget, self.parameters, self.chain_length)

  @property
  def beam_width(self) -> int | None:
    return self.how.beam_width

  @property
  def lookahead(self) -> int | None:
    return self.how.lookahead


@functools.lru_cache(_KEPT)
def scores(samples: Samples, verifier: str, aggregation: str) -> np.ndarray | None:
  """Final scores float64 [Q, N], or None where the samples that vote have not all been scored."""
  if verifier == samples.guide and aggregation == 'last':
    found = samples.answer_score
  else:
    steps = samples.scored(verifier)
    if steps is None:
      return None
    found = answer_choice.aggregate(steps, aggregation)
  if not samples.votes.any() or np.isnan(found[samples.votes]).any():
    return None
  return found


def _tries(samples: Samples, values: np.ndarray, size: int) -> np.ndarray:
  """Sums over each group of `size` slots, averaged over groups: [Q, N] --> float64 [Q]."""
  count = samples.setting.strategy.num_candidates // size
  return values[:, :count * size].sum(axis=1) / count


@functools.lru_cache(_KEPT)
def _tokens(samples: Samples, model: str, size: int) -> dict[str, np.ndarray] | None:
  """What `size` samples cost on one model: token counts [Q] by kind; None without any counts.

  A question's prompt is read once for all its candidates, so every try pays for it once, whatever
  row its counts are on.
  """
  counts = samples.counts.get(model)
  if counts is None:
    return None
  tries = samples.setting.strategy.num_candidates // size
  used = counts[:, :tries * size]
  total = dict(zip(COUNTS, used.sum(axis=1).T))
  prompts = used[..., COUNTS.index('prompt')]
  prompt = counts[..., COUNTS.index('prompt')].max(axis=1)
  # A prompt's token i attends to i keys, itself among them.
  context = lambda tokens: tokens * (tokens + 1) // 2
  cost = {name: values / tries for name, values in total.items()}
  cost['prompt'] = prompt.astype(float)
  cost['entered'] = (total['entered'] - total['prompt']) / tries + prompt
  cost['attended'] = (total['attended'] - context(prompts).sum(axis=1)) / tries + context(prompt)
  return cost


def _cost(samples: Samples, model: str, size: int, models: Mapping[str, Any],
          ) -> tuple[dict[str, np.ndarray] | None, np.ndarray | None]:
  """Token counts [Q] by kind, and FLOPs [Q]; None for what is unknown."""
  cost = _tokens(samples, model, size)
  meta = models.get(model)
  return cost, None if None in (cost, meta) else flops.spent(meta, cost)


def outcome(samples: Samples, models: Mapping[str, Any], *, strategy: str, size: int,
            selection: str, verifier: str | None = None, aggregation: str | None = None,
            proposal: str | None = None) -> Outcome | None:
  """One `Outcome` from the samples of one setting.

  Args:
    samples: a pool, of which `size` make a try, or a search's candidates.
    models: name -> `model.json`, for FLOPs.
    strategy: its name in the results.
    size: samples per try.
    selection: one of `select.SELECTIONS` or `select.OF_CHAINS`.
    verifier: the one that is paid for: the search's guide whatever the selection reads, or the one
      whose scores it reads.
    aggregation: of its step scores; None where the selection reads no scores.
    proposal: as in `Outcome`.

  Returns:
    None where the verifier has not scored the samples.
  """
  score, how = None, samples.setting.strategy
  length = how.chain_length
  if aggregation is not None:
    score = scores(samples, verifier, aggregation)
    if score is None:
      return None
  right, silent = answer_choice.outcome(
      selection, size, answer=vote_groups.tries(samples, size), correct=samples.correct,
      score=score,
      logprob=samples.logprob, chain_length=length, weight=samples.weight)
  generator, spent = _cost(samples, samples.setting.model, size, models)
  read = np.zeros(len(samples.ids))
  if verifier is not None:
    tokens, more = _cost(samples, verifier, size, models)
    reads = not flops.is_latent(models.get(verifier))
    read = None if tokens is None else tokens['entered'] * reads
    spent = None if spent is None or more is None else spent + more
  seconds, num = samples.row_seconds, how.num_candidates
  return Outcome(
      # Part of a pool is charged as itself, a search as a whole: its simulations too.
      strategy=strategy, budget=size if size < num else how.budget,
      parameters=how.parameters, guided=samples.setting.guided,
      verifier=verifier, aggregation=aggregation, selection=selection, repeats=num // size,
      ids=samples.ids, accuracy=right, unanswered=silent,
      truncated=_tries(samples, samples.truncated.astype(float), size),
      generated_tokens=generator and sum(generator[c] for c in ('kept', 'pruned', 'simulated')),
      verifier_tokens=read, flops=spent,
      # The pool was timed as a whole; its samples share the time evenly.
      seconds=seconds and samples.seconds * size / num,
      chains=length and (size // length if how.method == 'chains' else 1),
      chain_length=length, proposal=proposal, main=samples.main,
      **{name: _tries(samples, values, size) for name, values in samples.thinking.items()})


def _averaged(tries: list[Outcome]) -> Outcome:
  """Repeats of one search as one outcome, on the questions that all of them have."""
  if len(tries) == 1:
    return tries[0]
  ids = sorted(set.intersection(*(set(t.ids) for t in tries)))
  fields: dict[str, Any] = {'ids': tuple(ids), 'repeats': sum(t.repeats for t in tries)}
  for name in ('accuracy', 'unanswered', 'truncated', 'generated_tokens', 'verifier_tokens',
               'flops', *THINKING):
    values = [getattr(t, name) for t in tries]
    fields[name] = None if values[0] is None else np.mean(
        [v[np.searchsorted(t.ids, ids)] for t, v in zip(tries, values)], axis=0)
  known = [t.seconds for t in tries if t.seconds is not None]
  fields['seconds'] = float(np.mean(known)) if known else None
  return dataclasses.replace(tries[0], **fields)


def budgets(largest: int) -> list[int]:
  """1, 2, 4, ... up to `largest`."""
  return [2**i for i in range(largest.bit_length())]


def greedy(run: RunFiles) -> Iterator[Outcome]:
  samples = run.setting('base', 'greedy')
  if samples is not None:
    yield outcome(samples, run.models, strategy='greedy', size=1, selection='majority')


def pools(run: RunFiles) -> Iterator[Outcome]:
  """Best-of-N in all its forms, from the independent pools, by every verifier."""
  found = run.pools('base')
  main, *others = run.verifiers
  scored = [(main, how) for how in answer_choice.AGGREGATIONS] + [(name, 'last') for name in others]
  for size in budgets(max((pool.setting.strategy.budget for pool in found), default=0)):
    samples = next(pool for pool in found if pool.setting.strategy.budget >= size)
    for name in (*answer_choice.UNSCORED, 'oracle'):
      if name == 'logprob_weighted' and not samples.logprob_known:
        continue
      yield outcome(samples, run.models, strategy=name, size=size, selection=name)
    for name in answer_choice.SCORED:
      for verifier, how in scored:
        yield outcome(samples, run.models, strategy=name, size=size, selection=name,
                      verifier=verifier, aggregation=how)


def searches(run: RunFiles) -> Iterator[Outcome]:
  """Every search by every guide, its answers chosen in every way."""
  repeats = collections.defaultdict(list)
  for setting, samples in run.search.items():
    if setting.guided and setting.model == 'base':
      repeats[dataclasses.replace(setting, repeat=0)].append(samples)
  for setting, tries in repeats.items():
    for selection, how in (('best_of_n_weighted', 'last'), ('best_of_n_weighted', 'min'),
                           ('best_of_n_weighted', 'prod'), ('best_of_n', 'last'),
                           ('majority', None), ('oracle', None)):
      found = [outcome(t, run.models, strategy=setting.strategy.method,
                       size=setting.strategy.num_candidates,
                       selection=selection, verifier=t.guide, aggregation=how) for t in tries]
      yield _averaged(found) if all(found) else None


def forced(run: RunFiles) -> Iterator[Outcome | None]:
  """Budget forcing by every cap and number of waits, the answers of several chosen in every way."""
  for setting, samples in run.search.items():
    if setting.strategy.method == 'budget_forcing':
      for size in budgets(setting.strategy.budget):
        made = functools.partial(outcome, samples, run.models, strategy='budget_forcing', size=size)
        yield made(selection='majority')
        yield made(selection='oracle')
        yield made(selection='best_of_n_weighted', verifier=run.main, aggregation='last')


def every(run: RunFiles) -> list[Outcome]:
  """All of these; see `revisions.every` for the rest."""
  return [o for source in (greedy, pools, searches, forced) for o in source(run) if o is not None]
