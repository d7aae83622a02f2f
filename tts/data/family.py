"""Embedded task families as TensorFlow Datasets builders, without TensorFlow.

A family is a frozen configuration with `sizes`, a pure `generate(config, split)`
and a subclass of `Family` that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
import io
import json
from typing import Any

from absl import logging
import numpy as np
import tensorflow_datasets as tfds

from tts.types import InputError, Problem


# Of every builder here. Level 0 and an empty solution stand for none.
FEATURES = {
    'id': tfds.features.Text(),
    'prompt': tfds.features.Text(),
    'answer': tfds.features.Text(),
    'solution': tfds.features.Text(),
    'level': np.int32,
}


@dataclasses.dataclass(eq=False)
class FamilyConfig(tfds.core.BuilderConfig):
  """A builder's configuration: its name is a hash of `options`."""

  options: Any = None


class Family(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Prepares every split of a family as ArrayRecord, once per configuration."""

  VERSION = tfds.core.Version('1.0.0')
  generate: Callable[[Any, str], Iterator[Problem]]

  def __init__(self, options: Any, root: str):
    """Names the folder of `options`, a frozen dataclass, under `root`."""
    fields = json.dumps(dataclasses.asdict(options), sort_keys=True)
    name = hashlib.sha256(fields.encode()).hexdigest()[:12]
    super().__init__(
        config=FamilyConfig(name=name, description=fields, options=options),
        data_dir=root,
        # TFDS's other formats need TensorFlow, or lose rows (parquet).
        file_format='array_record',
    )

  @classmethod
  def load(cls, options: Any, split: str, root: str) -> list[Problem]:
    """Reads one split; prepares all of them where that has not been done."""
    return read(lambda: cls(options, root), split, root)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description=type(self).__doc__,
        disable_shuffling=True,
        features=tfds.features.FeaturesDict(FEATURES),
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is downloaded
    return {
        split: self._generate_examples(split)
        for split, _ in self.builder_config.options.sizes
    }

  def _generate_examples(self, split: str):
    problems = self.generate(self.builder_config.options, split)
    for index, problem in enumerate(problems):
      yield index, row(problem)


def row(problem: Problem) -> dict[str, Any]:
  """What is kept of a problem; its key is its id."""
  return {name: getattr(problem, name) for name in FEATURES}


def read(
    make: Callable[[], tfds.core.DatasetBuilder], split: str, root: str
) -> list[Problem]:
  """Reads one split of a builder; prepares all of them where that has not been done.

  TFDS writes beside the final folder and renames it, so a killed preparation
  leaves nothing that would be read, and of two at once the first one counts.

  Args:
    make: gives the builder, of the features that `Family` has; level 0 and an
      empty solution stand for none.
    split: one of its splits.
    root: the folder that it writes to, for messages.

  Raises:
    KeyError: the builder has no such split.
    InputError: what was written is damaged.
  """
  with _quiet():
    with _whole(root):
      builder = make()
    if not builder.data_path.exists():
      try:
        builder.download_and_prepare()
      except OSError:
        if not builder.data_path.exists():
          raise
      builder = make()
    if split not in builder.info.splits:
      raise KeyError(split)
    with _whole(root):
      source = builder.as_data_source(split=split)
      return [_problem(row) for row in source.__getitems__(range(len(source)))]


@contextlib.contextmanager
def _whole(root: str):
  """At damaged files TFDS, and what it reads with, raise all kinds of errors."""
  try:
    yield
  except (InputError, OSError):
    raise
  except Exception as e:
    raise InputError(f'the problems in {root} are damaged ({type(e).__name__}): remove that '
                     'folder, they are made anew') from e


def _problem(row: dict[str, Any]) -> Problem:
  return Problem(
      id=row['id'].decode(),
      prompt=row['prompt'].decode(),
      answer=row['answer'].decode(),
      level=int(row['level']) or None,
      solution=row['solution'].decode() or None,
  )


@contextlib.contextmanager
def _quiet():
  """Keeps TFDS from narrating a download that does not happen."""
  tfds.disable_progress_bar()
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(verbosity)
