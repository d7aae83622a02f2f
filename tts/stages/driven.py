"""A search that the host drives round by round: for a verifier with a tokenizer of its own.

A round is cut where the verifier reads. The generator writes a step (a program), the host writes
that step in the verifier's ids, the verifier reads those (a program), and rows are chosen and
branch (a program); lookahead does the first three once more for each step that it looks. States
stay on the devices between programs, spread as the first of them has left them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import jax
import numpy as np

from tts import parallel
from tts.data.step_format import Reader
from tts.search.lookahead import Simulation
from tts.search.search import Round, SearchState
from tts.search.step import Candidates, Step
from tts.stages import blocks

_Imagined = tuple[jax.Array, jax.Array, list[Step]]  # scores and live rows at its end, its steps


class Driven:
  """Called as a `blocks.Program` that runs whole searches is, and compiled as one."""

  def __init__(self, parts: Mapping[str, Callable], mesh: parallel.Mesh, reader: Reader,
               max_rounds: int, lookahead: int):
    """parts: of `programs.search_parts`; lookahead: k, 0 for none."""
    self._parts, self._mesh, self._reader = parts, mesh, reader
    self._max_rounds, self._lookahead = max_rounds, lookahead
    self._compiling: futures.Future | None = None
    self._programs: dict[str, Callable] | None = None

  def compile_ahead(self, pool: futures.Executor, *args: Any) -> futures.Future:
    """As `blocks.Program.compile_ahead`."""
    if self._compiling is None:
      self._compiling = pool.submit(self._compile, *args)
    return self._compiling

  def _compile(self, params: Any, *block: Any) -> dict[str, Callable]:
    """Every part for the shapes, and for the places on the devices, that the others leave."""
    found = {}

    def made(name, *args, kept=None, donate=()):
      lowered = parallel.pmapped(self._parts[name], self._mesh, donate, kept).lower(params, *args)
      found[name] = lowered.compile(blocks.compiler_options(params))
      return jax.tree.map(lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
                          lowered.out_info, found[name].output_shardings)

    places = lambda tree: jax.tree.map(lambda x: x.sharding, tree)
    state, parent = made('start', *parallel.on_groups(block, self._mesh))
    c = state.candidates
    generator, rows, draft = made('write', c.generator, c.rows, donate=(1,),
                                  kept=(places(c.generator), places(c.rows), None))
    ids = jax.ShapeDtypeStruct((*parent.shape, self._reader.width), parent.dtype)
    count = jax.ShapeDtypeStruct(parent.shape, parent.dtype)
    verifier, score, step = made('read', c.verifier, c.score, draft, ids, count, donate=(1,),
                                 kept=(places(c.verifier), places(c.score), None))
    made('choose', generator, verifier, rows, score, state.open, step, score, parent,
         donate=(1, 2), kept=(places(state), places(parent), None))
    if self._lookahead:
      made('settle', c, kept=places(c))
      made('imagine', c.generator, c.rows, donate=(1,),
           kept=(places(c.generator), places(c.rows), places(draft)))
    return found

  def __call__(self, params: Any, *block: Any) -> Round:
    """Runs every group's searches to their ends; `Round` of numpy [G, S, ...]."""
    if self._programs is None:
      with blocks.waiting(), futures.ThreadPoolExecutor(1) as pool:
        self._programs = self.compile_ahead(pool, params, *block).result()
    state, parent = self._programs['start'](params, *parallel.on_groups(block, self._mesh))
    rounds: list[tuple[Round, _Imagined | None]] = []
    while len(rounds) < self._max_rounds:
      taken = self._take('write', params, state.candidates)
      if taken is None:  # every search has stopped
        break
      c, step = taken
      imagined = self._imagine(params, c) if self._lookahead else None
      judged = c.score if imagined is None else imagined[0]
      state, parent, result = self._programs['choose'](
          params, c.generator, c.verifier, c.rows, c.score, state.open, step, judged, parent)
      rounds.append((result, imagined))
    return jax.tree.map(lambda *each: np.stack(each, axis=1),
                        *(self._round(*one) for one in jax.device_get(parallel.collected(rounds))))

  def _take(self, writer: str, params: Any, c: Candidates) -> tuple[Candidates, Step] | None:
    """As `step.take`, in which the host has its part; None where nothing was written."""
    generator, rows, draft = self._programs[writer](params, c.generator, c.rows)
    token, length, steps, used = jax.device_get(parallel.collected(
        (draft.token, draft.length, c.verifier.steps, c.verifier.used)))
    if not length.any():
      return None
    reader, flat = self._reader, lambda x: x.reshape(length.size, *x.shape[length.ndim:])
    room = np.minimum(reader.width, reader.past - used)
    ids, count = reader.rewrite(*map(flat, (token, length, steps, room)))
    read = parallel.on_groups((ids.reshape(*length.shape, -1), count.reshape(length.shape)),
                              self._mesh)
    verifier, score, step = self._programs['read'](params, c.verifier, c.score, draft, *read)
    return Candidates(generator=generator, verifier=verifier, rows=rows, score=score), step

  def _imagine(self, params: Any, c: Candidates) -> _Imagined:
    """Rolls every live row out, as `lookahead.simulate`; the candidates stay as they are."""
    steps: list[Step] = []
    while len(steps) < self._lookahead:
      taken = self._take('imagine', params, self._programs['settle'](params, c))
      if taken is None:
        break
      c, step = taken
      steps.append(step)
    return c.score, c.rows.live, steps

  def _round(self, result: Round, imagined: _Imagined | None) -> Round:
    """A round with its simulation, numpy [G, ...]."""
    if imagined is None:
      return result
    score, live, steps = imagined
    *shape, width = result.token.shape
    token = np.zeros((*shape, self._lookahead, width), np.int32)
    length = np.zeros((*shape, self._lookahead), np.int32)
    for i, step in enumerate(steps):
      token[..., i, :], length[..., i] = step.token, step.length
    total = lambda name: sum((getattr(s, name) for s in steps), np.zeros_like(result.entered))
    return result.replace(simulation=Simulation(
        score=score, token=token, length=length, ended=result.live & ~live,
        entered=total('entered'), attended=total('attended')))
