"""Other people's methods: `examples/` the whole way through the real commands, and mistakes."""

import collections
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tts
from examples.my_verifier import MeanValue
from tests.launch.conftest import ROOT, SMOKE, copied_for_solving, record_hashes
from tests.launch.plugins_test import DIVERSE, experiment
from tests.open import gguf_files
from tts import answers, plugins
from tts.data import problems, tasks
from tts.eval.figures import figure
from tts.eval.policy import policy as policy_lib, strategy_options
from tts.eval.report import report, results
from tts.eval.storage import records, runfiles
from tts.runs.models_at_work import Workers
from tts.runs.run import Run
from tts.runs.workdir import Workdir
from tts.serving import solve as solve_lib
from tts.stages import search, train
from tts.types import InputError, Strategy

EXAMPLES = ('my_method', 'my_verifier', 'my_estimator', 'my_grader', 'my_task')
METHODS = ('beam', 'lookahead', 'dvts', 'rebase', 'particle_filter')
# What is searched with beside beam search and lookahead --> (its label, M).
MORE = {f'{DIVERSE}-m2-penalty0.5-n4': ('diverse, penalty = 0.5, M = sqrt(N)', 2),
        'dvts-m2-n4': ('DVTS, M = sqrt(N)', 2),
        'rebase-temperature0.1-n4': ('REBASE, temperature = 0.1', None),
        'particle_filter-temperature1-n4': ('particle filter, temperature = 1.0', None),
        'lottery-temperature0.5-n4': ('lottery, temperature = 0.5', None)}


@pytest.fixture(scope='module')
def plugged(launcher, smoke, tmp_path_factory):
  """The smoke run, gone on with under a config that names two of the examples."""
  workdir = tmp_path_factory.mktemp('plugged') / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('search', SMOKE, f'--workdir={workdir}', '--config.search.budgets=(4,)',
              '--config.search.beam_widths=(2,)',
              f'--config.search.methods={METHODS}',
              "--config.plugins=('examples.my_method', 'examples.my_verifier', "
              "'examples.my_estimator', 'tests.launch.lottery')",
              '--config.difficulty.estimator=length')
  report.write(workdir)
  shutil.copy(workdir / 'policy.json', workdir / 'fitted.json')  # tests put others in its place
  return workdir


@pytest.fixture(scope='module')
def ruled(launcher, plugged, tmp_path_factory):
  """That run, gone on with by the example verifier in the PRM's place."""
  workdir = tmp_path_factory.mktemp('ruled') / 'w'
  shutil.copytree(plugged, workdir)
  launcher.ok('compare', SMOKE, f'--workdir={workdir}', '--config.search.budgets=(4,)',
              '--config.search.beam_widths=(2,)', '--config.search.lookahead_questions=0',
              "--config.plugins=('examples.my_verifier',)", '--config.verifier=mean_value')
  return workdir


@pytest.fixture(scope='module')
def written(plugged):
  return json.loads((plugged / 'report' / 'results.json').read_text())


@pytest.mark.parametrize('name', EXAMPLES)
def test_an_example_is_one_short_file_and_one_line(name):
  text = (ROOT / 'examples' / f'{name}.py').read_text()
  assert len(text.splitlines()) <= 40
  assert f'''--config.plugins="('examples.{name}',)"''' in text


def test_only_what_a_plugin_touches_is_computed(smoke, plugged):
  before, after = record_hashes(smoke), record_hashes(plugged)
  touched = {pathlib.Path(p).parts[-2] for p in after if before.get(p) != after[p]}
  # A verifier scores the pool, so that is made anew with its scores in it.
  assert touched == {*MORE, 'mean_value-beam-m2-n4', 'sample-n4'}
  assert set(before) <= set(after)


def test_a_strategy_is_beside_beam_everywhere(plugged, written):
  found = strategy_options.tiers(results.measured(runfiles.load(plugged)))[0]
  beam = records.read(plugged, 'search', 'beam-m2-n4')
  for name, (label, width) in MORE.items():
    method = name.split('-')[0]
    curve, = (r for r in written['curves'] if r['strategy'] == method and r['bin'] is None)
    assert (curve['budget'], curve['beam_width'], curve['n']) == (4, width, 24)
    assert curve['guided'] and curve['charge'] == 1
    assert curve['flops'] > 0 and curve['generated_tokens'] > 0
    assert label in figure.overall(written)
    assert f'\n{method},{width or ""}' in (
        plugged / 'report' / 'accuracy_vs_budget.csv').read_text()
    assert list((plugged / 'report').glob(f'tree-*-{name}.html'))
    mine = [i for i, o in enumerate(found.outcomes) if o.strategy == method]
    assert [strategy_options.name(found.outcomes[i]) for i in mine] == [name] and found.own[mine].all()
    rows = records.read(plugged, 'search', name)
    others = {k: v for k, v in rows[0]['theta'].items() if k not in ('beam_width', 'lookahead')}
    assert curve['theta'] == others and rows[0]['theta']['beam_width'] == width
    assert [r['tokens'] for r in rows] != [r['tokens'] for r in beam]


def test_particles_are_counted_once_and_vote_as_often_as_they_are(plugged):
  rows = records.read(plugged, 'search', 'particle_filter-temperature1-n4')
  by_question = collections.defaultdict(list)
  for row in rows:
    by_question[row['problem_id']].append(row)
  weights = [sum(row.get('weight', 1) for row in mine) for mine in by_question.values()]
  assert max(row.get('weight', 1) for row in rows) > 1 and max(weights) <= 4
  samples, = (s for setting, s in runfiles.load(plugged).search.items()
              if setting.strategy.method == 'particle_filter')
  assert samples.weight.sum() == sum(weights) + (~samples.present).sum()


def test_a_method_that_draws_answers_new_questions(plugged, tmp_path):
  for strategy in (Strategy.of('lottery', 4, temperature=0.5),
                   Strategy.of('particle_filter', 4, temperature=1.0)):
    choice = policy_lib.Choice(strategy, 'best_of_n_weighted')
    fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
    workdir = copied_for_solving(plugged, tmp_path / strategy.method)
    policy_lib.save(policy_lib.Policy('probe', 0.0, 0, (0.8, 0.6, 0.4, 0.2), {4: fit}, {4: fit}),
                    workdir / 'policy.json')
    solution, = tts.solve(workdir, ['3;+4;*2'], 4)
    assert solution.strategy == strategy.name and solution.tokens > 0
    assert tts.solve(workdir, ['3;+4;*2'], 4)[0].text == solution.text


def test_the_ledger_has_every_token(written):
  for name in ('base', 'prm', 'mean_value'):
    assert written['ledger']['search'][name]['ratio'] == 1.0
  assert written['ledger']['search']['mean_value']['flops'] > 0


def test_a_verifier_scores_the_pool_and_guides_a_search(plugged, written):
  mine = [r for r in written['ablations'] if r['verifier'] == 'mean_value' and r['bin'] is None]
  assert {r['strategy'] for r in mine} == {'best_of_n', 'best_of_n_weighted', 'beam'}
  assert written['verifier']['mean_value']['params'] == written['verifier']['prm']['params']
  assert written['verifier']['mean_value']['val_bce'] is None  # that was the PRM's

  def prefixes(rows, scores):
    return {(r['problem_id'], *r['tokens'][:end]): score
            for r in rows for end, score in zip(r['step_ends'], scores(r))}

  pool = records.read(plugged, 'search', 'sample-n4')
  scored = prefixes(pool, lambda r: r['other_scores']['mean_value'])
  guided = prefixes(records.read(plugged, 'search', 'mean_value-beam-m2-n4'),
                    lambda r: r['step_scores'])
  both = sorted(set(scored) & set(guided))
  # The same text has the same score in one pass and step by step, branches between.
  assert len(both) > 24
  np.testing.assert_allclose([scored[p] for p in both], [guided[p] for p in both], atol=1e-5)
  prm = prefixes(pool, lambda r: r['step_scores'])
  assert np.abs([scored[p] - prm[p] for p in both]).max() > 1e-4


@pytest.mark.slow
def test_a_verifier_may_be_the_main_one(plugged, ruled, written):
  """It takes the PRM's place, under its name: the same samples, the scores changed round."""
  made = records.read_json(ruled / 'report' / 'results.json')
  assert made['config']['verifier'] == 'mean_value' == made['verifier']['main']
  own, = (r for r in made['curves'] if (r['strategy'], r['bin']) == ('beam', None))
  was, = (r for r in written['ablations'] if r['bin'] is None and r['selection'] ==
          'best_of_n_weighted' and (r['strategy'], r['verifier'], r['aggregation']) == (
              'beam', 'mean_value', 'last'))
  assert {k: was[k] for k in ('accuracy', 'flops', 'verifier_tokens')} == {
      k: own[k] for k in ('accuracy', 'flops', 'verifier_tokens')}
  assert {(r['strategy'], r['verifier']) for r in made['ablations']} >= {
      ('best_of_n_weighted', 'prm'), ('beam', 'prm')}
  before, after = (records.read(w, 'search', 'sample-n4') for w in (plugged, ruled))
  for old, new in zip(before, after):
    assert new['tokens'] == old['tokens'] and new['answer_score'] == new['step_scores'][-1]
    assert new['step_scores'] == old['other_scores']['mean_value']
    assert new['other_scores']['prm'] == old['step_scores']
  difficulty = records.read(ruled, 'difficulty')
  assert {frozenset(r['counts']) for r in difficulty} == {frozenset(('base', 'mean_value'))}
  for stage in ('search', 'difficulty'):
    assert made['ledger'][stage]['mean_value']['ratio'] == 1.0
  assert 'mean value: AUC within a question' in (ruled / 'report' / 'index.html').read_text()


@pytest.mark.slow
def test_questions_are_answered_by_the_main_verifier(ruled):
  choice = policy_lib.Choice(Strategy.of('beam', 4, beam_width=2), 'best_of_n_weighted')
  fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
  policy_lib.save(policy_lib.Policy('probe', 0.0, 0, (0.8, 0.6, 0.4, 0.2), {4: fit}, {4: fit}),
                  ruled / 'policy.json')
  question = '3;+4'
  solution, = tts.solve(ruled, [question], 4)
  # Of a text that is not well formed the model's own pieces may be others than the tokenizer's.
  answered = [c for c in solution.candidates if c['answer'] and c['text'].count('####') == 1]
  mine = tts.load_verifier(ruled / 'models' / 'prm', reads=MeanValue)
  found, = tts.score(mine, [question], [[c['text'] for c in answered]], limits=tts.Limits(
      max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16))
  np.testing.assert_allclose([c.score for c in found], [c['score'] for c in answered], atol=1e-5)
  assert answered and solution.verifier_tokens > 0


def test_the_notebook_runs_and_answers_by_the_strategy(launcher, plugged, tmp_path):
  """Its cells, one after the other, as a script: no Jupyter is needed."""
  gguf_files.write(tmp_path / 'm.gguf', 'qwen2', gguf_files.weights('qwen2', True))
  choice = policy_lib.Choice(Strategy.of(DIVERSE, 4, beam_width=2, penalty=0.5),
                             'best_of_n_weighted')
  fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
  policy_lib.save(policy_lib.Policy('probe', 0.0, 0, (0.8, 0.6, 0.4, 0.2), {4: fit}, {4: fit}),
                  plugged / 'policy.json')
  notebook = json.loads((ROOT / 'examples' / 'tour.ipynb').read_text())
  assert (notebook['nbformat'], notebook['nbformat_minor']) == (4, 5)
  cells = [''.join(c['source']) for c in notebook['cells'] if c['cell_type'] == 'code']
  done = subprocess.run([sys.executable, '-c', '\n'.join(cells)], cwd=ROOT, text=True,
                        env=launcher.env | {'TTS_RUN': str(plugged), 'MPLBACKEND': 'agg',
                                           'TTS_MODEL': str(tmp_path / 'm.gguf')},
                        capture_output=True, timeout=600)
  assert done.returncode == 0, done.stderr[-3000:]
  assert f'{DIVERSE}-m2-penalty0.5-n4' in done.stdout


def test_a_policy_of_a_strategy_that_is_not_there_is_one_line(smoke, tmp_path):
  choice = policy_lib.Choice(Strategy.of('nobodys', 4, beam_width=2), 'best_of_n_weighted')
  fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
  shutil.copy(smoke / 'run.json', tmp_path)
  policy_lib.save(policy_lib.Policy('first_1', 1.0, 1, (0.8, 0.6, 0.4, 0.2), {4: fit}, {}),
                  tmp_path / 'policy.json')
  with pytest.raises(InputError, match="policy.json chooses 'nobodys'.*config's plugins"):
    solve_lib.Solver(tmp_path)


def test_a_task_is_prepared(tmp_path):
  """From the function to all that later stages read: splits on disk, prompts that fit."""
  sizes = (('lm', 200), ('verifier', 60), ('validation', 20), ('test', 40))
  value = experiment('my_task', family='sort_letters')
  data = dataclasses.replace(value.data, task=tasks.TaskConfig(sizes=sizes))
  run = Run(dataclasses.replace(value, data=data), Workdir(tmp_path / 'w'), 0)
  train.prepare(run)
  found = {split: run.problems(split) for split, _ in sizes}
  texts = [p.prompt for split in found for p in found[split]]
  assert {split: len(x) for split, x in found.items()} == dict(sizes)
  assert len(set(texts)) == len(texts)
  for p in found['test']:
    assert p.answer == ''.join(sorted(p.prompt.strip())) == answers.extract(p.solution)
    assert p.level == len(p.answer) - 1
  assert list(problems.draw(data, 'test')) == found['test']
  # No other family's problems depend on it; its own do, on the very code.
  module, source = problems.source(data)['code']
  assert module == 'examples.my_task' and len(source) == 16
  assert 'code' not in problems.source(experiment().data)


def test_fingerprints_depend_on_the_source_of_what_they_use(plugged, monkeypatch):
  value = experiment(*EXAMPLES)
  task = dataclasses.replace(value, data=dataclasses.replace(value.data, family='sort_letters'))

  def marks():
    run = Run(value, Workdir(plugged), 0)
    blocks, mark = search.questions(run, 8, 8)
    work = lambda name, **how: search.search_work(
        Workers(run), blocks, mark, Strategy.of(name, 4, beam_width=2), **how).mark
    return {'beam': work('beam'), 'diverse': work(DIVERSE), 'prm': run.model('prm').mark,
            'guided': work('beam', verifier='mean_value'), 'arith': run.data_mark('test'),
            'task': Run(task, Workdir(plugged), 0).data_mark('test')}

  before = marks()
  monkeypatch.setattr(plugins, '_source', lambda module: 'edited')
  after = marks()
  assert {name for name in before if before[name] != after[name]} == {'diverse', 'guided', 'task'}


def test_a_missing_plugin_and_family_exit_with_2(launcher, tmp_path):
  where = f'--workdir={tmp_path / "w"}'
  message = launcher.error('search', SMOKE, where, "--config.plugins=('examples.none',)")
  assert 'config.plugins' in message and 'examples.none' in message
  with pytest.raises(InputError, match='sort_lettres.*config.plugins'):
    experiment('my_task', family='sort_lettres')


def test_an_estimator_makes_policies_and_estimates_new_questions(plugged, written, tmp_path):
  rows = [r for r in written['compute_optimal'] if r['estimator'] == 'length']
  assert rows
  assert {'probe', 'first_1'} <= {r['estimator'] for r in written['compute_optimal']}
  policy = records.read_json(plugged / 'fitted.json')
  assert (policy['estimator'], policy['charge']) == ('length', 0)
  workdir = copied_for_solving(plugged, tmp_path / 'w')
  shutil.copy(plugged / 'fitted.json', workdir / 'policy.json')
  questions = ['3;+4', '3;+4;*2', '7;*3;-5']
  found = tts.solve(workdir, questions, 4)
  assert [s.estimate for s in found] == [-len(q) - 1 for q in questions]  # each ends in a newline
