"""Part of stage `verifiers`: heads that read the base's hidden states, fitted on solutions.

The states were kept as the solutions were written (`tts.stages.kept_states`); those that are lost,
or of other layers, are read again. A training that was ended goes on behind the last question whose
states it has in `train/<name>`, or the last pass of the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import itertools
import shutil
from typing import Any

from absl import logging
import numpy as np
from tqdm import tqdm

from tts import hosts, parallel
from tts.engine.engine_models import attended
from tts.eval.measures import flops, statistics
from tts.library import features
from tts.model_kinds import STATES
from tts.models import latent
from tts.models.latent import Head
from tts.runs.models_at_work import reads_states
from tts.runs.run import Model, Run
from tts.runs.workdir import fingerprint
from tts.stages import kept_states, labels, train as train_lib
from tts.train import latent_fit, latent_folder
from tts.train.latent_config import LatentConfig
from tts.train.latent_fit import Examples
from tts.train.packed import Labelled


def train_latent(run: Run, name: str) -> None:
  """Fits a head and publishes it, unless it is there."""
  config = run.model_config(name)
  if config.checkpoint:
    return
  base, how = run.model('base'), config.latent
  if config.learns != STATES:
    head, params = latent.of_logprob(base.arch.width)
    _publish(run, name, fingerprint(base.mark, head, name), head, lambda: (params, {'tokens': 0}))
    return
  how = dataclasses.replace(how, fit=dataclasses.replace(how.fit, seed=how.fit.seed + run.seed))
  head = how.head(base.arch.num_layers)
  _publish(run, name,
           fingerprint(labels.mark_of(run, 'rollouts'), base.mark, head, how, name), head,
           lambda: _fitted(run, name, base, head, how))


def _publish(run: Run, name: str, mark: str, head: Head,
             made: Callable[[], tuple[dict[str, Any], dict[str, Any]]]) -> None:
  """Writes the head that `made` gives (parameters, metrics), unless it is there."""
  if train_lib.is_there(run, name, mark):
    return
  if 0 in parallel.members(run.mesh):  # the first process, and those that share its models
    params, metrics = made()
    if hosts.is_first():
      base = run.model('base')
      latent_folder.save(run.workdir.path('models', name), head, params, latent_folder.fingerprint(
          base.arch, base.params), {
              'arch': None, 'params': int(sum(x.size for x in params.values())),
                                    'metrics': metrics, 'seed': run.seed, 'fingerprint': mark})
      shutil.rmtree(run.workdir.path('train', name), ignore_errors=True)
  hosts.wait()


def _fitted(run: Run, name: str, base: Model, head: Head,
            how: LatentConfig) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """A head's parameters, and what is worth knowing of them."""
  learnt, held_out = labels.learnt(run, 'rollouts')
  learn, held = (read_states(run, base, head, some, run.workdir.path('train', name, part))
                 for some, part in ((learnt, 'states'), (held_out, 'held_out')))
  items = lambda found, some: found if how.labels == 'outcomes' else steps(found, some)
  with tqdm(total=how.fit.epochs + 1, desc=f'{name}: passes', delay=5, leave=False,
            disable=not hosts.is_first()) as bar:
    params = latent_fit.fit(head, base.arch.width, items(learn, learnt), how.fit,
                            run.workdir.path('train', name, 'fit') if hosts.is_first() else None,
                            lambda epoch, loss: bar.update())
  metrics = {'questions': len(np.unique(learn.question)), 'solutions': len(learn.label),
             'tokens': int(learn.end.max()), 'flops': _read_flops(base, head, learnt),
             **_auc('auc_within', latent_fit.scores(params, held), held)}
  if 'logprob' in head.beside:
    place = len(head.layers) * base.arch.width + head.beside.index('logprob')
    logprob = np.array([held.features[a:b, place].astype(np.float64).sum()
                        for a, b in zip(held.start, held.end)])
    metrics |= _auc('auc_logprob_within', logprob, held)
  logging.info('%s: %s', name, metrics)
  return params, metrics


def read_states(run: Run, base: Model, head: Head, labelled: Sequence[Labelled],
                folder: str) -> Examples:
  """Whole solutions and whether they are right, by their states."""
  questions, mark = list(_questions(labelled)), labels.mark_of(run, 'rollouts')
  return features.read(
      reads_states(run, base, head), latent.num_features(head, base.arch.width),
      [of[0].prompt for of in questions], [[x.tokens for x in of] for of in questions],
      [[x.labels[-1] for x in of] for of in questions],
      folder if hosts.is_first() else None, f'{base.mark} {head}',
      known=lambda i: kept_states.known(run, mark, head, questions[i][0].name))


def _questions(labelled: Iterable[Labelled]) -> Iterator[list[Labelled]]:
  """The solutions of each question."""
  for _, of in itertools.groupby(labelled, key=lambda x: x.name):
    yield list(of)


def steps(whole: Examples, labelled: Sequence[Labelled]) -> Examples:
  """As many beginnings of each solution as it has steps, with the steps' labels."""
  ends = [x.step_ends for x in labelled]
  count = list(map(len, ends))
  return dataclasses.replace(
      whole, start=np.repeat(whole.start, count),
      end=np.concatenate([start + np.array(of) for start, of in zip(whole.start, ends)]),
      question=np.repeat(whole.question, count),
      label=np.concatenate([np.array(x.labels, np.float32) for x in labelled]))


def _auc(name: str, score: np.ndarray, examples: Examples) -> dict[str, Any]:
  """Of solutions of the same question, averaged over questions that have both kinds."""
  found = statistics.auc_by_group(score, examples.label > 0.5, examples.question)
  mean, _, count = statistics.known_means(found[None])[0]
  return {name: mean, f'{name}_n': count}


def _read_flops(base: Model, head: Head, labelled: Sequence[Labelled]) -> int:
  """Of reading the solutions for their states; prompts once a question."""
  arch, total = dataclasses.asdict(base.arch), 0
  for of in _questions(labelled):
    prompt = len(of[0].prompt)
    lengths = [len(x.tokens) for x in of]
    counts = {'entered': prompt + sum(lengths), 'pruned': 0, 'simulated': 0,
              'kept': sum(lengths) if head.beside else 0,
              'attended': attended(0, prompt) + sum(attended(prompt, n) for n in lengths)}
    total += flops.counted(arch, 'lm', counts)
  return total
