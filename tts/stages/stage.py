"""What a stage of a run is: said once, by the module that runs it.

`tts.stages.graph` lists a run's stages. What runs them (`reproduce`), what they would cost
(`tts.estimates.dry_run`), which device programs they have (`tts.estimates.device_programs`) and how
much memory these take all follow from that list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
from typing import Any

from tts.estimates.cost import Cost, Lengths
from tts.estimates.uses import Use
from tts.runs.run import Run
from tts.runs.work import Work


@dataclasses.dataclass(frozen=True)
class Stage:
  """One stage of one experiment.

  Attributes:
    name: of its records, timings and rows in the results.
    launcher: `launch.<launcher>` runs it, alone or with others.
    works: what it records: lists of work, each to be done before the next one is asked for.
    run: what it does after that; a training for instance.
    trains: models that it makes.
    uses: models that it has at work.
    cost: what it would generate and compute; None where that is nothing worth a line.
    reported: the report shows what it measures, and is written anew after it.
  """

  name: str
  launcher: str
  works: Callable[[Run], Iterable[list[Work]]] = lambda run: ()
  run: Callable[[Run], Any] = lambda run: None
  trains: tuple[str, ...] = ()
  uses: Callable[[], Iterable[Use]] = lambda: ()
  cost: Callable[[Lengths], Cost | None] = lambda lengths: None
  reported: bool = False
