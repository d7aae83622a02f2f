"""What a latent verifier costs: a search by it, the same search with its scores for free, sampling.

  python -m benchmarks.latent --model=F.gguf --questions=test.jsonl

First the program that writes, with all lanes live, with a head and without by turns, a call each.
The head has random states' weights, too small to matter, beside the token's log-probability: what
it computes does not depend on its numbers, and a search by the log-probability writes solutions of
the usual length. The free scores are those that the first search gave, looked up: it writes the
same tokens with programs that have no head. Runs go by turns, the first turn, which compiles, does
not count; seconds are of the processor and of the clock, each a median of ratios within a turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import dataclasses
import json
import time
from typing import Any

import jax
import numpy as np

import tts
from tts.engine import all_programs, engine
from tts.engine.engine_models import EngineGenerator
from tts.engine.writer import Writer
from tts.eval.measures import flops
from tts.library import calls
from tts.models import latent
from tts.models.functions import Functions
from tts.roles import Roles
from tts.sampling import decode, pool
from tts.sampling.logits import SamplingConfig
from tts.searching.search import Question, Search

_CALLS = 60  # of a program that is timed by itself; room for their tokens is in the lanes


class _Recorder(Writer):
  """Keeps what the generator said of everything that it wrote."""

  table: dict[tuple, np.ndarray]

  def _collect(self, over):
    found = super()._collect(over)
    for _, _, job, written in found:
      self.table[_name(job, written)] = written.values
    return found


class _Told(_Recorder):
  """Has for everything that is written what was kept."""

  def _collect(self, over):
    found = Writer._collect(self, over)
    for _, _, job, written in found:
      written.values = self.table[_name(job, written)]
    return found


def _name(job: Any, written: Any) -> tuple:
  return job.key.tobytes(), job.place, job.node.end, written.tokens.tobytes()


class _Setting:

  def __init__(self, args: argparse.Namespace):
    self.model = tts.load_generator(args.model, kind='chat')
    with open(args.questions, encoding='utf-8') as file:
      texts = [json.loads(line)['question'] for line in file][:args.num]
    self.asked = calls.Questions(texts, self.model.prompts, tts.Limits(
        max_prompt_tokens=512, max_tokens=args.max_tokens, max_step_tokens=64), 0)
    self.keys = self.asked.keys(range(-1, args.n))
    self.method, self.n, self.table = tts.methods.beam(args.m), args.n, {}
    arch = self.model.arch
    self.head = latent.Head(tuple(sorted({-(-arch.num_layers * i // 6) for i in range(1, 7)})),
                            ('logprob',))
    gen = np.random.default_rng(0)
    self.verifier = tts.RewardModel.of_head(self.model, self.head, {
        'states': (1e-6 * gen.normal(size=(len(self.head.layers), arch.width, 2))).astype('f'),
        'beside': np.array([[0, 1]], 'f'), 'bias': np.zeros(2, 'f')})

  def _at_work(self, head: bool, writer: type[Writer] = Writer) -> EngineGenerator:
    how = SamplingConfig(temperature=0.8)
    found = self.model.at_work(how, self.asked.limits, self.verifier if head else None)
    if writer is not Writer:
      make = Functions(latent.Generator, self.model.arch, self.head) if head else self.model.make
      found.writer = writer(found._store, make, self.verifier.params if head else self.model.params,
                            self.model.shape, how, self.asked.limits)
      found.writer.table = self.table
    return found

  def writing(self, head: bool) -> Iterator[None]:
    """Calls of the program that writes, in lanes that are all live and stay so."""
    model, shape = self.model, self.model.shape
    make = Functions(latent.Generator, model.arch, self.head) if head else model.make
    params = self.verifier.params if head else model.params
    limits = decode.Limits(10**6, 10**6, 10**6, Roles((), ()))
    program = all_programs.write(
        model.mesh, make, shape.write, SamplingConfig(temperature=0.8), limits)
    state = all_programs.empty_lanes(model.mesh, make, shape.lanes, 256)(params)
    steps = np.full_like(state.steps, 10**6)
    on = np.ones_like(state.active)
    state = state.replace(active=on, steps=steps, rows=state.rows.replace(live=on))
    while True:
      state, log = program(params, state)
      jax.block_until_ready(log)
      yield

  def search(self, head: bool) -> EngineGenerator:
    generator = self._at_work(head, _Recorder if head else _Told)
    begin = lambda i: lambda group: Search(
        generator, None, Question(self.asked.ids[i], (), self.keys[i][1:], self.keys[i][0]),
        self.method, group).run()
    engine.run([*map(begin, range(len(self.asked.ids)))], [generator], len(self.asked.ids))
    return generator

  def sample(self) -> EngineGenerator:
    generator = self._at_work(False)
    begin = lambda i: lambda group: pool.samples(
        generator, group, self.asked.ids[i], self.keys[i][1:])
    engine.run([*map(begin, range(len(self.asked.ids)))], [generator], len(self.asked.ids))
    return generator


def _write_by_turns(setting: _Setting) -> None:
  calls_of = {head: setting.writing(head) for head in (True, False)}
  spent: dict[bool, list[float]] = {True: [], False: []}
  for turn in range(_CALLS):
    for head in (turn % 2 == 0, turn % 2 == 1):
      begun = time.process_time()
      next(calls_of[head])
      spent[head].append(time.process_time() - begun)
  shape, warm = setting.model.shape, 5
  ms = {head: 1e3 * np.array(x[warm:]) / shape.write for head, x in spent.items()}
  ratio = ms[True] / ms[False]
  again = np.random.default_rng(0).choice(ratio, (2000, len(ratio)))
  low, high = np.quantile(np.median(again, axis=1), [0.025, 0.975])
  print(f'writing in {shape.lanes} lanes: {np.median(ms[True]):.1f} CPU-ms a token with a head, '
        f'{np.median(ms[False]):.1f} without; median ratio {np.median(ratio):.4f} '
        f'[{low:.4f}, {high:.4f}] ({len(ratio)} pairs of calls)', flush=True)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  for name, kind, default in (('model', str, None), ('questions', str, None), ('num', int, 16),
                              ('n', int, 8), ('m', int, 4), ('max_tokens', int, 64),
                              ('turns', int, 3)):
    parser.add_argument(f'--{name}', type=kind, default=default, required=default is None)
  setting = _Setting(parser.parse_args())
  _write_by_turns(setting)
  runs = {'search': lambda: setting.search(True), 'search, free': lambda: setting.search(False),
          'sampling': setting.sample}
  per_token: dict[str, list[np.ndarray]] = {name: [] for name in runs}
  for turn in range(parser.parse_args().turns + 1):
    for name, run in runs.items():
      begun = np.array([time.process_time(), time.monotonic()])
      generator = run()
      spent = np.array([time.process_time(), time.monotonic()]) - begun
      tokens = generator.writer.entered
      print(f'{turn} {name}: {tokens} tokens, {spent[0]:.1f} CPU-seconds, {spent[1]:.1f} s',
            flush=True)
      if turn:
        per_token[name].append(spent / tokens)
  ratio = lambda a, b: np.array(per_token[a]) / np.array(per_token[b])
  for a, b in (('search', 'search, free'), ('search', 'sampling')):
    of = ratio(a, b)
    print(f'{a} / {b}, a token: CPU {np.median(of[:, 0]):.3f} of {of[:, 0].round(3).tolist()}, '
          f'clock {np.median(of[:, 1]):.3f} of {of[:, 1].round(3).tolist()}')
  arch = dataclasses.asdict(setting.model.arch)
  counts = {'kept': 1, 'pruned': 0, 'simulated': 0, 'entered': 1, 'attended': 256}
  head = {**dataclasses.asdict(setting.head), 'width': arch['width']}
  own, whole = flops.latent(head, counts), flops.counted(arch, 'lm', counts)
  print(f'{setting.head}: {own:,} FLOPs a token of {whole:,}, {own / whole:.5%}')


if __name__ == '__main__':
  main()
