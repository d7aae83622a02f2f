"""What heads of latent verifiers are fitted on, read off a generator question by question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import hashlib
import json
import os
import pathlib

import numpy as np
from tqdm import tqdm

from tts import hosts
from tts.data import files
from tts.engine import engine
from tts.engine.engine_models import EngineVerifier
from tts.library import calls
from tts.train.latent_fit import Examples

_BLOCK = 32  # questions, after which what has been read is kept
_LARGEST = float(np.finfo(np.float16).max)
_FEATURES, _DONE = 'features.npy', 'done.json'


def read(reading: EngineVerifier, size: int, prompts: Sequence[Sequence[int]],
         solutions: Sequence[Sequence[Sequence[int]]], labels: Sequence[Sequence[float]],
         folder: str | os.PathLike[str] | None = None, mark: str = '', progress: bool = True,
         known: Callable[[int], np.ndarray | None] = lambda i: None) -> Examples:
  """The features of every token of solutions, and where each solution has its own.

  Args:
    reading: of a `tts.models.latent_states.States`.
    size: F, of its head.
    prompts: of each question, ids.
    solutions: of each question, ids of each, one token at least.
    labels: of each of them.
    folder: where features are kept, so that the same call goes on where one was ended; None keeps
      them in memory. They are float16, 2 F bytes a token.
    mark: of the generator and the head; with another one, or other texts, all is read anew.
    progress: show a bar where it takes more than a few seconds.
    known: a question's place --> the features [tokens, F] of its solutions, one after the other,
      where they are known: it is not read then.
  """
  lengths = np.array([len(ids) for of in solutions for ids in of])
  ends = np.cumsum(lengths)
  question = np.repeat(np.arange(len(solutions)), [len(of) for of in solutions])
  first = np.searchsorted(question, np.arange(len(solutions) + 1))  # item of each question
  of_question = np.concatenate([[0], ends])[first]  # token of each question
  found = Examples(
      features=np.zeros(0), start=ends - lengths, end=ends, question=question,
      label=np.array([label for of in labels for label in of], np.float32))
  texts = [[list(map(int, ids)) for ids in (prompt, *of)] for prompt, of in zip(prompts, solutions)]
  store = _Store(folder, (int(ends[-1]), size), hashlib.sha256(
      json.dumps([mark, texts]).encode()).hexdigest())
  begin = lambda i: lambda group: calls.values(reading, group, texts[i][0], texts[i][1:])
  in_flight = reading.shape.in_flight(max(map(len, solutions)))
  with tqdm(total=len(texts), unit=' questions', delay=5, leave=False, initial=store.done,
            disable=not (progress and hosts.is_first())) as bar:
    while store.done < len(texts):
      block = range(store.done, min(store.done + _BLOCK, len(texts)))
      unknown = []
      for i in block:
        own = store.features[of_question[i]:of_question[i + 1]]
        if (given := known(i)) is None or given.shape != own.shape:
          unknown.append(i)
          continue
        own[:] = given
        bar.update()
      for done in engine.stream(map(begin, unknown), [reading], in_flight):
        for i, values in enumerate(done.result, first[unknown[done.index]]):
          store.features[found.start[i]:found.end[i]] = np.clip(values, -_LARGEST, _LARGEST)
        bar.update()
      store.keep(block.stop)
  return Examples(store.features, found.start, found.end, found.question, found.label)


class _Store:
  """Features in memory or in a folder, with how many questions they have been read of."""

  def __init__(self, folder: str | os.PathLike[str] | None, shape: tuple[int, int], identity: str):
    self.done, self._identity = 0, identity
    self._folder = None if folder is None else pathlib.Path(folder)
    self.features: np.ndarray
    if self._folder is None:
      self.features = np.zeros(shape, np.float16)
      return
    self._folder.mkdir(parents=True, exist_ok=True)
    path = self._folder / _FEATURES
    try:
      kept = json.loads((self._folder / _DONE).read_bytes())
      self.features = np.lib.format.open_memmap(path, 'r+')
      if kept['identity'] == identity and self.features.shape == shape:
        self.done = int(kept['questions'])
        return
    except (OSError, ValueError, TypeError, KeyError):  # nothing whole is there
      pass
    (self._folder / _DONE).unlink(missing_ok=True)
    self.features = np.lib.format.open_memmap(path, 'w+', np.float16, shape)

  def keep(self, questions: int) -> None:
    """So many have been read, the first ones."""
    self.done = questions
    if self._folder is None:
      return
    assert isinstance(self.features, np.memmap)
    self.features.flush()
    with files.written_aside(self._folder / _DONE) as file:
      file.write(json.dumps({'identity': self._identity, 'questions': questions}).encode())
