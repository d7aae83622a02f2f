"""The stages of an experiment, in the order in which they run.

Each is declared where it is written (`stage` or `stages` of its module); a model, a verifier or a
budget more in the config is work more in these stages, and nothing here changes for it.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

from tts.config import Experiment
from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Use
from tts.runs import verifiers
from tts.stages import (
    budget_forcing, labels, restem, revise, search, train, train_revision, train_revision_orm,
    train_verifiers)
from tts.stages.stage import Stage


def stages(e: Experiment) -> list[Stage]:
  """Those that a run of this config has."""
  revisions = [train_revision.stage(e), train_revision_orm.stage(e),
               *([restem.stage(e)] if e.models[restem.MODEL].enabled else ())]
  return [
      *train.stages(e), labels.stage(e), train_verifiers.stage(e),
      *(revisions if e.revision.enabled else ()),
      search.stage(e), search.difficulty_stage(e),
      *([budget_forcing.stage(e)] if e.budget_forcing.settings() else ()),
      *([revise.stage(e)] if e.revision.enabled else ())]


def launched(e: Experiment, launcher: str) -> list[Stage]:
  """Those that `launch.<launcher>` runs."""
  return [stage for stage in stages(e) if stage.launcher == launcher]


def costs(e: Experiment, lengths: Lengths) -> list[Cost]:
  """What the stages that compute would cost. Counts are expectations, not bounds."""
  found = (stage.cost(lengths) for stage in stages(e))
  return [cost for cost in found if cost is not None]


def uses(e: Experiment) -> list[Use]:
  """Models at work, by stage in order, each model of a stage once for each way to draw."""
  found: dict[tuple, Use] = {}
  every: Iterable[Use] = (use for stage in stages(e) for use in stage.uses())
  for use in every:
    if not e.models[verifiers.model_of(use.model)].enabled:
      continue
    key = use.stage, use.model, use.sampling, use.judge
    old = found.setdefault(key, use)
    found[key] = dataclasses.replace(use, reads=max(use.reads, old.reads),
                                     writes=max(use.writes, old.writes),
                                     kept=tuple(dict.fromkeys(old.kept + use.kept)))
  return list(found.values())


def trained(e: Experiment) -> list[tuple[str, str]]:
  """(stage, model) of every model that a run trains, in order."""
  return [(stage.name, name) for stage in stages(e) for name in e.models.trained(stage.trains)]
