"""A published folder: what every strategy did on each question.

From `questions.npz`, which holds the answers themselves, or, of studies from before that,
`outcomes.csv.gz`, which holds what each strategy got right.
"""

import csv
import dataclasses
import functools
import gzip
import io
import json
import pathlib

import numpy as np

from . import votes

UNGUIDED = ('greedy', 'majority', 'logprob_weighted', 'best_of_n', 'oracle', 'best_of_n_weighted',
            'sequential', 'parallel', 'sequential_parallel')
WEIGHED = ('best_of_n', 'best_of_n_weighted')  # of a pool, by scores
SEARCHED = (('best_of_n_weighted', 'last'), ('best_of_n', 'last'), ('majority', None),
            ('oracle', None))


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
  """One strategy at one budget; arrays are by question, `at` says which: places in `Study.ids`."""

  strategy: str
  budget: int
  at: np.ndarray
  right: np.ndarray
  selection: str
  verifier: str | None = None
  aggregation: str | None = None
  width: int | None = None
  lookahead: int | None = None
  theta: str = ''
  guided: bool = False
  written: np.ndarray | None = None  # tokens
  read: np.ndarray | None = None     # tokens, by the verifier
  flops: np.ndarray | None = None
  seconds: float | None = None       # of a question
  chain_length: int | None = None
  name: str = ''                     # settles ties
  label: str | None = None           # what it is called as the curves show it

  def on(self, places, values=None):
    """Accuracy, or other values of its questions, on some of them."""
    return (self.right if values is None else values)[np.searchsorted(self.at, places)]


@dataclasses.dataclass(frozen=True, eq=False)
class Estimator:
  """A way to estimate difficulty; higher is easier. `at`: places of the questions it knows."""

  scheme: str
  name: str
  at: np.ndarray
  estimate: np.ndarray
  charge: dict = dataclasses.field(default_factory=dict)
  stay: int = 0
  bins: np.ndarray | None = None  # given ones


def counted(how, size, score):
  """Name of what each question got right, where that is kept in place of the samples."""
  return f'right/{how}/{size}/{score or "none"}'


class Setting:
  """What one strategy wrote, sample by sample; `tts.eval.report.question_data` has the fields."""

  def __init__(self, file, place, about):
    self._file, self._place, self.about = file, place, about
    self.at = self['questions']
    self.slots = about['slots']

  def __getitem__(self, name):
    return self._file[f'{self._place}/{name}']

  def get(self, name):
    key = f'{self._place}/{name}'
    return self._file[key] if key in self._file else None

  @property
  def answered(self):
    return self['answer'] != votes.NONE

  @property
  def right(self):
    """bool [Q, N], what has an answer, and the right one."""
    return self['correct'] & self.answered

  def names(self, kind):
    """Of `score`, `least`, `product` the verifiers, of `counts` the models."""
    found = [key.split('/') for key in self._file if key.startswith(f'{self._place}/')]
    return list(dict.fromkeys(key[-1] for key in found if key[-2] == kind))

  def accuracy(self, how, size, score=None):
    """[Q], as counted before for a cell of several seeds, or by the samples.

    score: name of the samples' scores, e.g. `least/prm`.
    """
    if (right := self.get(counted(how, size, score))) is not None:
      return right
    given = {name: self.get(name) for name in ('answer', 'correct', 'equal', 'weight', 'logprob')}
    return votes.accuracy(how, size, score=score and self[score],
                          chain_length=self.about['chain_length'], **given)

  def cost(self, model, size, models):
    """Tokens sampled, tokens read and FLOPs of a try, float [Q]; FLOPs None where unknown."""
    counts = self.get(f'counts/{model}')
    if counts is None:
      return None, None, None
    tries = self.slots // size
    used = self.about['used'].index(tries * size)
    sampled, entered, attended, prompt = counts[:, used].astype(float).T
    entered = entered / tries + prompt  # each try pays for the prompt
    attended = attended / tries + prompt * (prompt + 1) // 2
    about = models.get(model) or {'flops': None, 'reads': True}
    price = about['flops']
    spent = None if price is None else (
        price[0] * entered + price[1] * attended + price[2] * sampled / tries)
    return sampled / tries, entered * about['reads'], spent

  def outcome(self, models, strategy, size, how, verifier=None, aggregation=None, score=None):
    about = self.about
    written, _, spent = self.cost(about['model'], size, models)
    read = np.zeros(len(self.at))
    if verifier is not None:
      _, read, more = self.cost(verifier, size, models)
      spent = None if spent is None or more is None else spent + more
    theta = {k: v for k, v in about['theta'].items()
             if k not in ('beam_width', 'lookahead', 'chain_length')}
    whole = size == self.slots
    return Outcome(
        strategy, about['budget'] if whole else size, self.at, self.accuracy(how, size, score),
        how, verifier, aggregation, about['theta'].get('beam_width'),
        about['theta'].get('lookahead'), ' '.join(f'{k}={v}' for k, v in theta.items()),
        about['guide'] is not None, written, read, spent,
        about['seconds'] and about['seconds'] * size / self.slots, about['chain_length'],
        about['name'] if whole and about['guide'] else f'{strategy}-n{size}')


def _averaged(tries):
  """Repeats of one search, on the questions that all of them have."""
  if len(tries) == 1:
    return tries[0]
  at = functools.reduce(np.intersect1d, [t.at for t in tries])
  mean = lambda name: None if getattr(tries[0], name) is None else np.mean(
      [t.on(at, getattr(t, name)) for t in tries], axis=0)
  seconds = [t.seconds for t in tries if t.seconds is not None]
  return dataclasses.replace(
      tries[0], at=at, seconds=float(np.mean(seconds)) if seconds else None,
      **{name: mean(name) for name in ('right', 'written', 'read', 'flops')})


def every(file):
  """A file's arrays, with each sample in its slot where those that repeat are kept once."""
  for key in [key for key in file if key.endswith('/same')]:
    same = file.pop(key).astype(int)
    first = np.cumsum([0, *same.max(axis=1) + 1])
    for name in file:
      if name.startswith(key[:-len('same')]) and file[name].shape == (first[-1],) and (
          not name.endswith(('/questions', '/confidence'))):
        file[name] = file[name][first[:-1, None] + same]
  return file


class Study:
  """One folder under `results/`."""

  def __init__(self, folder):
    self.folder = pathlib.Path(folder)
    about = self.folder / 'results.json'
    self.published = json.loads(about.read_text('utf-8')) if about.exists() else {}
    self.settings, self.about = [], {}
    self.estimators = []
    if (self.folder / 'questions.npz').exists():
      self._load()
    elif (self.folder / 'outcomes.csv.gz').exists():
      self._load_table()
    else:
      self.ids, self.outcomes = [], []

  @property
  def whole(self):
    """Whether it has the answers themselves."""
    return bool(self.settings)

  def _load(self):
    file = dict(np.load(self.folder / 'questions.npz', allow_pickle=False))
    self.about = json.loads(file['about'].tobytes())
    file |= {name: file[other] for name, other in self.about.get('alike', {}).items()}
    self.file = file = every(file)
    self.ids, self.main, self.levels = self.about['ids'], self.about['main'], file['levels']
    self.settings = [Setting(file, k, s) for k, s in enumerate(self.about['settings'])]
    self.outcomes = self._labelled([*self._greedy(), *self._pooled(), *self._searched()])
    for i, e in enumerate(self.about['estimators']):
      known = file[f'estimate/{i}']
      at = np.flatnonzero(~np.isnan(known))
      bins = file.get(f'bins/{i}')
      self.estimators.append(Estimator(e['scheme'], e['name'], at, known[at], e['charge'],
                                       e['stay'], None if bins is None else bins[at].astype(int)))

  def _load_table(self):
    text = gzip.decompress((self.folder / 'outcomes.csv.gz').read_bytes()).decode()
    found, bins = {}, {}
    for row in csv.DictReader(io.StringIO(text)):
      key = tuple(row.get(k) or None for k in (
          'strategy', 'budget', 'beam_width', 'lookahead', 'theta', 'verifier', 'aggregation',
          'selection'))
      found.setdefault(key, []).append(row)
      if row['bin']:
        bins[row['problem_id']] = int(row['bin'])
    self.ids = sorted({row['problem_id'] for rows in found.values() for row in rows})
    place = {name: i for i, name in enumerate(self.ids)}
    self.main = (self.published.get('config') or {}).get('verifier') or 'prm'
    whole = lambda x: None if x is None else int(float(x))
    self.outcomes = []
    for key, rows in found.items():
      strategy, budget, width, lookahead, theta, verifier, aggregation, selection = key
      rows.sort(key=lambda row: place[row['problem_id']])
      column = lambda name: None if rows[0][name] == '' else np.array(
          [float(row[name]) for row in rows])
      guided = strategy not in UNGUIDED
      parts = [strategy, *(f'{a}{b}' for a, b in (('m', width), ('k', lookahead)) if b),
               *(theta or '').replace('=', '').split(), f'n{budget}']
      self.outcomes.append(Outcome(
          strategy, int(budget), np.array([place[r['problem_id']] for r in rows]),
          column('accuracy'), selection, verifier, aggregation, whole(width), whole(lookahead),
          theta or '', guided, column('generated_tokens'), column('verifier_tokens'),
          column('flops'), name='-'.join(parts)))
    self.outcomes = self._labelled(self.outcomes)
    again = self.folder / 'reread.json'  # with the claims that can be redone
    if again.exists():
      self.about = {'claims': json.loads(again.read_text('utf-8'))['written'], 'larger': []}
    if bins:
      at = np.array(sorted(place[i] for i in bins))
      given = np.array([bins[self.ids[i]] for i in at])
      self.estimators = [Estimator('oracle', 'pool', at, -given.astype(float), bins=given)]

  def setting(self, model, method, stage='search'):
    """Of a model's settings of one method that of the most questions, then slots; or None."""
    found = [s for s in self.settings if (s.about['stage'], s.about['model'], s.about['method'])
             == (stage, model, method)]
    return max(found, key=lambda s: (len(s.at), s.slots), default=None)

  def estimator(self, scheme, name):
    return next((e for e in self.estimators if (e.scheme, e.name) == (scheme, name)), None)

  def _greedy(self):
    greedy = self.setting('base', 'greedy')
    if greedy is not None:
      yield greedy.outcome(self.about['models'], 'greedy', 1, 'majority')

  def pools(self):
    """The base's independent samples, those of more questions first."""
    found = [s for s in self.settings if (s.about['stage'], s.about['model'], s.about['method'])
             == ('search', 'base', 'sample')]
    return sorted(found, key=lambda s: (-len(s.at), -s.slots))

  def _pooled(self):
    pools, size = self.pools(), 1
    while size <= max((p.slots for p in pools), default=0):
      pool = next(p for p in pools if p.slots >= size)
      for how in ('majority', 'logprob_weighted', 'oracle'):
        if how != 'logprob_weighted' or not np.isnan(pool['logprob'][pool.answered]).any():
          yield pool.outcome(self.about['models'], how, size, how)
      for kind, aggregation in (('score', 'last'), ('least', 'min'), ('product', 'prod')):
        for verifier in pool.names(kind):
          for how in WEIGHED:
            yield pool.outcome(self.about['models'], how, size, how, verifier, aggregation,
                               f'{kind}/{verifier}')
      size *= 2

  def _searched(self):
    again = {}
    for s in self.settings:
      if s.about['guide'] is not None and s.about['model'] == 'base':
        key = json.dumps([s.about[k] for k in ('stage', 'method', 'theta', 'budget', 'guide')])
        again.setdefault(key, []).append(s)
    for tries in again.values():
      for how, aggregation in SEARCHED:
        yield _averaged([s.outcome(
            self.about['models'], s.about['method'], s.slots, how, s.about['guide'], aggregation,
            aggregation and f'score/{s.about["guide"]}') for s in tries])

  def _labelled(self, found):
    return [dataclasses.replace(o, label=o.strategy) if self.own(o) else o for o in found]

  def own(self, o):
    """Whether a strategy is as the curves have it: its own way to choose, the main verifier."""
    selection = {'greedy': 'majority'}.get(o.strategy, 'best_of_n_weighted' if o.guided
                                           else o.strategy)
    return (o.selection == selection and o.verifier in (None, self.main)
            and o.aggregation in (None, 'last') and o.chain_length is None)

  def find(self, strategy, budget, width=None, lookahead=None, verifier=None, **more):
    """The outcome that is so, or None. Of `width` and `lookahead` None takes the only one."""
    want = {'strategy': strategy, 'budget': budget, **more}
    found = [o for o in self.outcomes if all(getattr(o, k) == v for k, v in want.items())
             and (width is None or o.width == width)
             and (lookahead is None or o.lookahead == lookahead)
             and (self.own(o) if verifier is None else (
                 o.verifier == verifier and o.aggregation == 'last'))]
    return found[0] if len(found) == 1 else None
