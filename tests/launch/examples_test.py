"""Other people's methods: `examples/` the whole way through the real commands, and mistakes."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tts
from configs import smoke as smoke_config
from tests.launch.conftest import ROOT, SMOKE, record_hashes
from tts import config, plugins
from tts import answers
from tts.data import problems, tasks
from tts.eval import candidates, figure, policy as policy_lib, records, report, results, runfiles
from tts.search import methods
from tts.stages import search, solve as solve_lib, train, verifiers
from tts.stages.context import Run
from tts.stages.workdir import Workdir
from tts.stages.workers import Workers
from tts.types import InputError, Strategy

EXAMPLES = ('my_strategy', 'my_verifier', 'my_task')
DIVERSE = 'diverse_penalty0.5'


def experiment(*names, family='arith'):
  """The smoke config with some of the examples."""
  value = smoke_config.get_config()
  value.plugins = tuple(f'examples.{name}' for name in names)
  value.data.family = family
  return config.from_config_dict(value)


@pytest.fixture(scope='module')
def plugged(launcher, smoke, tmp_path_factory):
  """The smoke run, gone on with under a config that names two of the examples."""
  workdir = tmp_path_factory.mktemp('plugged') / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('search', SMOKE, f'--workdir={workdir}', '--config.search.budgets=(4,)',
              '--config.search.beam_widths=(2,)',
              "--config.plugins=('examples.my_strategy', 'examples.my_verifier')")
  report.write(workdir)
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
  assert touched == {f'{DIVERSE}-m2-n4', 'mean_value-beam-m2-n4', 'sample-n4'}
  assert set(before) <= set(after)


def test_a_strategy_is_beside_beam_everywhere(plugged, written):
  curve, = (r for r in written['curves'] if r['strategy'] == DIVERSE and r['bin'] is None)
  assert (curve['budget'], curve['beam_width'], curve['n']) == (4, 2, 24)
  assert curve['flops'] > 0 and curve['generated_tokens'] > 0
  assert 'diverse penalty0.5, M = sqrt(N)' in figure.overall(written)
  assert f'\n{DIVERSE},2' in (plugged / 'report' / 'accuracy_vs_budget.csv').read_text()
  assert list((plugged / 'report').glob(f'tree-*-{DIVERSE}-m2-n4.html'))
  found = candidates.tiers(results.measured(runfiles.load(plugged)))[0]
  mine = [i for i, o in enumerate(found.outcomes) if o.strategy == DIVERSE]
  assert [candidates.name(found.outcomes[i]) for i in mine] == [f'{DIVERSE}-m2-n4']
  assert found.own[mine].all()
  rows, beam = (records.read(plugged, 'search', f'{name}-m2-n4') for name in (DIVERSE, 'beam'))
  assert {json.dumps(r['theta']) for r in rows} == {
      '{"beam_width": 2, "lookahead": null, "penalty": 0.5}'}
  assert [r['tokens'] for r in rows] != [r['tokens'] for r in beam]


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


def test_a_verifier_may_be_the_main_one(plugged, ruled, written):
  """It takes the PRM's place, under its name: the same samples, the scores changed round."""
  made = records.read_json(ruled / 'report' / 'results.json')
  assert made['config']['verifier'] == 'mean_value' == next(iter(made['verifier']))
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


def test_questions_are_answered_by_the_main_verifier(ruled):
  choice = policy_lib.Choice(Strategy('beam', 4, 2), 'best_of_n_weighted')
  fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
  policy_lib.save(policy_lib.Policy('probe', 0.0, 0, (0.8, 0.6, 0.4, 0.2), {4: fit}, {4: fit}),
                  ruled / 'policy.json')
  question = '3;+4'
  solution, = tts.solve(ruled, [question], 4)
  # Of a text that is not well formed the model's own pieces may be others than the tokenizer's.
  answered = [c for c in solution.candidates if c['answer'] and c['text'].count('####') == 1]
  sizes = dict(max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16)
  models = ruled / 'models'
  mine = tts.load(models / 'base', verifier=models / 'prm', reads='mean_value',
                  plugins=('examples.my_verifier',), **sizes)
  found, = mine.score([question], [[c['text'] for c in answered]])
  np.testing.assert_allclose([c.score for c in found], [c['score'] for c in answered], atol=1e-5)
  assert answered and solution.verifier_tokens > 0
  for reads in ('nobodys', 'orm'):
    with pytest.raises(InputError, match=f"config.verifier is '{reads}'"):
      tts.load(models / 'base', verifier=models / 'prm', reads=reads, **sizes)


def test_the_notebook_runs_and_answers_by_the_strategy(launcher, plugged):
  """Its cells, one after the other, as a script: no Jupyter is needed."""
  choice = policy_lib.Choice(Strategy(DIVERSE, 4, 2), 'best_of_n_weighted')
  fit = policy_lib.Fit((choice,) * 5, 0.5, None, 9)
  policy_lib.save(policy_lib.Policy('probe', 0.0, 0, (0.8, 0.6, 0.4, 0.2), {4: fit}, {4: fit}),
                  plugged / 'policy.json')
  notebook = json.loads((ROOT / 'examples' / 'tour.ipynb').read_text())
  assert (notebook['nbformat'], notebook['nbformat_minor']) == (4, 5)
  cells = [''.join(c['source']) for c in notebook['cells'] if c['cell_type'] == 'code']
  done = subprocess.run([sys.executable, '-c', '\n'.join(cells)], cwd=ROOT, text=True,
                        env=launcher.env | {'TTS_RUN': str(plugged), 'MPLBACKEND': 'agg'},
                        capture_output=True, timeout=600)
  assert done.returncode == 0, done.stderr[-3000:]
  assert f'{DIVERSE}-m2-n4' in done.stdout


@pytest.mark.parametrize('how,message', [
    ({'method': 'nobodys'}, "no search strategy 'nobodys'"),
    ({'method': 'beam', 'lookahead': 1}, 'lookahead is 1: beam takes 0'),
    ({'method': 'lookahead'}, 'lookahead is 0: lookahead takes 1 or more')])
def test_a_session_s_method_is_one_that_there_is(smoke, how, message):
  session = tts.load(smoke / 'models' / 'base', verifier=smoke / 'models' / 'prm',
                     max_prompt_tokens=16, max_tokens=40, max_steps=6, max_step_tokens=16)
  with pytest.raises(InputError, match=message):
    session.search(['3;+4'], 4, **how)


def test_a_policy_of_a_strategy_that_is_not_there_is_one_line(smoke, tmp_path):
  choice = policy_lib.Choice(Strategy('nobodys', 4, 2), 'best_of_n_weighted')
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


@pytest.mark.parametrize('seed', range(20))
def test_the_strategy_is_what_it_says(seed):
  rng = np.random.default_rng(seed)
  score = rng.integers(0, 4, 6).astype(np.float32) / 4
  parent = rng.integers(0, 3, 6)
  blank = np.zeros(6)
  rows = methods.Rows(score, blank, blank, blank, parent, blank > 0, blank > 0)
  experiment('my_strategy')
  ahead = [sum(parent[j] == parent[i] and (-score[j], j) < (-score[i], i) for j in range(6))
           for i in range(6)]
  np.testing.assert_allclose(methods.METHODS[DIVERSE].priority(rows),
                             score - 0.5 * np.array(ahead), atol=1e-6)


def test_what_is_run_depends_on_the_config_alone():
  names = lambda *plugged: {s.strategy.method for s in search.searches(experiment(*plugged))}
  assert names('my_strategy', 'my_verifier') == {'beam', 'lookahead', DIVERSE}
  assert names() == {'beam', 'lookahead'}  # though it has been imported
  assert verifiers.added(experiment()) == {}
  assert methods.METHODS.mark('beam') == () == verifiers.VERIFIERS.mark('prm')


def test_a_sweep_is_a_strategy_each(module):
  plugins.load([module('sweep', '''
from tts.search import methods
@methods.register('power', exponent=2)
@methods.register('power', lookahead=True, exponent=0.5)
def power(rows, exponent):
  return rows.score ** exponent
''')])
  found = {m.name: (m.lookahead, dict(m.theta), m.priority(methods.Rows(*[3.0] * 7)))
           for m in methods.METHODS.of(['sweep']).values() if m.theta}
  assert found == {'power_exponent0.5': (True, {'exponent': 0.5}, 3**0.5),
                   'power_exponent2': (False, {'exponent': 2}, 9.0)}
  value = dataclasses.replace(experiment(), plugins=('sweep',))
  names = [s.strategy.name for s in search.searches(value)]
  assert {'power_exponent2-m2-n4', 'power_exponent0.5-m2-k1-n8'} <= set(names)


PLUGIN = '''
from tts.search import methods
@methods.register('{name}')
def rule(rows):
  return rows.logprob
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
  """Writes modules of one registered rule."""
  monkeypatch.syspath_prepend(tmp_path)

  def write(module, text):
    (tmp_path / f'{module}.py').write_text(text)
    return module
  yield write
  for path in tmp_path.glob('*.py'):
    sys.modules.pop(path.stem, None)


def test_a_mark_is_of_the_source(module):
  plugins.load([module('marked', PLUGIN.format(name='marked'))])
  before = methods.METHODS.mark('marked')
  module('marked', PLUGIN.format(name='marked').replace('logprob', 'score'))
  after = methods.METHODS.mark('marked')
  assert before[0] == after[0] == 'marked' and before[1] != after[1]


def test_fingerprints_depend_on_the_source_of_what_they_use(plugged, monkeypatch):
  value = experiment(*EXAMPLES)
  task = dataclasses.replace(value, data=dataclasses.replace(value.data, family='sort_letters'))

  def marks():
    run = Run(value, Workdir(plugged), 0)
    blocks, mark = search.questions(run, 8, 8)
    work = lambda name, **how: search.beam_work(
        Workers(run), blocks, mark, Strategy(name, 4, 2), **how).mark
    return {'beam': work('beam'), 'diverse': work(DIVERSE), 'prm': run.model('prm').mark,
            'guided': work('beam', verifier='mean_value'), 'arith': run.data_mark('test'),
            'task': Run(task, Workdir(plugged), 0).data_mark('test')}

  before = marks()
  monkeypatch.setattr(plugins, '_source', lambda module: 'edited')
  after = marks()
  assert {name for name in before if before[name] != after[name]} == {'diverse', 'guided', 'task'}


@pytest.mark.parametrize('name,text,message', [
    ('taken_one', PLUGIN.format(name='beam'), "taken_one registers .* 'beam'.* taken: choose"),
    ('odd_name', PLUGIN.format(name='a-b'), "'a-b': give a name of"),
    ('empty_one', 'import numpy\n', 'empty_one.* registers no function'),
    ('broken_one', '1/0\n', 'broken_one.*cannot be imported: ZeroDivisionError'),
    ('garbled', 'def', 'garbled.*cannot be imported: SyntaxError'),
    ('judge', "from tts.stages import verifiers\n@verifiers.register('base')\nclass A: ...",
     "'base' of 'prm': it reads one of"),
    ('judge2', "from tts.stages import verifiers\n@verifiers.register('a', of='x')\nclass A: ...",
     "'a' of 'x': it reads one of"),
    ('family', "from tts.data import tasks\n@tasks.register('plan', (1,))\ndef f(r, s): ...",
     "family registers .*'plan'.*tts.data.plan has taken"),
])
def test_a_plugin_s_mistake_is_one_line(module, name, text, message):
  value = smoke_config.get_config()
  value.plugins = (module(name, text),)
  with pytest.raises(InputError, match=f'config.plugins.*{message}') as error:
    config.from_config_dict(value)
  assert '\n' not in str(error.value)


def test_a_missing_plugin_and_family_exit_with_2(launcher, tmp_path):
  where = f'--workdir={tmp_path / "w"}'
  message = launcher.error('search', SMOKE, where, "--config.plugins=('examples.none',)")
  assert 'config.plugins' in message and 'examples.none' in message
  with pytest.raises(InputError, match='sort_lettres.*config.plugins'):
    experiment('my_task', family='sort_lettres')
