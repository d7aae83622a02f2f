"""What every stage needs: the experiment, its folder, the devices, and the models made so far."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

from tts import hosts, model_kinds, parallel, placement
from tts.answers.graders import GRADERS
from tts.config import Experiment, ModelConfig
from tts.data import benchmarks, hub, problems as problems_lib
from tts.data.prompts import Prompts
from tts.data.tokenizer import Tokenizer
from tts.data.verifier_format import Reader
from tts.eval.storage import runfiles
from tts.library.served import connected, ServedModel
from tts.models import latent
from tts.models.arch import Arch
from tts.models.latent import Head
from tts.models.transformer import abstract, num_params
from tts.models.verifier import Verifier
from tts.runs import verifiers, workdir as workdir_lib
from tts.remote.client import ServerConfig
from tts.runs.record_rows import RowMaker
from tts.sampling.decode import Limits
from tts.sampling.logits import GROUP
from tts.serving import open_checkpoint
from tts.train import checkpoint, latent_folder
from tts.types import InputError, Problem


@dataclasses.dataclass(frozen=True)
class Model:
  """A trained model on the devices."""

  name: str
  arch: Arch | None  # None of one on a server whose shape is not known
  params: Any        # None of one on a server
  mark: str  # fingerprint
  reader: Reader | None = None  # of a verifier with a tokenizer of its own
  open: dict[str, Any] | None = None  # of an open checkpoint, or of what was finetuned from one
  make: verifiers.Make = Verifier  # how it is read as a verifier
  head: Head | None = None  # of a latent verifier, whose other parameters are its generator's
  served: ServedModel | None = None  # what is on a server

  def own_prompt(self, problem: Problem) -> int | None:
    """Ids of a question where they are not the generator's, else None."""
    return None if self.reader is None else len(self.reader.prompt(problem.prompt))


class Run:
  """One seed of one experiment in one workdir."""

  def __init__(self, experiment: Experiment, workdir: workdir_lib.Workdir, seed: int):
    self.experiment, self.workdir, self.seed = experiment, workdir, seed
    mesh = experiment.mesh
    try:
      self.mesh = parallel.search_mesh(mesh.data, mesh.model)
    except ValueError as error:
      raise InputError(f'config.mesh: {error}') from error

  @functools.cached_property
  def train_mesh(self) -> parallel.Mesh | None:
    """What a training is shared by: the first process's devices or everyone's.

    None is the first device alone.
    """
    mesh, groups = self.experiment.mesh, self.experiment.mesh.train
    try:
      found = parallel.make_mesh(groups, mesh.model, parallel.every_device()) if groups else None
    except ValueError as error:
      raise InputError(f'config.mesh.train: {error}') from error
    if (num := len(parallel.members(found))) not in (1, hosts.count()):
      raise InputError(f'config.mesh.train={groups}: {groups} groups are of {num} processes out of '
                       f'{hosts.count()}: those of the first, or of all (-1), share a training')
    if found is None and len(parallel.members(self.mesh)) > 1:
      raise InputError(f'config.mesh.train is 0, and no process has the {mesh.model} devices of a '
                       'model: set --config.mesh.train=-1, which shares a training among all')
    return found

  @property
  def groups(self) -> int:
    return parallel.num_groups(self.mesh)

  @functools.cached_property
  def main(self) -> str:
    """The main verifier's name; see `verifiers.main`."""
    return verifiers.main(self.experiment)

  def model_config(self, name: str) -> ModelConfig:
    return self.experiment.models[name]

  @functools.cache
  def model_folder(self, name: str) -> str:
    """Where the model is: the checkpoint that was given, an open one imported, or the workdir's."""
    given = self.model_config(name).checkpoint
    if not given:
      return self.workdir.path('models', name)
    if self.model_config(name).server:
      return hub.local(given)  # nothing but its tokenizer and its shape are wanted
    return open_checkpoint.imported(given, self.workdir.root,
                                    self.experiment.models.kinds[name].writes,
                                    self.model_config(name).dtype)

  def has_model(self, name: str) -> bool:
    """Whether the model is part of the experiment and there to be used."""
    name = verifiers.model_of(name)
    config = self.model_config(name)
    return config.enabled and bool(
        config.checkpoint or os.path.exists(os.path.join(self.model_folder(name), 'model.json')))

  @functools.cache
  def model(self, name: str) -> Model:
    """Loads a trained model onto every device.

    Raises:
      InputError: it has not been trained, its folder is damaged, or its tokenizer is another.
    """
    if (of := verifiers.model_of(name)) != name:
      model, make = self.model(of), verifiers.make_of(name)
      mark = workdir_lib.fingerprint(model.mark, name, *verifiers.mark_of(name))
      return dataclasses.replace(model, name=name, make=make, mark=mark)
    config, folder = self.model_config(name), self.model_folder(name)
    if not config.checkpoint and not os.path.isdir(folder):
      raise InputError(f'{folder} is missing: train it first (launch.reproduce does all stages), '
                       f'or give --config.models.{name}.checkpoint')
    if config.server:
      return self._served(name)
    if self.experiment.models.kinds[name].latent:
      return self._latent(name, folder)
    arch, params, meta, tokenizer = checkpoint.load_model(folder, self.mesh)
    if config.checkpoint and hosts.is_first():
      self._write_given(name, meta, tokenizer)
    reader = None
    if meta.get('open', {}).get('format') is not None:
      limits = self.experiment.limits
      reader = Reader(meta['open']['format'], tokenizer, self.tokenizer,
                      limits.max_prompt_tokens, limits.max_step_tokens, limits.max_tokens,
                      limits.max_steps)
    else:
      self._check_shared(folder, tokenizer)
    mark = (self._given_mark(folder) if config.checkpoint
            else self.workdir.mark(f'models/{name}', 'model.json'))
    if reader is not None:
      mark = workdir_lib.fingerprint(mark, reader.mark)
    if arch.vocab_size > GROUP:  # smaller ones are drawn from as in runs from before groups
      mark = workdir_lib.fingerprint(mark, GROUP)
    return Model(name, arch, params, mark, reader, meta.get('open'))

  def check_tokenizers(self) -> None:
    """Raises InputError where a given generator has another tokenizer than a given base."""
    models = self.experiment.models
    for name in model_kinds.generators(models.kinds) if models['base'].checkpoint else ():
      if models[name].enabled and models[name].checkpoint:
        folder = self.model_folder(name)
        self._check_shared(folder, Tokenizer.load(folder))

  def _check_shared(self, folder: str, tokenizer: Tokenizer) -> None:
    if tokenizer.proto != self.tokenizer.proto:
      raise InputError(f'{folder} has another tokenizer than {self.tokenizer_folder}: models of '
                       'one run must share theirs')

  @functools.cache
  def served(self, name: str) -> ServedModel:
    """A model on a server, if it can be used; raises as `tts.library.served.connected`."""
    config = self.model_config(name)
    server = ServerConfig(url=config.server, model=config.served_as,
                          requests=self.experiment.lanes or ServerConfig.requests)
    return connected(server, config.checkpoint, self.mesh, self.experiment.prompts)

  def engine(self, name: str) -> dict[str, Any] | None:
    """What wrote for a model, as its records have it; None where it was this program."""
    if not self.model_config(name).server:
      return None
    return self.served(name).engine.as_record()

  def _served(self, name: str) -> Model:
    """A model on a server: its tokens depend on what the server computes beside them."""
    found, folder = self.served(name), self.model_folder(name)
    self._check_shared(folder, found.tokenizer)
    if hosts.is_first():
      self._write_given(name, {
          'kind': 'lm', 'arch': found.arch and dataclasses.asdict(found.arch),
          'params': found.arch and num_params(abstract(found.arch)), 'metrics': {},
          'engine': self.engine(name)}, found.tokenizer)
    engine = self.engine(name)
    return Model(name, found.arch, None,
                 workdir_lib.fingerprint('server', engine['name'], engine['model']), served=found)

  def _latent(self, name: str, folder: str) -> Model:
    """A head on the base's hidden states."""
    base, given = self.model('base'), self.model_config(name).checkpoint
    head, params, meta = latent_folder.load(folder, base.arch, latent_folder.fingerprint(
        base.arch, base.params))
    if given and hosts.is_first():
      self._write_given(name, meta, self.tokenizer)
    mark = (self._given_mark(folder) if given else
            self.workdir.mark(f'models/{name}', 'model.json'))
    return Model(name, base.arch,
                 base.params | {latent.NAME: placement.replicate(params, self.mesh)},
                 workdir_lib.fingerprint(base.mark, mark), make=latent.Verifier, head=head)

  def _given_mark(self, folder: str) -> str:
    """Fingerprint of a given checkpoint's contents, wherever it lies.

    An import is called by it. One of ours has it in its `model.json`: hashes of all its files,
    which `load_model` has compared.
    """
    if os.path.dirname(folder) == self.workdir.path(open_checkpoint.IMPORTED):
      return os.path.basename(folder)
    return workdir_lib.file_fingerprint(folder)

  def _write_given(self, name: str, meta: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Keeps what the report says of a given checkpoint, which may lie anywhere, in the workdir."""
    folder = os.path.join(runfiles.GIVEN, name)
    self.workdir.write_json(os.path.join(folder, checkpoint.MODEL_FILE),
                            {key: value for key, value in meta.items() if key != 'files'})
    tokenizer.save(self.workdir.path(folder))

  @property
  def tokenizer_folder(self) -> str:
    """The base checkpoint's tokenizer where one was given, else the run's own."""
    return (self.model_folder('base') if self.model_config('base').checkpoint
            else self.workdir.path('tokenizer'))

  @functools.cached_property
  def tokenizer(self) -> Tokenizer:
    return Tokenizer.load(self.tokenizer_folder)

  @functools.cached_property
  def limits(self) -> Limits:
    config = self.experiment.limits
    return Limits(config.max_tokens, config.max_steps, config.max_step_tokens,
                  self.prompts.roles)

  @functools.cached_property
  def prompts(self) -> Prompts:
    return Prompts(self.experiment.prompts, self.tokenizer)

  @functools.cached_property
  def rows(self) -> RowMaker:
    return RowMaker(self.tokenizer, self.limits.roles, self.experiment.data.grader, self.seed,
                    self.engine)

  def problems(self, split: str, count: int | None = None,
               field: str = 'search.questions') -> list[Problem]:
    """The split's first `count` problems; `field` of the config is what asks for so many."""
    found = self._split(split)
    problems_lib.check_enough(split, len(found), count or 0, field)
    return found[:count]

  @functools.cache
  def _split(self, split: str) -> list[Problem]:
    return problems_lib.load_split(self.experiment.data, split, self.workdir.path('data'))

  @functools.cache
  def data_mark(self, split: str) -> str:
    """Fingerprint of a split: of its generator's config, or of the file's bytes.

    How answers are graded is part of it, and by what questions are drawn. `lm` is the only split
    that nothing is drawn for or graded on; `exact` and the families that are generated here, whose
    ids come from their texts, are left out, so that runs from before there was a choice stay valid.
    """
    data = self.experiment.data
    path = getattr(data, split)
    source = (workdir_lib.file_fingerprint(hub.local(path, 'dataset')) if path
              else problems_lib.source(data))
    grader = [] if split == 'lm' or data.grader == 'exact' else [
        data.grader, *GRADERS.mark(data.grader)]
    drawn = ['by text'] if split != 'lm' and (path or data.family in benchmarks.BENCHMARKS) else []
    return workdir_lib.fingerprint(data.family, split, source, *grader, *drawn)

  @functools.cache
  def tokenizer_mark(self) -> str:
    """Fingerprint of the tokenizer, and of what is made of a question."""
    files = [data.hex() for _, data in sorted(self.tokenizer.files.items())]
    return workdir_lib.fingerprint(*files, *self.prompts.mark)
