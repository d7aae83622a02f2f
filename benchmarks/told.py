"""Why a chain of revisions does not rise: the same training, told which answers were right.

  python -m benchmarks.told --config=configs/arithmetic.py --config.data.family=plan --workdir=W

W holds a run with revisions. From its samples two models are trained alike, with right and wrong
answers in context: one sees after each of them whether it was right, the other the same mark
always. Then chains on `dev`: of the one that is told nothing; of the other, told the truth; and of
the other, told what the run's PRM thinks. Nothing but `W/told`, the trainings, is written.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools

import jax
import numpy as np
import tqdm

from launch import experiment as experiment_lib
from tts import parallel, rng
from tts.config import Experiment
from tts.eval.measures import statistics
from tts.eval.storage import records
from tts.revision import trajectories
from tts.revision.trajectories import Answer, MAX_CONTEXT
from tts.runs.blocks import Block
from tts.runs.run import Model, Run
from tts.runs.workdir import Workdir
from tts.stages import scoring, search, train_revision
from tts.train import fit as fit_lib, packed, progress
from tts.train.packed import Continuation
from tts.types import PAD_ID, Problem, Strategy

_QUESTIONS, _CHAINS, _LENGTH = 300, 4, 8
_ROWS = 100  # chains of one block
_PLACES = 8_000_000


def _mark(run: Run, verdict: bool | None) -> int:
  """The token that says whether an answer was right; None says nothing."""
  return run.tokenizer.encode({True: '1', False: '0', None: '2'}[verdict])[-1]


def _context(run: Run, prompt: list[int], before: list[tuple[list[int], bool | None]]) -> list[int]:
  """As `tts.revision.chains.context`, a mark after each answer."""
  tokens, roles = list(prompt), run.limits.roles
  for answer, verdict in before[-MAX_CONTEXT:]:
    closed = [] if roles.finished(answer) else [roles.ends[0]]
    tokens += [*answer, *closed, _mark(run, verdict), *prompt]
  return tokens


def _examples(run: Run, told: bool) -> train_revision.Sets:
  pools: dict[str, list[dict]] = {}
  for row in records.iterate(run.workdir.root, 'revision'):
    pools.setdefault(row['problem_id'], []).append(row)
  found: dict[str, list[Continuation]] = {}
  for problem in run.problems('revision', run.experiment.revision.questions):
    rows = sorted(pools[problem.id], key=lambda row: row['slot'])
    answers = [Answer('', None if row['answer'] is None else row['correct']) for row in rows]
    for t in trajectories.build(answers, run.experiment.revision.targets,
                                trajectories.of_question(problem.id, run.seed), 'any'):
      before = [(rows[i]['tokens'], rows[i]['correct'] if told else None) for i in t.context]
      found.setdefault(problem.id, []).append(Continuation(
          problem.id, _context(run, run.prompts.encode(problem.prompt), before),
          rows[t.target]['tokens']))
  return train_revision.split(found, 'the pool', 'config.revision.questions')


def _trained(run: Run, told: bool) -> Model:
  config = run.model_config('revision')
  base = run.model('base')
  train = dataclasses.replace(config.train, tokens=_PLACES, row_length=488,
                              seed=config.train.seed + run.seed)
  data, held_out = (packed.pack_continuations(items, train.row_length, train.seed)
                    for items in _examples(run, told))
  name = 'told' if told else 'untold'
  params, fitted = fit_lib.fit(
      base.arch, train, data, workdir=run.workdir.path('told'), name=name,
      init=jax.device_get(base.params), validation=held_out, progress=progress.bar())
  print(f'{name}: validation loss {fitted["val_loss"]:.4f}', flush=True)
  return Model(name, base.arch, parallel.replicate(params, run.mesh), mark=name)


def _chains(run: Run, model: Model, told_by: str) -> np.ndarray:
  """Whether each answer is right, bool [questions, chains, length]."""
  asked = [(p, f'{p.id} {c}') for p in run.problems('dev', _QUESTIONS) for c in range(_CHAINS)]
  prompts = [run.prompts.encode(p.prompt) for p, _ in asked]
  limits = run.experiment.limits
  wide = limits.max_prompt_tokens + MAX_CONTEXT * (
      limits.max_prompt_tokens + limits.max_tokens + 2)
  verifier = scoring.scorer(run, run.model('prm'))
  groups = [range(i, i + _ROWS) for i in range(0, len(asked), _ROWS)]
  before: list[list[tuple[list[int], bool | None]]] = [[] for _ in asked]
  right = np.zeros((len(asked), _LENGTH), bool)
  for t in tqdm.trange(_LENGTH, desc=f'{model.name}, told by {told_by}', unit='answer'):
    contexts = [_context(run, prompt, answers) for prompt, answers in zip(prompts, before)]
    blocks = [_block(asked, contexts, places, wide) for places in groups]
    sample = search.sampler(run, model, 'told', blocks, 1, run.experiment.sampling, first=t)
    for at in range(0, len(blocks), run.groups):
      places, some = groups[at:at + run.groups], blocks[at:at + run.groups]
      tables = [run.rows.sample_table(block, found, Strategy('sample', 1), stream='told',
                                      model='base', split='dev')
                for block, found in zip(some, sample(some))]
      verifier([_block(asked, prompts, p, limits.max_prompt_tokens) for p in places], tables)
      for i, [row] in zip(itertools.chain(*places), itertools.chain(*tables)):
        right[i, t] = bool(row['correct'])
        verdict = {'nobody': None, 'the truth': bool(row['correct']),
                   'the PRM': row['answer_score'] > 0.5}[told_by]
        before[i].append((row['tokens'], verdict))
  return right.reshape(_QUESTIONS, _CHAINS, _LENGTH)


def _block(asked: Sequence[tuple[Problem, str]], texts: Sequence[list[int]],
           places: Sequence[int], width: int) -> Block:
  """Some chains, each a question of its own."""
  prefix = np.full((len(places), width), PAD_ID, np.int32)
  for row, i in zip(prefix, places):
    row[:len(texts[i])] = texts[i]
  return Block([asked[i][0] for i in places], prefix,
               np.array([len(texts[i]) for i in places], np.int32),
               rng.problem_words([asked[i][1] for i in places]), np.ones(len(places), bool))


def _tell(what: str, right: np.ndarray) -> None:
  mean = lambda x: '{:+.3f} [{:+.3f}, {:+.3f}]'.format(x.mean(), *statistics.mean_interval(x))
  by_question = right.mean(axis=1)
  print(f'{what}: right at answers 1 to {_LENGTH}: '
        + ', '.join(f'{x:.3f}' for x in by_question.mean(axis=0)))
  print(f'  answer 4 minus 1 {mean(by_question[:, 3] - by_question[:, 0])}, {_LENGTH} minus 1 '
        f'{mean(by_question[:, -1] - by_question[:, 0])}; {len(right)} questions x {_CHAINS}')
  was, then = right[..., :-1], right[..., 1:]
  print(f'  right to wrong {(was & ~then).sum() / was.sum():.3f}, wrong to right '
        f'{(~was & then).sum() / (~was).sum():.3f}', flush=True)


def _job(experiment: Experiment, workdir: str) -> None:
  run = Run(experiment, Workdir(workdir), experiment.seeds[0])
  untold, told = (_trained(run, x) for x in (False, True))
  _tell('told nothing', _chains(run, untold, 'nobody'))
  _tell('told the truth', _chains(run, told, 'the truth'))
  _tell('told by the PRM', _chains(run, told, 'the PRM'))


if __name__ == '__main__':
  experiment_lib.launch(_job)
