"""Latent verifiers of one generator, fitted in different ways on a run's labels and compared.

  python -m benchmarks.latent_variants --config=configs/words.py --workdir=W

W has stage `labels`, in which the states that config.models.latent.latent reads were kept, until
stage `verifiers` has learnt from them; those of other --layers, or lost ones, are read once, which
takes as long as writing them did. Give it beside=('logprob', 'entropy') to compare these, too.
Every variant is fitted on four fifths of the questions and asked about the last one, five times
over, so that each question with right and wrong solutions counts. Printed: the AUC within
questions, and its difference to the mean log-probability of a solution, each with a 95% bootstrap
interval over questions. Many variants on the same questions: the best of them is flattered, look at
`test` with one alone.
"""

from __future__ import annotations

import dataclasses
import json
import time

from absl import flags
import numpy as np

from launch import experiment
from tts.eval.measures import statistics
from tts.models.latent import BESIDE, Head
from tts.stages import labels, reproduce, train_latent
from tts.train import latent_fit
from tts.train.latent_config import FitConfig
from tts.train.latent_fit import Examples

_LAYERS = flags.DEFINE_list('layers', None, 'Read once; None is six, evenly spaced.')
_ONLY = flags.DEFINE_string('only', '', 'Variants whose names have this in them.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')
_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Variant:
  """One way: its name, layers and what is beside of those that were read, how, and on what."""

  name: str
  layers: tuple[int, ...]
  beside: tuple[str, ...]
  fit: FitConfig
  labels: str = 'outcomes'
  share: float = 1.0  # of the questions to learn from


def variants(layers: tuple[int, ...], beside: tuple[str, ...]) -> list[Variant]:
  """The usual one, and others that differ from it in one thing, of what was read."""
  usual = Variant('usual', layers, ('logprob',), FitConfig())
  of = lambda name, **more: dataclasses.replace(usual, name=name, **more)
  fit = lambda **more: {'fit': dataclasses.replace(usual.fit, **more)}
  return [
      usual, of('no gates', **fit(epochs=0)), of('states alone', beside=()),
      *([of('with entropy', beside=BESIDE)] if 'entropy' in beside else []),
      *(of(f'l2 {x}', **fit(l2=x)) for x in (0.01, 0.03, 0.3, 1.0, 3.0)),
      *(of(f'no gates, l2 {x}', **fit(l2=x, epochs=0)) for x in (0.01, 1.0, 10.0)),
      *(of(f'rate {x}', **fit(learning_rate=x)) for x in (0.01, 0.1)),
      *(of(f'{n} passes', **fit(epochs=n)) for n in (3, 30)),
      *(of(f'layer {x} alone', layers=(x,)) for x in layers),
      of('labels of steps', labels='rollouts'),
      *(of(f'{x:.0%} of the questions', share=x) for x in (0.25, 0.5))]


def picked(found: Examples, head: Head, variant: Variant, width: int,
           questions: np.ndarray) -> Examples:
  """The items of some questions, with the features that a variant reads."""
  columns = np.concatenate([np.arange(width) + head.layers.index(x) * width for x in variant.layers]
                           + [[len(head.layers) * width + head.beside.index(x)]
                              for x in variant.beside]).astype(int)
  items = np.flatnonzero(np.isin(found.question, questions))
  tokens = np.zeros(len(found.features), bool)
  for i in items:
    tokens[found.start[i]:found.end[i]] = True
  place = np.cumsum(tokens) - tokens
  rows = np.flatnonzero(tokens)
  return Examples(found.features[rows][:, columns], place[found.start[items]],
                  place[found.end[items] - 1] + 1, found.question[items], found.label[items])


def by_question(score: np.ndarray, examples: Examples) -> np.ndarray:
  """AUC within each of the questions, NaN where one is all right or all wrong."""
  return statistics.auc_by_group(score, examples.label > 0.5, examples.question)


def main() -> None:
  with experiment.opened() as (config, workdir):
    run, = reproduce.open_runs(config, workdir)
    base = run.model('base')
    head, width = config.models['latent'].latent.head(base.arch.num_layers), base.arch.width
    layers = tuple(map(int, _LAYERS.value)) if _LAYERS.value else head.layers
    head = Head(layers, head.beside)
    labelled = [x for some in labels.learnt(run, 'rollouts') for x in some]
    whole = train_latent.read_states(run, base, head, labelled,
                                     run.workdir.path('train', 'variants'))
    steps = train_latent.steps(whole, labelled)
    questions = np.unique(whole.question)
    fold = np.random.default_rng(0).permutation(len(questions)) % _FOLDS
    place = len(head.layers) * width + head.beside.index('logprob')
    logprob = np.array([whole.features[a:b, place].astype(float).mean()
                        for a, b in zip(whole.start, whole.end)])
    plain = by_question(logprob, whole)
    print(f'{len(questions)} questions, {len(whole.label)} solutions, '
          f'{whole.label.mean():.3f} right, {whole.end.max()} tokens')
    rows = [{'name': 'mean log-probability', **_said(plain, plain)}]
    print(rows[0])
    for variant in variants(layers, head.beside):
      if _ONLY.value not in variant.name:
        continue
      found, seconds = np.full(len(questions), np.nan), time.monotonic()
      reads = Head(variant.layers, variant.beside)
      for k in range(_FOLDS):
        learn, held = questions[fold != k], questions[fold == k]
        learn = learn[:int(len(learn) * variant.share)]
        source = steps if variant.labels == 'rollouts' else whole
        params = latent_fit.fit(reads, width, picked(source, head, variant, width, learn),
                                variant.fit)
        asked = picked(whole, head, variant, width, held)
        found[fold == k] = by_question(latent_fit.scores(params, asked), asked)
      rows.append({'name': variant.name, **_said(found, plain),
                   'seconds': round(time.monotonic() - seconds, 1)})
      print(rows[-1], flush=True)
  if _OUTPUT.value:
    with open(_OUTPUT.value, 'w', encoding='utf-8') as file:
      json.dump(rows, file, indent=1)


def _said(found: np.ndarray, plain: np.ndarray) -> dict:
  """Mean AUC and its difference to the log-probability's, over the same questions."""
  known = ~np.isnan(found) & ~np.isnan(plain)
  rounded = lambda values: [round(float(values.mean()), 4),
                            [round(x, 4) for x in statistics.mean_interval(values)]]
  return {'auc': rounded(found[known]), 'more': rounded((found - plain)[known]),
          'n': int(known.sum())}


if __name__ == '__main__':
  main()
