"""The whole pipeline on the real commands."""

import json
import shutil

import numpy as np
import pytest

from tests.launch.conftest import SMOKE, record_hashes
from tts.eval.storage import records
from tts import model_kinds

MODELS = ('base', 'mid', 'large', 'prm', 'orm')
REVISING = ('revision', 'revision_control', 'revision_restem', 'revision_orm',
            'revision_orm_alone', 'control_orm')

# Heads on the base's own states have a study of their own (latent_study_test.py).
VERIFIERS = tuple(v for v in model_kinds.verifiers(model_kinds.of_run(None))
                  if v not in ('latent', 'logprob'))


def read(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_stage_leaves_its_files(smoke):
  for name in (*MODELS, *REVISING):
    assert (smoke / 'models' / name / 'model.json').exists()
  strategies = {p.name for p in (smoke / 'records' / 'search').iterdir()}
  assert strategies == {'sample-n4', 'greedy-n1', 'mid-greedy-n1', 'mid-sample-n2',
                        'large-greedy-n1', 'large-sample-n2', 'beam-m1-n1', 'beam-m4-n4',
                        'beam-m2-n4', 'lookahead-m2-k1-n8'}
  assert (smoke / 'report' / 'index.html').stat().st_size > 10_000
  assert list((smoke / 'trees').glob('*.json'))
  assert not list((smoke / 'tmp').iterdir())


def test_results_follow_the_contract(smoke):
  results = json.loads((smoke / 'report' / 'results.json').read_text(),
                       parse_constant=lambda c: 1 / 0)
  for key in ('config', 'config_hash', 'versions', 'device', 'wall_seconds', 'cpu_seconds',
              'peak_rss_bytes', 'seeds', 'models', 'verifier', 'curves', 'ablations', 'ledger',
              'compute_optimal', 'efficiency', 'flops_matched', 'claims'):
    assert key in results
  names = ('strategy', 'beam_width', 'lookahead', 'chains', 'chain_length', 'budget', 'bin')
  keys = [tuple(row[n] for n in names) for row in results['curves']]
  assert len(keys) == len(set(keys))
  budgets = {(r['strategy'], r['budget']) for r in results['curves'] if r['bin'] is None}
  for strategy in ('majority', 'best_of_n', 'best_of_n_weighted', 'logprob_weighted', 'oracle'):
    assert {(strategy, n) for n in (1, 2, 4)} <= budgets
  assert {('greedy', 1), ('beam', 1), ('beam', 4)} <= budgets


def test_ledger_accounts_for_every_token(smoke):
  ledger = json.loads((smoke / 'report' / 'results.json').read_text())['ledger']
  assert {'search', 'difficulty', 'labels'} <= set(ledger)
  for models in ledger.values():
    for c in models.values():
      charged = c['prompt'] + c['kept'] + c['pruned'] + c['simulated'] + c['reencoded']
      assert c['entered'] == charged - c['last'] > 0


def test_beam_of_width_one_is_the_pool_s_first_sample(smoke):
  rows = records.read(smoke, stage='search')
  pool = {r['problem_id']: r for r in rows if r['strategy'] == 'sample' and r['slot'] == 0
          and r['model'] == 'base'}
  beam = [r for r in rows if r['strategy'] == 'beam' and r['budget'] == 1]
  assert len(beam) == len(pool) == 24
  for row in beam:
    assert row['tokens'] == pool[row['problem_id']]['tokens']
    np.testing.assert_allclose(row['step_scores'], pool[row['problem_id']]['step_scores'],
                               atol=1e-5)


def test_tree_nodes_hold_the_tokens_that_were_charged(smoke):
  rows = records.read(smoke, stage='search')
  for path in (smoke / 'trees').glob('*.json'):
    tree = json.loads(path.read_text())
    mine = [r for r in rows if all(r[k] == tree[k] for k in (
        'problem_id', 'strategy', 'budget', 'theta'))]
    charged = sum(r['counts']['base'][k] for r in mine for k in ('kept', 'pruned'))
    assert charged == sum(node['tokens'] for node in tree['nodes']) > 0
    simulated = sum(r['counts']['base']['simulated'] for r in mine)
    assert simulated == sum(n['simulation']['tokens'] for n in tree['nodes'] if 'simulation' in n)
    assert (simulated > 0) == (tree['strategy'] == 'lookahead')


def test_started_again_it_computes_nothing(launcher, smoke):
  written = lambda: {p: p.stat().st_mtime_ns for kind in ('records/**/*.gz', 'models/*/*.json')
                     for p in smoke.glob(kind)}
  before = written()
  launcher.ok('reproduce', SMOKE, f'--workdir={smoke}')
  assert before and written() == before
  assert not (smoke / 'stale').exists()


@pytest.mark.slow
def test_compare_prints_every_exchange_and_computes_nothing_again(launcher, smoke, tmp_path):
  workdir = tmp_path / 'w'
  shutil.copytree(smoke, workdir)
  printed = launcher.ok('compare', SMOKE, f'--workdir={workdir}').stdout.splitlines()
  assert record_hashes(workdir) == record_hashes(smoke)
  found = json.loads((workdir / 'report' / 'results.json').read_text())['flops_matched']
  wanted = {(r['larger'], r['bins'], f'{r["R"]:g}') for r in found
            if r['accounting'] == 'paper' and r['larger_strategy'] == 'greedy'}
  assert {tuple(line.split()[:3]) for line in printed[2:] if line[0] != '*'} == wanted
  assert {larger for larger, *_ in wanted} == {'mid', 'large'}


@pytest.mark.slow
def test_another_seed_leaves_the_first_as_it_is_and_is_pooled_with_it(launcher, smoke, tmp_path):
  workdir = tmp_path / 'w'
  shutil.copytree(smoke, workdir)
  launcher.ok('reproduce', SMOKE, f'--workdir={workdir}', '--config.seeds=(0,1)')
  assert record_hashes(workdir) == record_hashes(smoke)
  other = record_hashes(workdir / 'seeds' / '1')
  assert set(other) == set(record_hashes(smoke))
  assert not set(other.values()) & set(record_hashes(smoke).values())
  results = json.loads((workdir / 'report' / 'results.json').read_text())
  alone = json.loads((workdir / 'seeds' / '1' / 'report' / 'results.json').read_text())
  assert results['seeds'] == [0, 1]
  for row in results['pooled']:
    if row['strategy'] == 'majority' and row['budget'] == 4:
      mine = [next(r['accuracy'] for r in found['curves'] if r['strategy'] == 'majority'
                   and r['budget'] == 4 and r['bin'] is None) for found in (results, alone)]
      assert row['by_seed'] == pytest.approx(mine)
      assert row['accuracy'] == pytest.approx(sum(mine) / 2)
      break
  else:
    raise AssertionError('no pooled majority')


@pytest.mark.slow
def test_evaluate_gives_the_same_rows_on_another_number_of_devices(launcher, smoke, tmp_path):
  flags = [f'--config.models.{m}.checkpoint={smoke / "models" / m}' for m in MODELS]
  launcher.ok('evaluate', SMOKE, f'--workdir={tmp_path / "w"}', '--config.mesh.data=1', *flags)
  searched = {k: v for k, v in record_hashes(smoke).items()
              if k.startswith(('records/search/', 'records/difficulty/'))}
  assert record_hashes(tmp_path / 'w') == searched


def test_evaluate_on_a_file_without_verifier(launcher, smoke, tmp_path):
  lines = [{'question': '3;+4\n', 'answer': '7'}, {'question': '2;*3\n', 'answer': '#### 6'}]
  (tmp_path / 'f.jsonl').write_text(''.join(json.dumps(x) + '\n' for x in lines))
  launcher.ok('evaluate', SMOKE, f'--workdir={tmp_path / "w"}', '--config.search.questions=2',
              f'--config.models.base.checkpoint={smoke / "models/base"}',
              f'--config.data.test={tmp_path / "f.jsonl"}')
  results = json.loads((tmp_path / 'w/report/results.json').read_text())
  assert results['models']['large'] is None or results['models']['large']['params'] is None
  assert {r['strategy'] for r in results['curves']} >= {'greedy', 'majority', 'oracle'}
  assert 'beam' not in {r['strategy'] for r in results['curves']}


def test_logprobs_of_a_model_agree_with_what_its_sampler_recorded(launcher, smoke, tmp_path):
  rows = [r for r in records.read(smoke, stage='search')
          if r['strategy'] == 'sample' and r['model'] == 'base'][:20]
  from tts.data.tokenizer import Tokenizer
  tokenizer = Tokenizer.load(smoke / 'tokenizer')
  prompts = {r['problem_id']: None for r in rows}
  from tts.runs.run import Run
  from tts.runs.workdir import Workdir
  from tts import config
  experiment = config.from_config_dict(_smoke_config())
  for p in Run(experiment, Workdir(str(smoke)), 0).problems('test', 24):
    prompts[p.id] = tokenizer.encode_prompt(p.prompt)
  source, target = tmp_path / 'f.jsonl', tmp_path / 'g.jsonl'
  source.write_text(''.join(
      json.dumps({'tokens': prompts[r['problem_id']] + r['tokens'], 'n': i}) + '\n'
      for i, r in enumerate(rows)))
  launcher.ok('logprobs', f'--checkpoint={smoke / "models/base"}', f'--input={source}',
              f'--output={target}')
  for row, scored in zip(rows, read(target)):
    own = scored['logprobs'][-len(row['tokens']):]
    np.testing.assert_allclose(sum(own), row['logprob'], atol=1e-3)
  launcher.ok('logprobs', f'--checkpoint={smoke / "models/prm"}', f'--input={source}',
              f'--output={target}')
  for row, scored in zip(rows, read(target)):
    np.testing.assert_allclose(scored['scores'][-len(row['step_scores']):], row['step_scores'],
                               atol=1e-4)


def _smoke_config():
  from configs import smoke
  return smoke.get_config()


def test_labels_are_fractions_shared_by_equal_prefixes(smoke):
  seen = {}
  for row in records.read(smoke, stage='labels'):
    if not row['labels']:  # carries the counts of a block without any answer
      continue
    assert row['answer'] is not None and len(row['labels']) == len(row['step_ends'])
    assert row['labels'][-1] == float(row['correct'])
    for end, label, num in zip(row['step_ends'][:-1], row['labels'], row['continuations']):
      prefix = (row['problem_id'], *row['tokens'][:end])
      assert seen.setdefault(prefix, (label, num)) == (label, num)
      assert num >= 3 and label * num == pytest.approx(round(label * num))  # two rollouts, itself
  assert seen


@pytest.mark.slow
def test_every_verifier_has_its_curves(launcher, smoke, tmp_path):
  """The ablations' models, and budgets for the first questions alone, on top of a finished run."""
  workdir = tmp_path / 'w'
  shutil.copytree(smoke, workdir)
  before = record_hashes(workdir)
  launcher.ok('reproduce', SMOKE, f'--workdir={workdir}', '--config.models.prm_plain.enabled=True',
              '--config.models.orm_more.enabled=True', '--config.search.deep_questions=8',
              '--config.search.deep_pool=8', "--config.search.deep_budgets=(8,)")
  after = record_hashes(workdir)
  same = [p for p in before if '/search/sample-n4/' not in p and '/difficulty/' not in p]
  assert {p: after.get(p) for p in same} == {p: before[p] for p in same}
  results = json.loads((workdir / 'report' / 'results.json').read_text())
  assert all(results['verifier'][v]['auc_within_n'] for v in VERIFIERS)
  assert {r['verifier'] for r in results['ablations']
          if r['strategy'] == 'best_of_n_weighted'} >= set(VERIFIERS)
  assert {r['budget'] for r in results['ablations']
          if r['strategy'] == 'beam' and r['verifier'] == 'prm_plain'} == {4}
  deep = [r for r in results['curves'] if r['budget'] == 8 and r['bin'] is None
          and r['chains'] is None]
  assert {r['n'] for r in deep} == {8} and {'beam', 'best_of_n_weighted'} <= {
      r['strategy'] for r in deep}
  labels = results['ledger']['labels']['base']
  assert labels['entered'] == sum(labels[k] for k in (
      'prompt', 'kept', 'pruned', 'simulated', 'reencoded')) - labels['last']
  assert labels['labelled_steps_per_second'] > 0
