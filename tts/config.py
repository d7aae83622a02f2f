"""An experiment as one frozen value: every field, its default and its meaning.

`configs/*.py` fill in a ConfigDict made by `to_config_dict`; `from_config_dict` checks it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from typing import Any

import ml_collections

from tts import config_bounds, plugins
from tts.budget_forcing_config import BudgetForcingConfig
from tts.data.problems import DataConfig
from tts.data.prompts import PromptConfig
from tts.data.tokenizer import TokenizerConfig
from tts.model_config import ModelConfig, Models
from tts.parallel import MeshConfig
from tts.revision_config import RevisionConfig
from tts.sampling.logits import SamplingConfig
from tts.types import InputError


@dataclasses.dataclass(frozen=True)
class LimitsConfig:
  """Buffer sizes, in tokens. A sample that fills one is truncated: it has no answer.

  Attributes:
    max_prompt_tokens: a longer prompt is an error.
    max_tokens: of one solution.
    max_steps: steps of one solution (the paper: 40).
    max_step_tokens: of one step, its delimiter included.
  """

  max_prompt_tokens: int = 32
  max_tokens: int = 72
  max_steps: int = 10
  max_step_tokens: int = 16


@dataclasses.dataclass(frozen=True)
class LabelsConfig:
  """Monte-Carlo rollouts from every step of sampled solutions (paper, 3.2 and appendix D).

  Attributes:
    questions: training questions (the split `verifier`); the last tenth is held out.
    samples: solutions per question (the paper: 16).
    rollouts: continuations per step (the paper: 16); 0 where whole solutions are all that is
      learnt.
    temperature: of solutions and rollouts.
    block: questions per block.
    in_flight: changes nothing any more: `Experiment.lanes` is how many texts are written at a time.
  """

  questions: int = 1000
  samples: int = 4
  rollouts: int = 8
  temperature: float = 1.0
  block: int = 50
  in_flight: int = 128


@dataclasses.dataclass(frozen=True)
class SearchConfig:
  """What is run on the questions that are reported.

  Attributes:
    split: `dev` while tuning, `test` once.
    questions: how many of the split's.
    pool: independent samples per question; best-of-N is computed from them for every N.
    large_samples: independent samples per question of each larger model.
    methods: search methods of `tts.methods`, e.g. `dvts` or `rebase(temperature=0.2)`; what a
      plugin adds is searched with too, listed or not. M and k of one that does not give them are
      swept by `beam_widths` and `lookahead`.
    budgets: generations that searches are charged; verifiers other than the main one guide none of
      1.
    beam_widths: M, numbers or `sqrt` (2^floor(log2(N) / 2)); 4 means min(4, N).
      Verifiers other than the main one search with the first of them alone.
    ablation_budgets: generations that searches by verifiers other than the main one are charged; ()
      takes `budgets`.
    deep_questions: the first so many questions get the deep pool and the deep budgets too.
    deep_pool: independent samples of each of these, for best-of-N beyond `pool`; 0 makes none.
    deep_budgets: generations that searches are charged on these alone, e.g. (256,).
    lookahead: (k, M) pairs of lookahead search, M a number or `sqrt`; the paper has k = 3 with both
      rules for M, k = 1 with `sqrt`.
    lookahead_budgets: generations that it is charged, N (k + 1); one below k + 1 has no candidate.
    lookahead_questions: the first so many questions get it; 0 leaves it out.
    block: questions of a record file, at most.
    max_rows: candidates of a record file, which has fewer questions where each has many: what is
      not in a file yet is what a kill costs. Memory is a matter of `Experiment.lanes`.
    trees: questions whose search trees are kept to be looked at.
  """

  split: str = 'test'
  questions: int = 400
  pool: int = 16
  large_samples: int = 4
  methods: tuple[str, ...] = ('beam', 'lookahead')
  budgets: tuple[int, ...] = (1, 4, 16)
  beam_widths: tuple[int | str, ...] = (4, 'sqrt')
  ablation_budgets: tuple[int, ...] = ()
  deep_questions: int = 0
  deep_pool: int = 0
  deep_budgets: tuple[int, ...] = ()
  lookahead: tuple[tuple[int, int | str], ...] = ((1, 'sqrt'), (3, 4), (3, 'sqrt'))
  lookahead_budgets: tuple[int, ...] = (4, 16)
  lookahead_questions: int = 0
  block: int = 50
  max_rows: int = 3200
  trees: int = 6

  def __post_init__(self):
    # Settings of one name are one folder, whatever their questions.
    if self.deep_pool and self.deep_pool <= self.pool:
      raise ValueError(f'deep_pool = {self.deep_pool} is to be more than pool = {self.pool}, or 0')
    if both := set(self.budgets) & set(self.deep_budgets):
      raise ValueError(f'budgets and deep_budgets both have {min(both)}')
    if any(k < 1 for k, _ in self.lookahead):
      raise ValueError('lookahead has k = 0, which is beam search: k is to be at least 1')


@dataclasses.dataclass(frozen=True)
class DifficultyConfig:
  """The pool that difficulty is estimated from, apart from the one that is scored.

  Attributes:
    samples: per question (the paper: 2048).
    block: questions per block.
    estimator: by which the run's policy chooses for new questions, of
      `tts.eval.policy.estimators`; None is the probe, or where there is none the first sample's
      score.
    cuts: estimates at which bins are cut, four numbers that fall, e.g. (0.8, 0.6, 0.4, 0.2), the
      paper's other choice; () cuts bins of equal size.
  """

  samples: int = 64
  block: int = 50
  estimator: str | None = None
  cuts: tuple[float, ...] = ()

  def __post_init__(self):
    if self.cuts and (len(self.cuts) != 4 or list(self.cuts) != sorted(self.cuts, reverse=True)):
      raise ValueError(f'cuts is {self.cuts}: give four numbers that fall, or ()')


@dataclasses.dataclass(frozen=True)
class Experiment:
  """One experiment.

  Attributes:
    name: of the folder under `results/`.
    seeds: of models, labels and search; the first one's files lie in the workdir itself, the
      others' in `seeds/<s>` there.
    plugins: modules of yours that add search methods, verifiers, graders or task families; see
      docs/extending.md.
    verifier: the main one, which guides every search and scores the pools: prm, prm_plain, latent,
      logprob, one of your own, or a plugin's. The others are ablations.
    mesh: devices.
    lanes: texts that a model writes at a time on each group of devices, on a CPU an even number; 0
      chooses by the model and the device. Records do not depend on it: time does, and memory.
    data: where problems come from.
    tokenizer: trained with the base model.
    prompts: how questions are put, and what ends a step.
    models: the models, by name; see `tts.model_config`.
    limits: buffer sizes.
    sampling: how tokens are drawn; for labels and revisions but for their own temperature.
    labels: what the verifiers are trained on.
    revision: what the revision model is trained on.
    search: what is measured.
    difficulty: how questions are binned.
    budget_forcing: how long models think, where they do; caps that are tried, and waits.
    stage_seconds: planned (stage, seconds) pairs, shown beside the actual ones.
  """

  name: str = 'quickstart'
  seeds: tuple[int, ...] = (0,)
  plugins: tuple[str, ...] = ()
  verifier: str = 'prm'
  mesh: MeshConfig = MeshConfig()
  lanes: int = 0
  data: DataConfig = DataConfig()
  tokenizer: TokenizerConfig = TokenizerConfig()
  prompts: PromptConfig = PromptConfig()
  models: Models = Models()
  limits: LimitsConfig = LimitsConfig()
  sampling: SamplingConfig = SamplingConfig()
  labels: LabelsConfig = LabelsConfig()
  revision: RevisionConfig = RevisionConfig()
  search: SearchConfig = SearchConfig()
  difficulty: DifficultyConfig = DifficultyConfig()
  budget_forcing: BudgetForcingConfig = BudgetForcingConfig()
  stage_seconds: tuple[tuple[str, int], ...] = (
      ('data', 15), ('base', 60), ('mid', 60), ('large', 150), ('labels', 80), ('verifiers', 80),
      ('search', 100), ('difficulty', 30), ('report', 15))

  def __post_init__(self):
    if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
      raise ValueError(f'seeds is {self.seeds}: give different whole numbers from 0')
    plugins.load(self.plugins)


def to_config_dict(value: Any) -> ml_collections.ConfigDict:
  """A dataclass tree as a ConfigDict that command lines can override."""
  if isinstance(value, Models):
    return ml_collections.ConfigDict({name: to_config_dict(m) for name, m in value.items()})
  hints = typing.get_type_hints(type(value))
  result = ml_collections.ConfigDict()
  for field in dataclasses.fields(value):
    item = getattr(value, field.name)
    if dataclasses.is_dataclass(item) or isinstance(item, Models):
      item = to_config_dict(item)
    elif item is None:
      item = ml_collections.config_dict.placeholder(_without_none(hints[field.name]))
    result[field.name] = item
  return result


def from_config_dict(config: ml_collections.ConfigDict, kind: type = Experiment,
                     path: str = 'config') -> Any:
  """The frozen dataclass `kind` of a ConfigDict; a mistake names the field and what it takes."""
  if not isinstance(config, ml_collections.ConfigDict):
    raise InputError(f'{path} is {config!r}: it has fields of its own, set those')
  if kind is Models:
    return _made(Models, {name: from_config_dict(model, ModelConfig, f'{path}.{name}')
                          for name, model in config.items()}, path)
  hints = typing.get_type_hints(kind)
  values = {}
  for field in dataclasses.fields(kind):
    where = f'{path}.{field.name}'
    value, hint = config.get(field.name, field.default), hints[field.name]  # old runs lack some
    if value is dataclasses.MISSING:
      raise InputError(f'{where} is missing from the config file')
    if (dataclasses.is_dataclass(hint) or hint is Models) and field.name in config:
      values[field.name] = from_config_dict(value, hint, where)
    else:
      values[field.name] = _checked(value, hint, where)
    plugins.load(values.get('plugins', ()))  # before `data`, which may name what they add
  extra = sorted(set(config) - set(values))
  if extra:
    raise InputError(f'{path}.{extra[0]} is no field: {path} has {", ".join(values)}')
  made = _made(kind, values, path)
  if isinstance(made, Experiment):
    config_bounds.check(made)
  return made


def _made(kind: type, values: dict[str, Any], path: str) -> Any:
  try:
    return kind(**values)
  except InputError:
    raise
  except ValueError as error:
    raise InputError(f'{path}: {error}') from error


def as_json(value: Any) -> Any:
  """An experiment, or a part of one, as JSON: what `run.json` keeps of it."""
  if isinstance(value, Models):
    return {name: as_json(model) for name, model in value.items()}
  if dataclasses.is_dataclass(value):
    return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
  return value


def _without_none(hint: Any) -> Any:
  return next(a for a in typing.get_args(hint) if a is not type(None))


def _checked(value: Any, hint: Any, where: str) -> Any:
  """`value` as `hint` wants it: numbers and tuples converted, anything else an error."""
  if isinstance(hint, types.UnionType):
    options = typing.get_args(hint)
    if any(isinstance(value, o) for o in options if isinstance(o, type)):
      return value
    return _checked(value, options[0], where)
  if typing.get_origin(hint) is tuple:
    if isinstance(value, list):
      value = tuple(value)
    if not isinstance(value, tuple):
      raise InputError(f"{where} is {value!r}: it takes a tuple, e.g. --{where}='(1, 2)'")
    args = typing.get_args(hint)
    args = args[:1] * len(value) if args[-1] is Ellipsis else args
    if len(args) != len(value):
      raise InputError(f'{where} has {value!r}: it takes {len(args)} values there')
    return tuple(_checked(v, a, where) for v, a in zip(value, args))
  if hint is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
    raise InputError(f'{where} is {value!r}: it takes {hint.__name__}')
  return value


def describe(value: Any, path: str = 'config') -> list[tuple[str, Any, str]]:
  """(field, value, meaning) of every leaf, meanings from the classes' own docstrings."""
  return [(where, item, meanings(kind).get(where.rpartition('.')[2], ''))
          for where, item, kind in config_bounds.leaves(value, f'{path}.')]


@functools.cache
def meanings(kind: type) -> dict[str, str]:
  """What a class docstring says of each field, in its section `Attributes:`."""
  _, _, block = inspect.getdoc(kind).partition('Attributes:\n')
  entries = re.findall(r'^ {2}([\w, ]+): (.*(?:\n {3,}.*)*)', block, flags=re.MULTILINE)
  return {name: ' '.join(text.split()) for names, text in entries for name in names.split(', ')}
