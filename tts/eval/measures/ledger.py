"""Every token that was computed, by stage and model, and the identity that none is missing."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

from tts.eval.measures import flops
from tts.eval.storage.columns import COUNTS, MAYBE_UNKNOWN


class Ledger:
  """Sums of `counts` over the rows that it has seen, exact in Python integers."""

  def __init__(self):
    self._sums: dict = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    self._labelled: list[tuple[int, float | None]] = []
    self._rolled_out: collections.Counter = collections.Counter()
    self._computed: dict = collections.defaultdict(collections.Counter)
    self._unknown: set[tuple[str, str]] = set()  # of which it is not known what entered
    self._uncounted: set[str] = set()  # stages of which some block does not say what it computed

  def add(self, stage: str, row: Mapping[str, Any]) -> None:
    for model, counts in row['counts'].items():
      self._sums[stage][model].update({name: counts[name] or 0 for name in COUNTS})
      if counts['entered'] is None:
        self._unknown.add((stage, model))

  @property
  def unknown(self) -> set[str]:
    """Models of which it is not known what entered them: a server does not say it."""
    return {model for _, model in self._unknown}

  def add_labelled(self, steps: int, seconds: float | None,
                   counts: Mapping[str, Mapping[str, int]] | None = None) -> None:
    """Counts a block of rolled-out labels: of how many steps, and the time, None if not taken.

    `counts` are the block's sums by model, for what the PRM's own labels cost.
    """
    self._labelled.append((steps, seconds))
    for name, values in ((counts or {}).get('base') or {}).items():
      self._rolled_out[name] += values

  def add_computed(self, stage: str, computed: Mapping[str, float] | None) -> None:
    """Adds the tokens that a block's models computed, padding too; None where it does not say."""
    if computed is None:
      self._uncounted.add(stage)
    else:
      self._computed[stage].update(computed)

  def _computed_by(self, stage: str, model: str) -> int | None:
    known = stage in self._computed and stage not in self._uncounted
    return round(self._computed[stage][model]) if known else None

  def _labelled_steps(self) -> dict[str, Any]:
    """All steps that have a rolled-out label, and their speed over the blocks that were timed."""
    timed = [(steps, seconds) for steps, seconds in self._labelled if seconds]
    seconds = sum(s for _, s in timed)
    return {'labelled_steps': sum(n for n, _ in self._labelled) if self._labelled else None,
            'labelled_steps_per_second': sum(n for n, _ in timed) / seconds if timed else None}

  def label_flops(self, models: Mapping[str, Mapping[str, Any]]) -> int | None:
    """FLOPs of the rolled-out labels, other verifiers' apart; None where nothing was counted."""
    if not self._rolled_out or 'base' not in models:
      return None
    meta = models['base']
    return flops.spent(meta, self._rolled_out)

  def table(self, models: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Per stage and model the sums, `flops` (None for an unknown model), `ratio` and `computed`.

    `computed` are the tokens that the model's programs computed for `entered`: those, and the
    padding of programs whose shapes are fixed. It depends on the devices, and where a run was
    killed, as the sums do not. None where a block of the stage does not say, as in older runs, and
    of a latent verifier, whose sums are of its generator's tokens: those that it scored; and of a
    model on a server.
    The generator of the stage `labels` has `labelled_steps` and `labelled_steps_per_second` too.

    Args:
      models: name -> `model.json`.
    """
    out = {}
    for stage, by_model in self._sums.items():
      out[stage] = {}
      for model, sums in sorted(by_model.items()):
        entry = {name: sums[name] for name in COUNTS}
        if (stage, model) in self._unknown:
          entry |= dict.fromkeys(MAYBE_UNKNOWN)
        meta = models.get(model)
        out[stage][model] = {
            **entry, 'flops': meta and flops.spent(meta, entry),
            'ratio': ledger_ratio(entry),
            'computed': (None if flops.is_latent(meta) or (meta or {}).get('engine')
                         else self._computed_by(stage, model))}
    if 'base' in out.get('labels', ()):
      out['labels']['base'] |= self._labelled_steps()
    return out


def ledger_ratio(entry: Mapping[str, int]) -> float | None:
  """Tokens that entered over tokens that should have; 1 exactly, or some were not accounted for.

  A sampled token enters when the next one is drawn, so the last one of every row never does.
  None where nothing should have entered, or it is not known what did.
  """
  if entry['entered'] is None:
    return None
  expected = (entry['prompt'] + entry['kept'] + entry['pruned'] + entry['simulated']
              + entry['reencoded'] - entry['last'])
  return entry['entered'] / expected if expected else None
