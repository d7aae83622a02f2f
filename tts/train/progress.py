"""Where a training stands, and a bar that shows it."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import tqdm

# A bar appears when a training lasts longer than this.
_DELAY_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Progress:
  """Where a training stands; rates are of this process."""

  name: str
  step: int
  num_steps: int
  loss: float
  tokens_per_second: float
  seconds_left: float


def bar(delay: float = _DELAY_SECONDS) -> Callable[[Progress], None]:
  """A bar on standard error for what lasts longer than `delay` seconds; for `fit`'s `progress`."""
  shown = None

  def show(p: Progress) -> None:
    nonlocal shown
    if shown is None:
      shown = tqdm.tqdm(desc=p.name, total=p.num_steps, initial=p.step, delay=delay, unit='step',
                        bar_format='{desc}: {n_fmt}/{total_fmt} steps {bar:20} {postfix}')
    shown.set_postfix_str(f'loss {p.loss:.4f}, {p.tokens_per_second:,.0f} tokens/s, '
                          f'{p.seconds_left:.0f} s left', refresh=False)
    shown.update(p.step - shown.n)
    if p.step >= p.num_steps:
      shown.close()
      shown = None

  return show
