"""Open checkpoints on problems in MATH's form, the whole way: import, search, report."""

import dataclasses
import json
import os
import pathlib

import jax
import numpy as np
import pytest

from configs import open as open_config
from tests.launch import conftest as launch, hosts_test
from tests.open import tiny
from tts import config
from tts.data import hub, verifier_format
from tts.estimates import device_programs, dry_run
from tts.eval.storage import records
from tts.serving import open_checkpoint
from tts.stages import reproduce
from tts.train import checkpoint
from tts.types import InputError

pytest.importorskip('torch', reason='extra `parity`')
transformers = pytest.importorskip('transformers', reason='extra `parity`')
pytest.importorskip('tokenizers', reason='extra `open`')

MATH500 = 'TTS_MATH500'


def evaluate(experiment, workdir):
  """What `launch.evaluate` does."""
  given, stages = reproduce.evaluated(experiment)
  reproduce.run_stages([reproduce.open_run(given, workdir)], stages, reports=True)


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """Folders of an imported generator and two verifiers, one with a larger vocabulary of its own."""
  root = tmp_path_factory.mktemp('open')
  for name, family, kind in (('base', 'qwen2', 'lm'), ('large', 'qwen2', 'lm'),
                             ('prm', 'qwen2', 'qwen_prm')):
    folder = root / f'{name}-source'
    folder.mkdir()
    special = ('<extra_0>',) if kind == 'qwen_prm' else ()
    size = tiny.save_tokenizer(folder, open_config.SYSTEM, special).get_vocab_size()
    model = tiny.make(family, seed=len(name), vocab_size=size + 4, tie_word_embeddings=True,
                      max_position_embeddings=2048)
    if kind == 'lm':
      model.save_pretrained(folder)
    else:
      save_verifier(model, folder)
    open_checkpoint.import_model(folder, root / name, kind)
  return root


def save_verifier(model, folder):
  import torch
  from safetensors.torch import save_file

  torch.manual_seed(1)
  score = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
  state = {k: v for k, v in model.state_dict().items() if not k.startswith('lm_head')}
  model.config.save_pretrained(folder)
  save_file({**state, **{f'score.{k}': v for k, v in score.state_dict().items()}},
            folder / 'model.safetensors')


@pytest.mark.parametrize('published', [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_math_problems_the_whole_way(models, tmp_path, published):
  made = open_config.get_config('chat')
  made.limits.update(max_prompt_tokens=90, max_tokens=24, max_steps=4, max_step_tokens=8)
  if published:
    if MATH500 not in os.environ:
      pytest.skip(f'{MATH500} is not set: the folder of HuggingFaceH4/MATH-500')
    made.data.path, made.limits.max_prompt_tokens = os.environ[MATH500], 800
  else:
    file = tmp_path / 'test.jsonl'
    file.write_text(''.join(json.dumps({'problem': q, 'answer': a, 'level': level}) + '\n'
                            for q, a, level in tiny.PROBLEMS))
    made.data.test, made.data.grader = str(file), 'exact'
  for name in ('base', 'large', 'prm'):
    made.models[name].checkpoint = str(models / name)
  made.search.update(questions=6, pool=4, large_samples=2, budgets=(4,), beam_widths=(2,), block=3,
                     max_rows=12, lookahead_questions=3, lookahead_budgets=(4,),
                     lookahead=((1, 'sqrt'),))
  made.difficulty.update(samples=4, block=3)
  made.mesh.model = 1 + published  # devices may share models whose verifier has ids of its own
  workdir = tmp_path / 'w'
  evaluate(config.from_config_dict(made), str(workdir))

  results = records.read_json(workdir / 'report' / 'results.json')
  assert {'greedy', 'majority', 'oracle'} <= {r['strategy'] for r in results['curves']}
  assert results['models']['large']['greedy'] is not None
  for stage, of_stage in results['ledger'].items():
    for model, entry in of_stage.items():
      assert entry['ratio'] == pytest.approx(1), (stage, model)
  read = results['ledger']['search']['prm']
  assert read['reencoded'] > 0 and read['kept'] == read['pruned'] == read['simulated'] == 0
  rows = records.read(workdir, 'search')
  # Of a random model no text has an answer, so nothing votes; but all of it is searched and scored.
  assert {'greedy', 'sample', 'beam', 'lookahead'} == {r['strategy'] for r in rows}
  assert {r['problem_id'] for r in rows} and all(np.isfinite(r['logprob']) for r in rows)
  scored = [r for r in rows if r['step_scores']]
  assert scored and all(len(r['step_scores']) == len(r['step_ends']) for r in scored)
  assert len({s for r in scored for s in r['step_scores']}) > 20
  assert pathlib.Path(workdir / 'report' / 'index.html').exists()


def test_open_folders_are_taken_as_they_are(models, tmp_path, monkeypatch):
  """One command: what launch.import_checkpoint would make is made in the run's folder, once."""
  from tts.runs.run import Run
  from tts.runs.workdir import Workdir

  made = open_config.get_config('chat')
  for name in ('base', 'prm'):
    made.models[name].checkpoint = str(models / f'{name}-source')
  made.limits.update(max_prompt_tokens=90, max_tokens=24, max_steps=4, max_step_tokens=8)
  run = Run(config.from_config_dict(made), Workdir(str(tmp_path / 'w')), 0)
  for name, loaded in (('base', run.model('base')), ('prm', run.model('prm'))):
    arch, params, meta, _ = checkpoint.load_model(models / name)
    assert loaded.arch == arch and (loaded.reader is None) == (name == 'base')
    assert meta['open'] == checkpoint.read_meta(run.model_folder(name))['open']
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)
    planned = open_checkpoint.planned_arch(str(models / f'{name}-source'), name == 'base')
    assert planned | {'param_dtype': None} == dataclasses.asdict(arch) | {'param_dtype': None}
  before = run.model('base').mark, run.model('prm').mark
  changed = dataclasses.replace(verifier_format.FORMATS['qwen_prm'], resume='\n')
  monkeypatch.setitem(verifier_format.FORMATS, 'qwen_prm', changed)
  again = Run(run.experiment, run.workdir, 0)
  assert again.model('base').mark == before[0] and again.model('prm').mark != before[1]
  assert open_checkpoint.imported(str(models / 'base'), str(tmp_path), True) == str(models / 'base')
  assert len(list((tmp_path / 'w/imported').iterdir())) == 2
  with pytest.raises(InputError, match='has no verifier.s head'):
    open_checkpoint.imported(str(models / 'base-source'), str(tmp_path), False)


@pytest.mark.slow
def test_hosts_share_open_models_of_which_one_has_a_tokenizer_of_its_own(models, tmp_path):
  """The first imports them; both drive the rounds that the verifier reads in ids of its own."""
  launcher = launch.Launcher(launch.environment(tmp_path / 'cache'))
  (tmp_path / 'test.jsonl').write_text(''.join(
      json.dumps({'problem': q, 'answer': a}) + '\n' for q, a, _ in tiny.PROBLEMS))
  config_flag, *flags = '--config=configs/open.py:chat', *(f'--config.{x}' for x in (
      f'data.test={tmp_path / "test.jsonl"}', 'data.grader=exact', 'mesh.model=2',
      *(f'models.{name}.checkpoint={models / name}-source' for name in ('base', 'prm')),
      'limits.max_prompt_tokens=90', 'limits.max_tokens=24', 'limits.max_steps=4',
      'limits.max_step_tokens=8', 'search.questions=6', 'search.pool=4', 'search.budgets=(4,)',
      'search.beam_widths=(2,)', 'search.block=3', 'search.max_rows=12',
      'search.lookahead_questions=3', 'search.lookahead_budgets=(4,)',
      'search.lookahead=((1,"sqrt"),)', 'difficulty.samples=4', 'difficulty.block=3'))
  one, two = tmp_path / 'one', tmp_path / 'two'
  launcher.ok('evaluate', config_flag, f'--workdir={one}', *flags)
  launcher.close()
  for status, _, said in hosts_test.finish(hosts_test.start(
      launcher, 'evaluate', 2, f'--workdir={two}', *flags, config=config_flag, devices=1)):
    assert status == 0, said[-3000:]
  hashes = launch.record_hashes(two)
  assert hashes == launch.record_hashes(one) and any('lookahead' in path for path in hashes)
  assert len(list((two / 'imported').iterdir())) == 2


def test_what_a_checkpoint_elsewhere_takes_is_known_before_a_run(models, monkeypatch, tmp_path):
  """`--dry_run` and `launch.compile` of hf:// or gs:// names."""
  monkeypatch.setattr(hub, 'local', lambda path, kind='model': path.replace('hf://o', str(models)))
  made = open_config.get_config('chat')
  for name in ('base', 'prm'):
    made.models[name].checkpoint = f'hf://o/{name}-source'
  made.data.test = str(tmp_path / 'test.jsonl')
  (tmp_path / 'test.jsonl').write_text('{"problem": "1+1?", "answer": "2"}\n' * 3)
  made.search.update(questions=3, lookahead_questions=0)
  experiment = config.from_config_dict(made)
  assert 'search' in dry_run.table(experiment, timed=False)
  assert {p.stage for p in device_programs.listed(experiment)} >= {'search', 'difficulty'}


def test_without_gold_answers_there_are_votes_and_predicted_bins(models, tmp_path):
  file = tmp_path / 'test.jsonl'
  file.write_text(''.join(json.dumps({'id': f'q{i}', 'problem': q}) + '\n'
                          for i, (q, *_) in enumerate(tiny.PROBLEMS[:3])))
  made = open_config.get_config('chat')
  made.data.test, made.data.grader = str(file), 'exact'
  for name in ('base', 'prm'):
    made.models[name].checkpoint = str(models / name)
  made.limits.update(max_prompt_tokens=90, max_tokens=24, max_steps=4, max_step_tokens=8)
  made.search.update(questions=3, pool=4, budgets=(4,), block=3, max_rows=12, deep_questions=0,
                     lookahead_questions=0)
  made.difficulty.update(samples=4, block=3)
  evaluate(config.from_config_dict(made), str(tmp_path / 'w'))
  results = records.read_json(tmp_path / 'w/report/results.json')
  assert results['curves'] == [] and results['ledger']['search']['base']['entered'] > 0
  lines = [json.loads(x) for x in (tmp_path / 'w/votes.jsonl').read_text().splitlines()]
  assert [line['id'] for line in lines] == ['q0', 'q1', 'q2']
  assert {'answer', 'majority', 'best_of_n', 'best_of_n_weighted', 'greedy-n1', 'beam-m2-n4',
          'beam-m4-n4', 'predicted_bin'} < lines[0].keys()
  assert sorted(line['predicted_bin'] for line in lines) == [1, 2, 4]


def test_a_larger_model_of_another_tokenizer_is_refused_before_anything_runs(models, tmp_path):
  made = open_config.get_config('chat')
  made.data.test, made.search.questions = str(tmp_path / 'test.jsonl'), 1
  (tmp_path / 'test.jsonl').write_text(json.dumps({'problem': '1+1', 'answer': '2'}) + '\n')
  made.models.base.checkpoint = str(models / 'base')
  made.models.large.checkpoint = str(models / 'prm')
  with pytest.raises(InputError, match='prm has another tokenizer than .*base: models of one run'):
    evaluate(config.from_config_dict(made), str(tmp_path / 'w'))
  assert not (tmp_path / 'w' / 'stages').exists()


@pytest.mark.slow
@pytest.mark.parametrize('family', ['llama', 'gemma3'])
def test_the_exchange_between_two_models_of_a_family(tmp_path, family):
  """Folders as they are published, few-shot prompts, no verifier."""
  for seed, name in enumerate(('base', 'large')):
    (tmp_path / name).mkdir()
    size = tiny.save_tokenizer(tmp_path / name, open_config.SYSTEM).get_vocab_size()
    tiny.save(family, tmp_path / name, seed, vocab_size=size + 4, max_position_embeddings=2048)
  file = tmp_path / 'test.jsonl'
  file.write_text(''.join(
      json.dumps({'problem': q, 'answer': a}) + '\n' for q, a, _ in tiny.PROBLEMS))
  made = open_config.get_config('few_shot')
  made.data.test, made.data.grader = str(file), 'exact'
  for name in ('base', 'large'):
    made.models[name].checkpoint = str(tmp_path / name)
  made.limits.update(max_prompt_tokens=1200, max_tokens=12, max_steps=3, max_step_tokens=6)
  made.search.update(questions=6, pool=4, large_samples=2, budgets=(1, 4), block=3, max_rows=12,
                     lookahead_questions=0)
  made.difficulty.update(samples=4, block=3)
  evaluate(config.from_config_dict(made), str(tmp_path / 'w'))
  results = records.read_json(tmp_path / 'w/report/results.json')
  assert {'greedy', 'majority'} <= {r['strategy'] for r in results['curves']}
  assert results['models']['base']['params'] == results['models']['large']['params'] > 1000
  assert results['ledger']['search'].keys() == {'base', 'large'}
  for of_stage in results['ledger'].values():
    assert all(entry['ratio'] == pytest.approx(1) for entry in of_stage.values())
