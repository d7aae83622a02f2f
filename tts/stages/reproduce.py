"""Runs stages: from nothing to the report, each skipped where its results are there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import time
from typing import Any

from absl import logging

from tts import config as config_lib, hosts, machine, parallel
from tts.config import Experiment, Models
from tts.engine.program import Program
from tts.eval.claims import claim_sides
from tts.eval.claims.claims import Claim
from tts.eval.report import report, votes_file
from tts.model_kinds import NOTHING, VERIFIERS
from tts.runs import blocks, verifiers, work as work_lib, workdir as workdir_lib
from tts.runs.run import Run
from tts.runs.workdir import fingerprint, Usage, Workdir
from tts.stages import checks, graph
from tts.stages.stage import Stage
from tts.types import InputError

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'tensorflow-datasets',
             'sentencepiece', 'numpy')


def open_run(experiment: Experiment, workdir: str) -> Run:
  """Opens or makes the workdir of the first seed, and writes down what is being run in it."""
  checks.check(experiment)
  return _begin(experiment, workdir) or _join(experiment, workdir)


@hosts.by_first
def _begin(experiment: Experiment, workdir: str) -> Run:
  folder = Workdir(workdir)
  folder.hold()
  config = config_lib.as_json(experiment)
  run = Run(experiment, folder, experiment.seeds[0])
  for name in experiment.models.served:  # a mistake is to show now, while nothing has changed
    run.served(name)
  run.data_mark(experiment.search.split)
  folder.write_json('run.json', {
      'config': config, 'config_hash': fingerprint(config),
      'versions': {p: importlib.metadata.version(p) for p in _PACKAGES},
      'device': parallel.device_name(), 'seeds': list(experiment.seeds),
      **({'verifiers': added} if (added := verifiers.added(experiment)) else {})})
  blocks.mend(folder)
  for name, model in experiment.models.items():  # no two processes are to import one model
    if model.enabled and model.checkpoint:
      run.model_folder(name)
  run.check_tokenizers()  # before hours of labels
  return run


def _join(experiment: Experiment, workdir: str) -> Run:
  """The run that the first process has begun."""
  if not os.path.exists(os.path.join(workdir, 'run.json')):
    raise InputError(f'--workdir={workdir} is not the folder of process 0: give one on a disk that '
                     'all hosts share')
  return Run(experiment, Workdir(workdir), experiment.seeds[0])


def _by_seed(experiment: Experiment, workdir: str) -> list[tuple[Experiment, str]]:
  """A run per seed: the first one's folder is the workdir, the others' are `seeds/<s>` in it."""
  return [(experiment, workdir), *(
      (dataclasses.replace(experiment, seeds=(seed,)), os.path.join(workdir, 'seeds', str(seed)))
      for seed in experiment.seeds[1:])]


def open_runs(experiment: Experiment, workdir: str) -> list[Run]:
  """The runs of all seeds; each as of `open_run`."""
  return [open_run(alone, folder) for alone, folder in _by_seed(experiment, workdir)]


def finished(experiment: Experiment, workdir: str) -> set[str]:
  """Stages that a workdir, which need not be there, has finished for this config, of all seeds."""
  return set.intersection(*(workdir_lib.finished(folder, fingerprint(config_lib.as_json(alone)))
                            for alone, folder in _by_seed(experiment, workdir)))


def begin(experiment: Experiment, workdir: str, claims: Sequence[Claim],
          revision_claims: Sequence[Claim]) -> list[Run]:
  """The runs of the main job.

  Args:
    experiment: what to run.
    workdir: where.
    claims: kept in the workdir of a run that has none yet: written down before it is measured.
    revision_claims: the same, where there are revisions.
  """
  runs = open_runs(experiment, workdir)
  if hosts.is_first():
    claim_sides.save(claims, pathlib.Path(workdir))
    if experiment.revision.enabled:
      claim_sides.save(revision_claims, pathlib.Path(workdir), 'revision')
  return runs


def run_stages(runs: Sequence[Run], stages: Sequence[Stage], reports: bool = False) -> None:
  """Runs stages of every seed's run; what is there already is not done again.

  reports: whether the report is written anew after each stage that it can show.
  """
  begun = time.monotonic()
  last = [stage.name for stage in stages if stage.reported][-1:]
  work = [(run, stage) for run in runs for stage in stages]
  for i, (run, stage) in enumerate(work):
    planned = dict(run.experiment.stage_seconds)
    if reports:
      seed = f', seed {run.seed}' if len(runs) > 1 else ''
      left = sum(planned.get(s.name, 0) for _, s in work[i:])
      logging.info('[%d/%d%s]%s', i + 1, len(work), seed,
                   f' about {left} s left' if left else '')  # a config may plan no seconds
    with _timed(run, stage) as there:
      for works in stage.works(run):
        there.append(work_lib.run(run.workdir, works, run.mesh))
      stage.run(run)
    if reports and stage.reported:
      write_report(run, only_news=stage.name not in last)
  if reports and len(runs) > 1:  # the first seed's report shows all of them
    write_report(runs[0])
  if reports:
    logging.info('done in %.0f s, peak memory %.1f GB: %s', time.monotonic() - begun,
                 machine.peak_rss_bytes() / 1e9, runs[0].workdir.path('report', 'index.html'))


@contextlib.contextmanager
def _timed(run: Run, stage: Stage) -> Iterator[list[int]]:
  """Writes down what the stage inside takes. Gets the numbers of blocks that were there already."""
  planned = dict(run.experiment.stage_seconds).get(stage.name)
  usage, compiling = Usage(), Program.compile_seconds
  logging.info('%s%s', stage.name, f' (planned {planned} s)' if planned else '')
  run.workdir.stage = stage.name
  there: list[int] = []
  yield there
  run.workdir.stage = None
  logging.info('%s: %.1f s%s', stage.name, usage.spent()['wall_seconds'],
               f', {sum(there)} blocks there already' if sum(there) else '')
  if hosts.is_first():
    run.workdir.finish_stage(stage.name, usage, budget_seconds=planned,
                             config_hash=fingerprint(config_lib.as_json(run.experiment)),
                             compile_seconds=Program.compile_seconds - compiling)


@hosts.by_first
def write_report(run: Run, only_news: bool = False) -> dict[str, Any] | None:
  """Writes the report, unless nothing is new; `results.json`'s contents, in the first process."""
  if only_news and not _has_news(run):
    return None
  usage = Usage()
  results = report.write(run.workdir.root)
  config = run.experiment.search
  asked = run.problems(config.split, config.questions)
  if ungraded := sum(p.answer is None for p in asked):
    votes_file.write(run.workdir.root)
    logging.info('%d of %d questions have no gold answer: what is chosen is in %s', ungraded,
                 len(asked), run.workdir.path('votes.jsonl'))
  planned = dict(run.experiment.stage_seconds).get('report')
  run.workdir.finish_stage('report', usage, budget_seconds=planned)
  return results


def _has_news(run: Run) -> bool:
  """Whether records were written since the last report."""
  report = pathlib.Path(run.workdir.path('report', 'results.json'))
  return not report.exists() or any(
      path.stat().st_mtime >= report.stat().st_mtime
      for path in pathlib.Path(run.workdir.path('records')).rglob('*.gz'))


def evaluated(experiment: Experiment) -> tuple[Experiment, list[Stage]]:
  """What `launch.evaluate` runs, and its stages.

  Models without a checkpoint are left out, but for verifiers that learn nothing.

  Raises:
    InputError: the base model has none.
  """
  models, revision = experiment.models, experiment.revision
  if not models['base'].checkpoint:
    raise InputError('config.models.base.checkpoint is missing: the folder of a trained model')
  untaught = [name for name in models.trained() if models[name].learns == NOTHING]
  given = Models(**{name: dataclasses.replace(
      model, enabled=bool(model.checkpoint) or name in untaught) for name, model in models.items()})
  revising = revision.enabled and given['revision'].enabled
  experiment = dataclasses.replace(
      experiment, models=given, revision=dataclasses.replace(revision, enabled=revising))
  return experiment, [stage for stage in graph.stages(experiment)
                      if stage.reported or (stage.name == VERIFIERS and untaught)]
