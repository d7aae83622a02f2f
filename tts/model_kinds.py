"""What a model of an experiment is for, by what it learns from. No JAX: the analysis asks, too.

A model is a named entry of a config (`config.models.<name>`), and `learns` says what it is made of:
from that follow the stage that trains it, whether it writes or scores, and where it is used. A
second PRM or a third larger model is one entry more.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Kind:
  """One kind of model.

  Attributes:
    stage: that trains it; None where each has a stage of its own name.
    writes: it is a language model; else it scores what one has written.
    steps: it scores unfinished solutions too, so that a search can follow it.
    revises: it is part of the study of revisions, which has one model of each such kind.
    latent: it reads the hidden states of the base (`tts.models.latent`), and is no decoder.
  """

  stage: str | None
  writes: bool
  steps: bool = False
  revises: bool = False
  latent: bool = False


LABELS, VERIFIERS = 'labels', 'verifiers'  # stages
STATES, NOTHING = 'states', 'nothing'
# What a model learns from --> its kind.
KINDS = {
    'solutions': Kind(None, writes=True),              # worked solutions
    'rollouts': Kind(VERIFIERS, writes=False, steps=True),  # values of steps (paper, appendix D)
    'outcomes': Kind(VERIFIERS, writes=False),         # whether the same solutions are right
    'more_outcomes': Kind(VERIFIERS, writes=False),    # of as many as the rollouts' FLOPs pay for
    # Hidden states of the base, on the same solutions as the rollouts.
    STATES: Kind(VERIFIERS, writes=False, steps=True, latent=True),
    # Nothing: its values are the base's own log-probabilities.
    NOTHING: Kind(VERIFIERS, writes=False, steps=True, latent=True),
    'revisions': Kind('revision', writes=True, revises=True),  # right answers after wrong ones
    'answers': Kind('revision', writes=True, revises=True),    # the same, nothing before them
    'own_revisions': Kind('restem', writes=True, revises=True),  # the revision model's own chains
    # Whether answers in these chains are right: read after those before them, or alone; and the
    # control's answers.
    'chains': Kind('revision_orms', writes=False, revises=True),
    'chain_answers': Kind('revision_orms', writes=False, revises=True),
    'control_answers': Kind('revision_orms', writes=False, revises=True),
}
# Models that every config has, and what they learn from.
LEARNS = {
    'base': 'solutions', 'mid': 'solutions', 'large': 'solutions', 'prm': 'rollouts',
    'prm_plain': 'rollouts', 'latent': STATES, 'logprob': NOTHING, 'orm': 'outcomes',
    'orm_more': 'more_outcomes',
    'revision': 'revisions', 'revision_control': 'answers', 'revision_restem': 'own_revisions',
    'revision_orm': 'chains', 'revision_orm_alone': 'chain_answers',
    'control_orm': 'control_answers'}
MAIN = 'prm'  # the main verifier of a run whose config names none
REVISION_VERIFIER = 'revision_orm'  # the one that curves of revisions show

Kinds = Mapping[str, Kind]  # by the models' names


def of_run(models: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Kind]:
  """Kinds of the models of a `run.json`'s config; those of older runs are known by their names."""
  learns = {name: (entry or {}).get('learns') for name, entry in (models or {}).items()}
  named = LEARNS | {name: what for name, what in learns.items() if what in KINDS}
  return {name: KINDS[what] for name, what in named.items()}


def generators(kinds: Kinds) -> tuple[str, ...]:
  """The base and the larger models that it is compared with."""
  return tuple(name for name, kind in kinds.items() if kind.writes and not kind.revises)


def verifiers(kinds: Kinds) -> tuple[str, ...]:
  """Verifiers of independent solutions and of searches."""
  return tuple(name for name, kind in kinds.items() if kind.stage == VERIFIERS)


def guides(kinds: Kinds) -> tuple[str, ...]:
  """Those of them that a search can follow."""
  return tuple(name for name, kind in kinds.items() if kind.steps)


def revisers(kinds: Kinds) -> tuple[str, ...]:
  """The revision model, its control, and the one on its own chains."""
  return tuple(name for name, kind in kinds.items() if kind.writes and kind.revises)


def revision_verifiers(kinds: Kinds) -> tuple[str, ...]:
  """Verifiers of revisions: of answers after others, of answers alone, of the control's."""
  return tuple(name for name, kind in kinds.items() if kind.revises and not kind.writes)
