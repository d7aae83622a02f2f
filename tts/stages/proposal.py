"""Search with the revision model as proposal: candidates that are written after earlier answers.

The paper never combined its two mechanisms. Here k answers of a chain are written first; then a
beam search, guided by the main verifier, takes its steps from the revision model with these
answers in context. The verifier reads the question and the candidate alone, as it was trained. All
are charged: N = budget - k candidates are left to search. Records:
`revise/revision-beam-m<M>-l<k>-n<budget>`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from tts import methods
from tts.revision import chains
from tts.revision.chains import Revision
from tts.runs import record_rows
from tts.runs.blocks import Block
from tts.runs.models_at_work import PerQuestion, Workers
from tts.runs.run import Run
from tts.runs.work import Work
from tts.runs.workdir import fingerprint
from tts.searching.tree import Tree
from tts.stages import chain_pool, sample_pool, search as search_lib
from tts.types import Strategy

_FORMAT = 2  # of rows; files of another one are made anew
_WIDTH = 4   # M, the paper's other rule than sqrt(N)


def strategy(answers: int, budget: int) -> Strategy:
  """Of `RevisionConfig.searched`."""
  return methods.strategy(methods.beam(min(_WIDTH, budget - answers)), budget, answers)


def work(workers: Workers, blocks: list[Block], mark: str, how: Strategy, split: str) -> Work:
  """One setting on every question of the blocks."""
  run = workers.run
  before = chain_pool.strategy(1, how.chain_length)
  write = chain_pool.sampler(workers, 'revision', 'test', before)
  search = search_lib.searcher(workers, how, run.main, 'proposal', 'revision')

  def of(block: Block) -> Callable[[int, int], Coroutine]:
    chain, tree = write.of(block), search.of(block)

    async def question(b: int, group: int) -> tuple[list[Revision], list[int], Tree]:
      answers, = await chain(b, group)
      told = chains.context(block.prompts[b], [a.sample.tokens.tolist() for a in answers],
                            run.limits.roles)
      return answers, told, await tree(b, group, told)

    return question

  def rows_of(block: Block, found: list[tuple[list[Revision], list[int], Tree]]) -> list[dict]:
    return [row for b, (answers, told, tree) in enumerate(found)
            for row in _rows(run, block.problems[b], how, tree, split, answers, len(told),
                             len(block.prompts[b]))]

  mark = fingerprint(mark, run.model('revision').mark, run.model(run.main).mark,
                     run.experiment.sampling, how.name, run.seed, _FORMAT)
  return Work(sample_pool.folder('revise', 'revision', how), mark, blocks,
              PerQuestion(of, search.models, search.rows), rows_of,
              {'strategy': how.method, 'budget': how.budget, 'theta': how.theta,
               'model': 'revision', 'verifier': run.main}, workers, run.experiment.data.grader)


def _rows(run: Run, problem: Any, how: Strategy, tree: Any, split: str, before: list[Revision],
          context_tokens: int, prompt_tokens: int) -> list[dict[str, Any]]:
  """Rows of one question's candidates; the first pays for the answers before, which are dropped."""
  rows = run.rows.tree_rows(problem, how, tree, verifier=run.main, split=split,
                            stream='proposal', prompt_tokens=prompt_tokens, model='revision',
                            own_prompt=run.model(run.main).own_prompt(problem))
  total = lambda values: sum(int(v) for v in values)
  again = total(a.reencoded for a in before)
  rows[0]['counts']['revision'] = record_rows.add(
      rows[0]['counts']['revision'], last=len(before),
      pruned=total(len(a.sample.tokens) for a in before), reencoded=again + context_tokens,
      entered=total(a.sample.entered for a in before) + again + context_tokens,
      attended=total(a.sample.attended + a.reencoded_attended for a in before)
      + context_tokens * (context_tokens + 1) // 2)
  return rows
