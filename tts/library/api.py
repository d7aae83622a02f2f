"""`tts.sample`, `tts.score`, `tts.search` and `tts.grade`: see `tts`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tts import answers, methods
from tts.answers import grading
from tts.budget_forcing_config import BudgetForcing
from tts.data.prompts import PromptConfig, Prompts
from tts.library import calls, token_statistics
from tts.library.calls import Limits, Questions, Scorer, Scores, spent, Values
from tts.library.models import given, LanguageModel, RewardModel
from tts.library.results import Result, Solution, voted
from tts.library.served import ServedModel
from tts.library.tree_json import tree_page
from tts.methods import Method
from tts.models.latent import Head
from tts.sampling import budget_forcing as forced, pool
from tts.sampling.pool import Sample
from tts.searching.search import Question, same_ids, Search
from tts.searching.tree import Tree
from tts.types import InputError


def sample(generator: LanguageModel | ServedModel, questions: Sequence[str], n: int = 16, *,
           verifier: RewardModel | None = None, selection: str | None = None,
           grader: str = 'exact', limits: Limits = Limits(), seed: int = 0, ordered: bool = True,
           progress: bool = True, budget_forcing: BudgetForcing | None = None,
           **sampling: Any) -> Iterator[Result]:
  """n independent solutions of each question, and what they vote for.

  Sample i of a question is the same for every n and whatever else is asked, in whatever order. Of a
  text that is asked twice, the first and the second are drawn apart.

  Args:
    generator: of `tts.load_generator`, or of `tts.connect_generator`.
    questions: texts.
    n: solutions of each.
    verifier: of `tts.load_verifier`; scores each step of them.
    selection: how an answer is chosen: `majority`, `logprob_weighted`, and with a verifier
      `best_of_n` or `best_of_n_weighted`; None is the last one, or majority.
    grader: by which answers are taken for the same: `exact` or `math`.
    limits: of prompts, solutions and steps, in tokens. They cost nothing where they are generous; a
      solution that comes to one is cut off, and has no answer.
    seed: of all that is drawn.
    ordered: results in the order of the questions, or as they are done.
    progress: show a bar where it takes more than a few seconds.
    budget_forcing: how long the model thinks, `tts.BudgetForcing(thinking_tokens=2048, waits=1)`,
      of one that was loaded with `thinking=`; None leaves it to the model.
    sampling: how tokens are drawn, options of `tts.sampling.logits.SamplingConfig`:
      `temperature=0.8` (0 is greedy), `top_k=40`, `top_p=0.95`, ...

  Yields:
    A `Result` per question.

  Raises:
    tts.InputError: a question is too long, or an argument is no good; the message says why.
  """
  model, how = calls.generator_of(generator), calls.sampling(sampling)
  _positive(n=n)
  asked, head = Questions(questions, model.prompts, limits, seed), _head(verifier)
  forcing = budget_forcing and budget_forcing.forcing(model.prompts, asked.limits)
  if forcing and isinstance(model, ServedModel):
    raise InputError(f'budget_forcing is given, and {model.source} is on a server, which is not '
                     'asked to go on behind what is forced: load it by tts.load_generator')
  if forcing and (head is not None or how.statistics):
    raise InputError('budget_forcing is given, and '
                     + ('statistics too' if verifier is None or head is None else
                        f'{verifier.source} scores what is drawn alone')
                     + ': what is forced has none, leave one of the two out')
  writing: Any = model.at_work(how, asked.limits, verifier)  # a server's is as good as ours
  scorer = _scorer(verifier, asked, model.prompts)
  keys = asked.keys(range(n))
  selection = _selection(selection, verifier)

  async def one(i: int, group: int) -> tuple[list[Sample], Scores | None]:
    if forcing:
      found = await forced.samples(writing, group, asked.ids[i], keys[i], forcing)
    else:
      found = await pool.samples(writing, group, asked.ids[i], keys[i], how.temperature == 0)
    if head is not None:
      return found, calls.written_scores(found, asked.limits)
    if scorer is not None:
      return found, await scorer.scored(i, group, [s.tokens for s in found])
    return found, None

  def result(i: int, done: tuple[list[Sample], Scores | None]) -> Result:
    found, scores = done
    steps: Sequence[Values] = [()] * n if scores is None else scores.steps
    solutions = tuple(
        asked.solution(s.tokens, float(s.logprob.sum(dtype=float)), values,
                       statistics=token_statistics.joined([(s.logprob, s.statistics)]),
                       forced_tokens=s.forced.tokens if s.forced else 0)
        for s, values in zip(found, steps))
    total = lambda name: _known_sum(getattr(s, name) for s in found)
    written = sum(s.num_drawn for s in found)
    cost = [spent(model.arch, 'lm', len(asked.ids[i]), written, total('entered'),
                  total('attended'), head)]
    if scorer is not None and scores is not None:
      cost.append(spent(scorer.arch, 'prm', scores.prompt, 0, scores.entered, scores.attended))
    return _result(asked, i, solutions, selection, grader, written,
                   scores.entered if scores else 0, cost)

  models = [writing, *([] if scorer is None else [scorer.reading])]
  return calls.results(one, result, Result, len(asked.ids), models, n, ordered, progress)


def search(generator: LanguageModel | ServedModel, verifier: RewardModel,
           questions: Sequence[str], *, method: Method = methods.beam(), budget: int = 16,
           selection: str | None = None, grader: str = 'exact', limits: Limits = Limits(),
           seed: int = 0, ordered: bool = True, progress: bool = True,
           **sampling: Any) -> Iterator[Result]:
  """What a step-level search of each question, guided by a verifier, ends with.

  Args:
    generator: of `tts.load_generator`, or of `tts.connect_generator`.
    verifier: of `tts.load_verifier`.
    questions: texts.
    method: of `tts.methods`, or one of your own: `tts.methods.rebase(temperature=0.1)`.
    budget: generations that each question is charged: N rows, with lookahead k N (k + 1).
    selection: how an answer is chosen of the solutions that it ends with; None is
      `best_of_n_weighted`.
    grader, limits, seed, ordered, progress, sampling: as of `sample`.

  Yields:
    A `Result` per question, with the search's tree.

  Raises:
    tts.InputError: as of `sample`; or the budget pays for no row.
  """
  model, how = calls.generator_of(generator), calls.sampling(sampling)
  strategy = methods.strategy(method, budget)
  num = strategy.num_candidates
  if num < 1:
    raise InputError(f'budget = {budget} pays for no row of {strategy.method}: give '
                     f'{strategy.charge} or more')
  asked = Questions(questions, model.prompts, limits, seed)
  if verifier is None:
    raise InputError('a search needs a verifier: load one by tts.load_verifier')
  head = _head(verifier)
  writing: Any = model.at_work(how, asked.limits, verifier)  # as in `sample`
  scorer = _scorer(verifier, asked, model.prompts)
  selection = _selection(selection, verifier)
  keys = asked.keys(range(-1, num))  # the method draws by the first
  reading, reader = (None, None) if scorer is None else (scorer.reading, scorer.reader)
  rewrite = same_ids if reader is None else reader.search_step

  async def one(i: int, group: int) -> Tree:
    own = scorer.prompt(i) if scorer else ()
    question = Question(asked.ids[i], own, keys[i][1:], keys[i][0])
    return await Search(writing, reading, question, method, group, rewrite).run()

  def result(i: int, tree: Tree) -> Result:
    solutions, rows = [], []
    for last, slots in tree.particles().items():
      nodes = [tree.nodes[j] for j in tree.path(last)]
      solution = asked.solution(tree.tokens(last), sum(n.logprob for n in nodes),
                                [n.score for n in nodes], len(slots), token_statistics.joined(
                                    [(n.logprobs, n.statistics) for n in nodes]))
      solutions.append(solution)
      rows.append({'problem_id': asked.problems[i].id, 'slot': slots[0],
                   'answer': solution.answer, 'truncated': not solution.finished,
                   'answer_score': solution.score, 'weight': solution.weight})
    written = tree.discarded + sum(
        len(n.tokens) + (len(n.simulation.tokens) if n.simulation else 0) for n in tree.nodes)
    cost = [spent(model.arch, 'lm', len(asked.ids[i]), written, _number(tree.entered[0]),
                  _number(tree.attended[0]), head)]
    if scorer is not None:
      cost.append(spent(scorer.arch, 'prm', len(scorer.prompt(i)), 0, int(tree.entered[1]),
                        int(tree.attended[1])))
    page = tree_page(model.tokenizer, grader, asked.problems[i], strategy, tree, rows)
    return _result(asked, i, tuple(solutions), selection, grader, written, int(tree.entered[1]),
                   cost, page)

  models = [writing, *([] if reading is None else [reading])]
  return calls.results(one, result, Result, len(asked.ids), models, num, ordered, progress)


def score(verifier: RewardModel, questions: Sequence[str], solutions: Sequence[Sequence[str]], *,
          limits: Limits = Limits(), ordered: bool = True, progress: bool = True,
          **prompts: Any) -> Iterator[tuple[Solution, ...]]:
  """Solutions that are given, with a verifier's values at their steps.

  Args:
    verifier: of `tts.load_verifier`.
    questions: texts.
    solutions: of each question, as texts in which a line (or what `delimiter` says) is a step.
    limits, ordered, progress: as of `sample`.
    prompts: how questions are put, as of `tts.load_generator`; an open verifier has its own way.

  Yields:
    The solutions of each question.

  Raises:
    tts.InputError: as of `sample`; or a solution is too long, or their number is not that of the
      questions.
  """
  _scorable(verifier)
  if len(questions) != len(solutions):
    raise InputError(f'there are {len(questions)} questions and solutions of {len(solutions)}')
  own = Prompts(given(PromptConfig, prompts), verifier.tokenizer)
  if verifier.generator is not None and not prompts:  # it reads what that one would have written
    own = verifier.generator.prompts
  asked = Questions(questions, own, limits, 0)
  tokens = [[calls.encoded(own, text, i, limits) for text in of] for i, of in enumerate(solutions)]
  scorer = Scorer(verifier, asked, own)

  async def one(i: int, group: int) -> Scores:
    return await scorer.scored(i, group, tokens[i])

  def result(i: int, scores: Scores) -> tuple[Solution, ...]:
    return tuple(dataclasses.replace(asked.solution(ids, None, steps), text=text)
                 for text, ids, steps in zip(solutions[i], tokens[i], scores.steps))

  return calls.results(one, result, tuple[Solution, ...], len(asked.ids), [scorer.reading],
                       max(1, *map(len, tokens)), ordered, progress)


@dataclasses.dataclass(frozen=True)
class Grade:
  """Whether a text answers a question as it should.

  Attributes:
    correct: whether its answer is the gold one.
    extracted: the answer, or None where the text has none.
    found_by: what marked it, of `tts.answers.RULES`; None where there is none.
  """

  correct: bool
  extracted: str | None
  found_by: str | None


def grade(predictions: Sequence[str], gold: Sequence[str], grader: str = 'exact',
          questions: Sequence[str] | None = None) -> list[Grade]:
  """Compares the answers that texts end in with gold answers.

  Args:
    predictions: what a model wrote; the last answer of the highest-ranked kind counts.
    gold: the right answer of each, bare, boxed or after `####`.
    grader: `exact`, or `math`, which asks math-verify about what that cannot read, or yours.
    questions: the problems' texts, for a grader that reads them.

  Raises:
    tts.InputError: the grader is none or not installed, or the numbers differ.
  """
  if isinstance(predictions, str) or len(predictions) != len(gold):
    raise InputError('predictions and gold are to be lists of the same length')
  found = [answers.find(text) for text in predictions]
  said = [f.answer if f else None for f in found]
  verdicts = grading.are_right(grader, list(zip(said, gold)), questions)
  return [Grade(right, answer, f.rule if f else None)
          for right, answer, f in zip(verdicts, said, found)]


def _known_sum(numbers: Iterable[int | None]) -> int | None:
  total = 0
  for number in numbers:
    if number is None:
      return None
    total += number
  return total


def _number(value: Any) -> int | None:
  return None if value is None else int(value)


def _positive(**numbers: int) -> None:
  for name, value in numbers.items():
    if value < 1:
      raise InputError(f'{name} is {value}: give 1 or more')


def _scorable(verifier: Any) -> None:
  if not isinstance(verifier, RewardModel):
    raise InputError(f'the verifier is a {type(verifier).__name__}: load one by tts.load_verifier')


def _scorer(verifier: RewardModel | None, asked: Questions, prompts: Prompts) -> Scorer | None:
  if verifier is None or _head(verifier) is not None:
    return None
  return Scorer(verifier, asked, prompts)


def _head(verifier: RewardModel | None) -> Head | None:
  """Of a verifier that is in the generator and reads nothing."""
  if verifier is None:
    return None
  _scorable(verifier)
  return verifier.head


def _selection(selection: str | None, verifier: RewardModel | None) -> str:
  return selection or ('majority' if verifier is None else 'best_of_n_weighted')


def _result(asked: Questions, i: int, solutions: tuple[Solution, ...], selection: str, grader: str,
            tokens: int, verifier_tokens: int, cost: list[int | None],
            tree: dict[str, Any] | None = None) -> Result:
  winner, votes = voted(solutions, selection, grader)
  return Result(
      question=asked.problems[i].prompt.rstrip('\n'),
      answer=None if winner is None else solutions[winner].answer, solutions=solutions,
      votes=votes, tokens=tokens, verifier_tokens=verifier_tokens,
      flops=_known_sum(cost), tree=tree)
