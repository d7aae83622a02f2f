"""Record rows from samples and search trees; the format is what the report reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import numpy as np

from tts import answers
from tts.answers import grading
from tts.data.tokenizer import Tokenizer
from tts.library import token_statistics
from tts.library.tree_json import f32
from tts.revision.chains import Revision
from tts.roles import Roles
from tts.runs.blocks import Block
from tts.sampling.pool import Sample
from tts.searching.tree import Tree
from tts.types import Problem, Strategy


Rows = list[dict[str, Any]]  # of one question
Counts = dict[str, int | None]


def prompt_counts(prompt_tokens: int) -> Counts:
  """Counts of reading a question's prompt, once."""
  return {'prompt': prompt_tokens, 'kept': 0, 'pruned': 0, 'simulated': 0, 'reencoded': 0,
          'last': 0, 'entered': prompt_tokens,
          'attended': prompt_tokens * (prompt_tokens + 1) // 2}


def add(counts: Counts, **more: int | None) -> Counts:
  """Counts and more of them; what is not known in one of the two is not known."""
  return {**counts, **{k: None if counts[k] is None or v is None else counts[k] + int(v)
                       for k, v in more.items()}}


def entering(counts: Counts, entered: int | None, attended: int | None, kept: int = 0) -> Counts:
  """Adds what entered a generator for what it wrote; None where a server does not say.

  Here every token that is drawn enters once; what is forced enters too, and is `reencoded`. A
  server reads some again, which is that as well, and less than none of it where it had read them
  for another question. kept: tokens that are in other rows' counts.
  """
  found = add(counts, entered=entered, attended=attended)
  if found['entered'] is None:
    return found
  once = kept + sum(found[k] for k in ('prompt', 'kept', 'pruned', 'simulated')) - found['last']
  return add(found, reencoded=found['entered'] - once)


def _statistics(parts: Sequence[token_statistics.Part]) -> dict[str, Any]:
  """A row's field `statistics` where they were asked for; no field where not."""
  found = token_statistics.joined(parts)
  return {} if found is None else {'statistics': found}


def _read(text: str | None, finished: bool) -> dict[str, Any]:
  """`answer` and `truncated` of a solution. text: what its answer is read from, or None."""
  return {'answer': answers.extract(text) if finished and text is not None else None,
          'truncated': not finished}


def _written(sample: Sample) -> dict[str, int]:
  """Counts of writing a sample, but for what entered.

  What was forced is read and not drawn; what was dropped is drawn and never enters.
  """
  forced, dropped = (sample.forced.tokens, sample.forced.suppressed) if sample.forced else (0, 0)
  return {'kept': len(sample.tokens) - forced, 'pruned': dropped + sample.discarded,
          'last': 1 + dropped}


def _forced(sample: Sample) -> dict[str, Any]:
  """A row's fields of what budget forcing did: `forced`, places of tokens as (begin, end) pairs."""
  if sample.forced is None:
    return {}
  return {'forced': [list(span) for span in sample.forced.spans],
          'suppressed': sample.forced.suppressed, 'waits': sample.forced.waits}


def put_scores(row: dict[str, Any], name: str, values: np.ndarray, main: bool,
               stepwise: bool = True) -> None:
  """Puts a verifier's values float32 [T] at the row's step ends into the row.

  The `main` one has fields of its own; another is in `other_scores` under its name, with its value
  at the last step alone if it is not `stepwise`.
  """
  if np.isnan(values[:len(row['tokens'])]).any():
    raise FloatingPointError(f'the verifier {name} gave NaN: its weights are broken')
  scores = [f32(values[end - 1]) for end in row['step_ends']]
  if main:
    row['step_scores'], row['answer_score'] = scores, scores[-1]
  else:
    row['other_scores'][name] = scores if stepwise else scores[-1:]


def count_read(row: dict[str, Any], name: str, attended: int, prompt_tokens: int, first: bool,
               context_tokens: int = 0, own_ids: int | None = None) -> None:
  """Puts what a verifier read for its scores into the row's counts.

  `context_tokens` were read for this row alone, the question among them. A verifier with a
  tokenizer of its own read `own_ids`, all re-encoded.
  """
  kept, again = len(row['tokens']), context_tokens
  if own_ids is not None:
    kept, again = 0, own_ids
  row['counts'][name] = add(prompt_counts(prompt_tokens if first else 0),
                            kept=kept, reencoded=again, entered=kept + again,
                            attended=attended + context_tokens * (context_tokens + 1) // 2)


def count_states(row: dict[str, Any], name: str) -> None:
  """Counts of a latent verifier: it reads the states of every token that its generator reads."""
  row['counts'][name] = dict(row['counts'][row['model']])


@dataclasses.dataclass(frozen=True)
class RowMaker:
  """Makes a run's rows.

  Attributes:
    tokenizer: of the generator.
    roles: what its ids mean to a sampler.
    grader: how answers are compared, of `graders.GRADERS`.
    seed: of the run.
    engine: a model's name --> what wrote for it, its rows' field `engine`; None where it was this
      program, whose rows have no such field.
  """

  tokenizer: Tokenizer
  roles: Roles
  grader: str
  seed: int
  engine: Callable[[str], dict[str, Any] | None] = lambda model: None

  def _engine(self, model: str) -> dict[str, Any]:
    engine = self.engine(model)
    return {} if engine is None else {'engine': engine}

  def judge(self, solutions: Sequence[tuple[str | None, bool, Problem]]) -> list[dict[str, Any]]:
    """`answer`, `truncated` and `correct` of solutions, all graded together.

    Args:
      solutions: (text behind the thought, None where that was cut off; whether it is finished;
        question).
    """
    found = [_read(text, finished) for text, finished, _ in solutions]
    self._grade([(row, problem) for row, (_, _, problem) in zip(found, solutions)])
    return found

  def read(self, rows: Rows) -> None:
    """Puts `answer` and `truncated` into rows that have none, of one question or of many."""
    unread = [row for row in rows if row['truncated'] is None]
    for row, text in zip(unread, self._answers([row['tokens'] for row in unread])):
      row.update(_read(text, self.roles.finished(row['tokens'])))

  def _answers(self, solutions: Sequence[Sequence[int]]) -> list[str | None]:
    """The text that each one's answer is read from."""
    found = [self.roles.answer(tokens) for tokens in solutions]
    texts = self.tokenizer.decode_batch([[] if part is None else part for part in found])
    return [None if part is None else text for part, text in zip(found, texts)]

  def _thinking(self, tokens: Sequence[int]) -> dict[str, int]:
    """`thinking_tokens` and `answer_tokens` of a row; no fields where nothing thinks."""
    if self.roles.thinking is None:
      return {}
    thought = self.roles.thinking.length(tokens)
    return {'thinking_tokens': thought, 'answer_tokens': len(tokens) - thought}

  def grade(self, block: Block, tables: Sequence[Rows]) -> Rows:
    """Puts `answer`, `truncated` and `correct` into rows that lack them, and gives all of them.

    tables: rows of independent samples or of chains, of each question of the block.
    """
    rows = [(row, problem) for problem, mine in zip(block.problems, tables) for row in mine]
    self.read([row for row, _ in rows])
    self._grade(rows)
    return [row for row, _ in rows]

  def _grade(self, rows: Sequence[tuple[dict[str, Any], Problem]]) -> None:
    """Puts `correct` into rows that have an `answer`, None included; None without a gold answer."""
    asked = []
    for row, problem in rows:
      row['correct'] = None if problem.answer is None else False
      if row['answer'] is not None and problem.answer is not None:
        asked.append((row, problem))
    verdicts = grading.are_right(
        self.grader, [(row['answer'], problem.answer) for row, problem in asked],
        [problem.prompt for _, problem in asked])
    for (row, _), verdict in zip(asked, verdicts):
      row['correct'] = verdict

  def sample_row(self, problem: Problem, strategy: Strategy, sample: Sample, *, slot: int,
                 stream: str, model: str, split: str, prompt_tokens: int,
                 first: bool) -> dict[str, Any]:
    """Row of one independent sample, not graded, without verifier scores.

    `first` carries the prompt.
    """
    counts = prompt_counts(prompt_tokens if first else 0)
    return {
        'split': split, 'stream': stream, 'model': model, 'problem_id': problem.id,
        'strategy': strategy.method, 'theta': strategy.theta, 'budget': strategy.budget,
        'seed': self.seed, 'repeat': 0, 'slot': slot, 'tokens': sample.tokens.tolist(),
        'step_ends': self.roles.step_ends(sample.tokens), 'step_scores': None,
        'answer': None, 'truncated': None, 'correct': None, 'answer_score': None, 'verifier': None,
        'other_scores': {},
        'logprob': f32(sample.logprob.sum(dtype=np.float64)), 'level': problem.level, 'context': [],
        **self._thinking(sample.tokens), **_forced(sample),
        **_statistics([(sample.logprob, sample.statistics)]), **self._engine(model),
        'counts': {model: entering(add(counts, **_written(sample)), sample.entered,
                                   sample.attended)}}

  def sample_rows(self, block: Block, b: int, samples: Sequence[Sample], strategy: Strategy, *,
                  stream: str, model: str, split: str) -> Rows:
    """Rows of independent samples of a block's question, in the order of their slots.

    They are to be `grade`d.
    """
    return [self.sample_row(block.problems[b], strategy, sample, slot=n, stream=stream, model=model,
                            split=split, prompt_tokens=len(block.prompts[b]), first=n == 0)
            for n, sample in enumerate(samples)]

  def chain_rows(self, block: Block, b: int, chains: Sequence[Sequence[Revision]],
                 strategy: Strategy, *, stream: str, model: str, split: str) -> Rows:
    """Rows of chains of revisions of a block's question, one chain after the other.

    A chain's answers have slots side by side; `context` are the slots of those that a row was
    written after. They are to be `grade`d.
    """
    def row(c: int, t: int) -> dict[str, Any]:
      begin, revision = c * strategy.chain_length, chains[c][t]
      found = self.sample_row(block.problems[b], strategy, revision.sample, slot=begin + t,
                              stream=stream, model=model, split=split,
                              prompt_tokens=len(block.prompts[b]), first=begin + t == 0)
      found['context'] = [begin + i for i in revision.context]
      found['counts'][model] = add(
          found['counts'][model], reencoded=revision.reencoded, entered=revision.reencoded,
          attended=revision.reencoded_attended)
      return found

    return [row(c, t) for c, chain in enumerate(chains) for t in range(len(chain))]

  def tree_rows(self, problem: Problem, strategy: Strategy, tree: Tree, *, verifier: str,
                split: str, stream: str, prompt_tokens: int, model: str = 'base',
                own_prompt: int | None = None, latent: bool = False) -> list[dict[str, Any]]:
    """Rows of the candidates that a search of `model`'s steps, guided by `verifier`, ended with.

    A solution that several particles ended with is one row of so much `weight`. A node's tokens
    count once, for the lowest slot on whose path it lies. The first row carries the question's
    prompt, pruned nodes, what lookahead simulated, and what is not one candidate's own.
    `own_prompt` are the question's ids for a verifier with a tokenizer of its own: what it read of
    the solutions is not the generator's tokens, and counts as re-encoded. A `latent` verifier read
    nothing but the states of what was written.
    """
    found = tree.particles()
    paths = [tree.path(last) for last in found]
    solutions = [[tree.nodes[i] for i in path] for path in paths]
    tokens_of = [np.concatenate([node.tokens for node in steps]) for steps in solutions]
    verdicts = self.judge([(text, steps[-1].finished, problem) for text, steps in zip(
        self._answers([tokens.tolist() for tokens in tokens_of]), solutions)])
    rows, counted = [], set()
    ahead = [node.simulation for node in tree.nodes if node.simulation is not None]
    simulated = sum(len(s.tokens) for s in ahead)
    ended = sum(not node.live for node in tree.nodes) + sum(s.ended for s in ahead)
    for slots, path, steps, tokens, verdict in zip(found.values(), paths, solutions, tokens_of,
                                                   verdicts):
      kept = sum(len(tree.nodes[i].tokens) for i in path if i not in counted)
      counted.update(path)
      scores = [f32(node.score) for node in steps]
      rows.append({
          'split': split, 'stream': stream, 'model': model, 'problem_id': problem.id,
          'strategy': strategy.method, 'theta': strategy.theta, 'budget': strategy.budget,
          'seed': self.seed, 'repeat': 0, 'slot': slots[0],
          **({'weight': len(slots)} if len(slots) > 1 else {}), 'tokens': tokens.tolist(),
          'step_ends': np.cumsum([len(node.tokens) for node in steps]).tolist(),
          'step_scores': scores,
          **verdict,
          'answer_score': scores[-1], 'verifier': verifier, 'other_scores': {},
          'logprob': f32(sum(node.logprob for node in steps)), 'level': problem.level,
          'context': [], **self._thinking(tokens),
          **_statistics([(node.logprobs, node.statistics) for node in steps]),
          **self._engine(model),
          'counts': {m: add(prompt_counts(0), kept=kept) for m in (model, verifier)}})
    pruned = sum(len(n.tokens) for i, n in enumerate(tree.nodes) if i not in counted)
    kept = sum(row['counts'][model]['kept'] for row in rows)
    written = add(prompt_counts(prompt_tokens), pruned=pruned, simulated=simulated)
    (entered, read), (attended, seen) = tree.entered, tree.attended
    share = {
        model: entering(add(written, pruned=tree.discarded, last=ended), entered, attended, kept),
        verifier: add(written, entered=read, attended=seen)}
    if own_prompt is not None:
      share[verifier] = add(prompt_counts(own_prompt), reencoded=read, entered=read, attended=seen)
      for row in rows:
        row['counts'][verifier]['kept'] = 0
    for name, counts in share.items():
      rows[0]['counts'][name] = add(rows[0]['counts'][name], **counts)
    if latent:
      for row in rows:
        count_states(row, verifier)
    return rows
