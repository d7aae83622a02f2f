"""What values the numbers of an experiment may have, beyond what their own classes check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import fnmatch
import math
from typing import Any, NamedTuple

from tts.models.arch import DTYPES
from tts.types import InputError

_INT32 = 2**31 - 1  # counts become sizes and places on devices


class Bound(NamedTuple):
  """Least and largest value of a field; `above` excludes the least, `also` is allowed besides."""

  least: float
  most: float = math.inf
  above: bool = False
  also: int | None = None

  def holds(self, value: float) -> bool:
    low = value > self.least if self.above else value >= self.least
    return value == self.also or (low and value <= self.most)

  def wanted(self, value: float) -> str:
    """What a field takes that has `value`; a limit that is far away is told who passes it."""
    text = f'above {self.least}' if self.above else f'{self.least} or more'
    if self.most < _INT32 or value > self.most:
      text += f' and at most {self.most}'
    return text if self.also is None else f'{text}, or {self.also}'


_COUNT, _FROM_0, _POSITIVE = Bound(1, _INT32), Bound(0, _INT32), Bound(0, above=True)
_SEED = Bound(0, 2**32 - 1)  # a larger one would be cut to its last 32 bits, and be another's
_DEVICES = 4096  # so many a CPU may be asked to be

# Field, as in `config.describe` --> its bound; the first pattern that fits. None is always allowed.
BOUNDS = {
    'seeds': _SEED, 'lanes': Bound(0, 4096),
    'mesh.data': Bound(1, _DEVICES, also=-1), 'mesh.model': Bound(1, _DEVICES),
    'mesh.train': Bound(-1, _INT32), 'mesh.cpu_devices': Bound(0, _DEVICES),
    'tokenizer.vocab_size': _COUNT,
    'limits.*': _COUNT,
    'sampling.temperature': Bound(0), 'sampling.top_k': _FROM_0,
    'sampling.top_p': Bound(0, 1, above=True),
    'labels.temperature': Bound(0), 'labels.rollouts': _FROM_0, 'labels.*': _COUNT,
    'search.trees': _FROM_0, 'search.large_samples': _FROM_0, 'search.deep_questions': _FROM_0,
    'search.deep_pool': _FROM_0, 'search.lookahead_questions': _FROM_0, 'search.*': _COUNT,
    'budget_forcing.waits': _FROM_0, 'budget_forcing.*': _COUNT,
    'difficulty.cuts': Bound(0, 1), 'difficulty.*': _COUNT,
    'models.*.arch.vocab_size': _FROM_0, 'models.*.arch.num_layers': _FROM_0,
    'models.*.arch.rope_theta': _POSITIVE, 'models.*.arch.window_rope_theta': _POSITIVE,
    'models.*.arch.norm_eps': _POSITIVE, 'models.*.arch.attn_softcap': _POSITIVE,
    'models.*.arch.final_softcap': _POSITIVE, 'models.*.arch.rope_scaling': _POSITIVE,
    'models.*.arch.windows': _FROM_0, 'models.*.arch.value_hidden': _FROM_0,
    'models.*.arch.surprise_layer': _COUNT,
    'models.*.latent.layers': _COUNT, 'models.*.latent.fit.l2': Bound(0),
    'models.*.latent.fit.epochs': _FROM_0, 'models.*.latent.fit.learning_rate': _POSITIVE,
    'models.*.latent.fit.batch': _COUNT, 'models.*.latent.fit.seed': _SEED,
    'models.*.train.final_lr_fraction': Bound(0, 1), 'models.*.train.seed': _SEED,
}
# Of a model that has layers of its own; another's shape is not read.
SHAPE = dict.fromkeys([f'models.*.arch.{name}' for name in (
    'width', 'num_heads', 'num_kv_heads', 'head_size', 'mlp_width')], _COUNT)
_ALL = BOUNDS | SHAPE


def check_part(part: Any, name: str) -> None:
  """As `check`, of one part of an experiment alone, `sampling` for instance."""
  for field in dataclasses.fields(part):
    _check(f'{name}.{field.name}', getattr(part, field.name), field.name, _ALL)


def check(experiment: Any) -> None:
  """Raises InputError at the first field of a `config.Experiment` that is out of its bounds."""
  models = experiment.models
  for path, value, _ in leaves(experiment):
    group, name, *_ = f'{path}.'.split('.')
    table = BOUNDS if group == 'models' and not models[name].arch.num_layers else _ALL
    _check(path, value, f'config.{path}', table)
  for name, model in models.items():
    if model.init not in ('scratch', *models):
      raise InputError(f'config.models.{name}.init is {model.init!r}: it is to be scratch or one '
                       f'of {", ".join(models)}')
  for name in models:
    _check_model(name, models)


def _check(path: str, value: Any, called: str, table: Mapping[str, Bound]) -> None:
  """Raises InputError where a field is out of its bound; `called`: in the message."""
  bound = next((b for pattern, b in table.items() if fnmatch.fnmatchcase(path, pattern)), None)
  each = 'each' if isinstance(value, tuple) else 'it'
  for number in _numbers(value):
    if isinstance(number, float) and not math.isfinite(number):
      raise InputError(f'{called} is {value}: {each} is to be a finite number')
    if bound and not bound.holds(number):
      raise InputError(f'{called} is {value}: {each} is to be {bound.wanted(number)}')


def _check_model(name: str, models: Mapping[str, Any]) -> None:
  """What fields of one model say about each other."""
  where, model, a = f'config.models.{name}', models[name], models[name].arch
  if len(a.rope_scaling) not in (0, 1, 4):
    raise InputError(f'{where}.arch.rope_scaling is {a.rope_scaling}: it is to have 0, 1 or 4 '
                     'numbers')
  if model.dtype not in (None, *DTYPES):
    raise InputError(f'{where}.dtype is {model.dtype!r}: it is to be {" or ".join(DTYPES)}')
  if model.dtype and not model.checkpoint:
    raise InputError(f'{where}.dtype is {model.dtype!r}: {where}.checkpoint is to '
                     'be an open checkpoint, and is missing')
  if not a.num_layers:
    seen = [name]
    while model.init != 'scratch' and not model.arch.num_layers and not model.checkpoint:
      if model.init in seen:
        raise InputError(f'{where}.init is {models[name].init!r}: it is to lead to a model that '
                         'has layers, and leads back')
      seen.append(model.init)
      model = models[model.init]
    return
  if a.num_heads % a.num_kv_heads:
    raise InputError(f'{where}.arch.num_kv_heads is {a.num_kv_heads}: it is to divide num_heads, '
                     f'{a.num_heads}')
  if a.head_size % 2:
    raise InputError(f'{where}.arch.head_size is {a.head_size}: it is to be even, as its halves '
                     'are rotated')
  if a.surprise_layer and a.surprise_layer > a.num_layers:
    raise InputError(f'{where}.arch.surprise_layer is {a.surprise_layer}: it is to be at most '
                     f'num_layers, {a.num_layers}')
  if a.windows and len(a.windows) != a.num_layers:
    raise InputError(f'{where}.arch.windows is {a.windows}: it is to have one number for each of '
                     f'{a.num_layers} layers, or none')


def leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any, type]]:
  """(path, value, class that has it) of every field that has no fields of its own."""
  parts = (value if isinstance(value, Mapping) else
           {field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
  for name, item in parts.items():
    where = f'{path}{name}'
    if dataclasses.is_dataclass(item) or isinstance(item, Mapping):
      yield from leaves(item, f'{where}.')
    else:
      yield where, item, type(value)


def _numbers(value: Any) -> Iterator[int | float]:
  """The numbers of a field, in tuples too."""
  if isinstance(value, tuple):
    for item in value:
      yield from _numbers(item)
  elif isinstance(value, (int, float)) and not isinstance(value, bool):
    yield value
