"""A search tree as what a page is drawn from: `tts.eval.report.tree_page` renders it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tts.data.tokenizer import Tokenizer
from tts.eval.measures import answer_choice
from tts.eval.storage import find_equal_answers
from tts.searching.tree import Node, Tree
from tts.types import Problem, Strategy


def f32(x: float) -> float:
  """The shortest decimal that is this float32."""
  return float(str(np.float32(x)))


def tree_page(tokenizer: Tokenizer, grader: str, problem: Problem, strategy: Strategy, tree: Tree,
              rows: list[dict[str, Any]]) -> dict[str, Any]:
  """A search tree as JSON.

  Where the grader takes different normal forms for the same answer, the gold one among them, these
  are its field `equal`, and `voters` are the last nodes of the candidates in the vote's order.

  Args:
    tokenizer: the generator's.
    grader: by which votes take answers for the same.
    problem: the question.
    strategy: what was run.
    tree: what it found.
    rows: of its candidates: `problem_id`, `slot`, `answer`, `truncated`, `answer_score`, and
      `weight` where that is not 1.
  """
  found = find_equal_answers.of_rows(grader, rows, {problem.id: problem.answer})
  winner = answer_choice.best_of_n_weighted_answer(rows, found.of(problem.id))
  equal = found.equal.get(problem.id)
  status, particles = tree.statuses(), tree.particles()
  nodes = [{'id': i, 'parent': node.parent if node.parent >= 0 else None, 'round': node.round,
            'slot': node.slot, 'text': tokenizer.decode(node.tokens.tolist()).rstrip('\n'),
            'score': f32(node.score), 'tokens': len(node.tokens), 'status': status[i],
            **({'weight': len(particles[i])} if len(particles.get(i, ())) > 1 else {}),
            **_simulation(node, tokenizer)}
           for i, node in enumerate(tree.nodes)]
  return {'problem_id': problem.id, 'prompt': problem.prompt, 'answer': problem.answer,
          'strategy': strategy.method, 'theta': strategy.theta,
          'budget': strategy.budget, 'winner': winner, 'nodes': nodes,
          **({} if not equal else {'equal': equal, 'voters': list(particles)})}


def _simulation(node: Node, tokenizer: Tokenizer) -> dict[str, Any]:
  """What lookahead scored a node by, as its field `simulation`; nothing where it did not look."""
  ahead = node.simulation
  if ahead is None:
    return {}
  return {'simulation': {'text': tokenizer.decode(ahead.tokens.tolist()).rstrip('\n'),
                         'score': f32(ahead.score), 'tokens': len(ahead.tokens)}}
