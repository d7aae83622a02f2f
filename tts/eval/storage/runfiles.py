"""What a run has written so far, read once; every analysis starts from this."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

from tts import model_kinds
from tts.eval.measures.ledger import Ledger
from tts.eval.storage import columns, equal_answers, parse_cache, records, samples as samples_lib
from tts.eval.storage.samples import Samples, Setting
from tts.model_kinds import Kind, MAIN
from tts.types import InputError

GIVEN = 'checkpoints'  # folder of what is known of models that were given, not trained here
# Stages that answer reported questions.
_ANSWERS = ('search', 'difficulty', 'budget_forcing', 'revise')


@dataclasses.dataclass(frozen=True)
class RunFiles:
  """A run's files.

  Attributes:
    root: the workdir.
    run: `run.json`.
    stages: name -> `stages/<name>.json`, in the order in which they run.
    models: name -> `model.json` of the models that are there.
    search: settings measured on the reported questions, of revisions and budget forcing too.
    difficulty: pools that bins are estimated from.
    ledger: counts of every record.
    trees: search tree files.
    verdicts: what the verdicts on answers come to, `verdicts.total`.
  """

  root: pathlib.Path
  run: dict[str, Any]
  stages: dict[str, dict[str, Any]]
  models: dict[str, dict[str, Any]]
  search: dict[Setting, Samples]
  difficulty: dict[Setting, Samples]
  ledger: Ledger
  trees: tuple[pathlib.Path, ...]
  verdicts: dict[str, Any] | None = None

  @property
  def main(self) -> str:
    """The main verifier's name."""
    return _main(self.run)

  @functools.cached_property
  def kinds(self) -> dict[str, Kind]:
    """What each model of the config is for."""
    return _kinds(self.run)

  @property
  def generators(self) -> tuple[str, ...]:
    """The base, then the larger models."""
    return model_kinds.generators(self.kinds)

  @property
  def revisers(self) -> tuple[str, ...]:
    """Models that revise answers, or learn the same ones without what precedes them."""
    return model_kinds.revisers(self.kinds)

  @property
  def verifiers(self) -> tuple[str, ...]:
    """The main one, the config's others, then those of its plugins."""
    return tuple(dict.fromkeys((self.main, *model_kinds.verifiers(self.kinds),
                                *(self.run.get('verifiers') or {}))))

  def stepwise(self, verifier: str) -> bool:
    """Whether it scores unfinished solutions too; a plugin's is taken to."""
    return verifier not in self.kinds or self.kinds[verifier].steps

  def setting(self, model: str, method: str) -> Samples | None:
    """An independent pool (`sample`) or the `greedy` answers of a model.

    The one with the most questions; among equals the largest.
    """
    return _widest(self.search, model, method)

  def pools(self, model: str) -> list[Samples]:
    """A model's independent pools, those of more questions first."""
    return _sorted(self.search, model, 'sample')

  @property
  def difficulty_pool(self) -> Samples | None:
    return _widest(self.difficulty, 'base', 'sample')

  def questions(self) -> dict[str, dict[str, Any]]:
    """id -> `prompt` and `answer` of the reported questions, as far as they are written down."""
    path = self.root / 'questions.json'
    return records.read_object(path) if path.is_file() else {}

  def probe(self) -> dict[str, float]:
    """id -> what the probe makes of a question's prompt; empty where there is none.

    Raises:
      InputError: the file is damaged.
    """
    path = self.root / 'probe.json'
    if not path.is_file():
      return {}
    try:
      return {str(i): float(v) for i, v in records.read_json(path)['estimate'].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise InputError(f'{path} is damaged ({error!r}): delete it; the run makes it anew'
                       ) from error

  def checkpoint(self, name: str) -> str | None:
    """The checkpoint that the config gives for a model."""
    return _given(self.run, name)


def _sorted(settings: dict[Setting, Samples], model: str, method: str) -> list[Samples]:
  found = [v for k, v in settings.items() if k.model == model and k.strategy.method == method]
  return sorted(found, key=lambda v: (-len(v.ids), -v.setting.strategy.budget))


def _widest(settings: dict[Setting, Samples], model: str, method: str) -> Samples | None:
  return next(iter(_sorted(settings, model, method)), None)


def _main(run: dict[str, Any]) -> str:
  return (run.get('config') or {}).get('verifier') or MAIN


def _kinds(run: dict[str, Any]) -> dict[str, Kind]:
  return model_kinds.of_run((run.get('config') or {}).get('models'))


def _order(kinds: model_kinds.Kinds) -> list[str]:
  """Stages in the order in which they run; others follow by name."""
  return ['data', *model_kinds.generators(kinds), 'labels', 'verifiers',
          *model_kinds.verifiers(kinds), 'revision', 'revision_orms', 'restem', 'search',
          'difficulty', 'budget_forcing', 'revise', 'report']


def _given(run: dict[str, Any], name: str) -> str | None:
  model = ((run.get('config') or {}).get('models') or {}).get(name) or {}
  return model.get('checkpoint')


_Labels = tuple[dict[str, Any], int | None]
_LABELS = parse_cache.decoder(_Labels)


def _parsed(path: pathlib.Path) -> _Labels:
  """Counts of one block of another stage than search, and the steps that it rolled out labels of.

  None where it is not of the rolled-out labels.
  """
  with records.uncollected():
    rows = records.read_typed(path, columns.COUNTED)
    rolled_out = [r.continuations for r in rows if r.continuations is not None]
    # The last step of a row is labelled by its answer, the others by continuations.
    steps = sum(max(len(c) - 1, 0) for c in rolled_out) if rolled_out else None
    try:
      return columns.total(columns.written(rows)), steps
    except columns.ROW_ERRORS as e:
      raise records.bad_row(path, e) from e


def _read(workdir: pathlib.Path, path: pathlib.Path) -> _Labels:
  return parse_cache.read(workdir, path, _parsed, _LABELS)


def load(workdir: str | os.PathLike[str], mapped: Callable = map) -> RunFiles:
  """Reads a workdir; what a run has not reached yet is empty.

  Args:
    workdir: the run's folder.
    mapped: `map`, or an executor's, to read record files in several processes.

  Raises:
    InputError: no such folder, not a run's, or one of its files is damaged.
  """
  root = pathlib.Path(workdir)
  if not root.is_dir():
    raise InputError(f'--workdir={workdir}: no such folder; give the folder of a run')
  if not (root / 'run.json').is_file():
    raise InputError(f'--workdir={workdir} holds no run.json: it is not the folder of a run; '
                     'launch.reproduce makes one')
  run = records.read_object(root / 'run.json')
  stages = {p.stem: records.read_object(p, 'wall_seconds')
            for p in sorted(root.glob('stages/*.json'))}
  kinds = _kinds(run)
  place = {name: i for i, name in enumerate(_order(kinds))}
  stages = dict(sorted(stages.items(), key=lambda kv: (place.get(kv[0], len(place)), kv[0])))
  models = {}
  for name in kinds:
    path = root / (GIVEN if _given(run, name) else 'models') / name / 'model.json'
    if path.is_file():
      models[name] = records.read_object(path, 'arch', 'params')
  for name, of in (run.get('verifiers') or {}).items():  # a plugin's is another way to read `of`
    if of in models:
      models[name] = {key: models[of].get(key) for key in ('arch', 'kind', 'params')}
  ledger = Ledger()
  found = {stage: samples_lib.load(root, stage, ledger.add, mapped, _main(run))
           for stage in _ANSWERS}
  stage_of = lambda path: path.relative_to(root / 'records').parts[0]
  others = [p for p in records.blocks(root) if stage_of(p) not in _ANSWERS]
  for path, (total, steps) in zip(others, mapped(functools.partial(_read, root), others)):
    ledger.add(stage_of(path), total)
    if steps is not None:
      ledger.add_labelled(steps, samples_lib.block_seconds(root, path), total['counts'])
  for path in records.blocks(root):
    timing = samples_lib.block_timing(root, path) or {}
    ledger.add_computed(stage_of(path), timing.get('computed'))
  for name in ledger.unknown & set(models):
    models[name] = {**models[name], 'uncounted': True}
  return RunFiles(root=root, run=run, stages=stages, models=models,
                  search=found['search'] | found['revise'] | found['budget_forcing'],
                  difficulty=found['difficulty'],
                  ledger=ledger,
                  trees=tuple(sorted(root.glob('trees/*.json'))),
                  verdicts=equal_answers.total(root, _ANSWERS))
