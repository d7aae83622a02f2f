"""Layers that are alike, as one array a parameter, where a loop computes them.

A program with every layer written out takes a compiler longer with each of them: minutes, where a
TPU's model has 60. There a loop costs nothing, for a product reads its slice of the array in place.
A CPU takes two to three times as long in a loop, so layers are written out on it.

Checkpoints and trainings have each layer under its number. A tree of parameters in which layers are
stacked has the first layers of each stack alone, with an axis more in front: the parameters say how
they are to be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from tts.models.arch import Arch
from tts.models.layers import names


@dataclasses.dataclass(frozen=True)
class Stack:
  """Neighbouring layers.

  Attributes:
    first: number of the first one.
    period: layers of a pass of their loop; each is like the one a period before it.
    repeats: passes. Of one there is no loop, and parameters have no axis more.
  """

  first: int
  period: int
  repeats: int


def alone(arch: Arch) -> tuple[Stack, ...]:
  """Every layer by itself."""
  return tuple(Stack(i, 1, 1) for i in range(arch.num_layers))


def alike(arch: Arch) -> tuple[Stack, ...]:
  """As few stacks as there can be: layers differ in their windows, and a surprise parts them.

  A loop has an even number of passes, so that it can be compiled with two of them in its body.
  """
  found = []
  for begin, end in itertools.pairwise(sorted({0, arch.surprise_layer or 0, arch.num_layers})):
    windows = [arch.window(i) for i in range(begin, end)]
    period = next(p for p in range(1, len(windows) + 1) if windows[p:] == windows[:-p])
    repeats = len(windows) // period
    repeats -= repeats % 2 if repeats > 1 else 0
    found.append(Stack(begin, period, repeats))
    found += [Stack(i, 1, 1) for i in range(begin + period * repeats, end)]
  return tuple(found)


def loops(arch: Arch) -> tuple[Stack, ...]:
  """Of those that are `alike`, the ones that a loop computes."""
  return tuple(stack for stack in alike(arch) if stack.repeats > 1)


def of(arch: Arch, params: Container[str]) -> tuple[Stack, ...]:
  """How layers are computed with parameters of these names; alone where there are none yet."""
  found = alike(arch)
  second = [names(arch, stack.first + stack.period)[0] for stack in loops(arch)]
  stacked_ = names(arch, 0)[0] in params and any(name not in params for name in second)
  return found if stacked_ else alone(arch)


def places(stacks: Sequence[Stack]) -> list[tuple[int, int]]:
  """(The number of a layer, how many stand in one array with it), for each such array."""
  return [(stack.first + i, stack.repeats) for stack in stacks for i in range(stack.period)]


def joined(*layers: Any) -> Any:
  """Arrays of layers, trees of the same form, with an axis for the layers in front."""
  return jax.tree.map(lambda *xs: jnp.stack(xs), *layers)


def stacked(params: Any, arch: Arch, join: Callable[[str, Sequence[Any]], Any] =
            lambda name, layers: joined(*layers)) -> Any:
  """Parameters with the layers of each stack that is `alike` as one.

  Args:
    params: with each layer under its number.
    arch: of the model.
    join: (a name, what layers have under theirs, in order) --> the same with an axis in front.
  """
  found = dict(params['params'])
  for stack in loops(arch):
    for first in range(stack.first, stack.first + stack.period):
      numbers = range(first, first + stack.period * stack.repeats, stack.period)
      for together in zip(*(names(arch, number) for number in numbers)):
        found[together[0]] = join(together[0], [found.pop(name) for name in together])
  return {'params': found}
