"""configs/open_train.py the whole way: a PRM and revisions of an open model's own, on problems in
MATH's form."""

import json

import pytest

from configs import open_train
from tests.open import tiny
from tts import config
from tts.eval.storage import records
from tts.serving import open_checkpoint
from tts.stages import graph, reproduce
from tts.train import checkpoint

torch = pytest.importorskip('torch', reason='extra `parity`')
pytest.importorskip('transformers', reason='extra `parity`')
pytest.importorskip('tokenizers', reason='extra `open`')

# A random model writes these as often as all else: some answers are right, and have steps.
FREQUENT = ('\n\n', '<|im_end|>', *(f'\\boxed{{{i}}}' for i in (1, 2, 3)))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  """A folder of a tiny Qwen 2 as it is published."""
  folder = tmp_path_factory.mktemp('qwen')
  made = tiny.save_tokenizer(folder, open_train.SYSTEM, added=FREQUENT[:1] + FREQUENT[2:], size=397)
  model = tiny.make('qwen2', vocab_size=made.get_vocab_size() + 4, tie_word_embeddings=False,
                    max_position_embeddings=2048)
  with torch.no_grad():
    for word in FREQUENT:
      model.lm_head.weight[made.token_to_id(word)] *= 8
  model.save_pretrained(folder)
  return folder


def written(folder, name, count):
  (folder / name).write_text(''.join(json.dumps({
      'problem': f'{tiny.PROBLEMS[i % 6][0]} ({name}, {i})', 'answer': str(1 + i % 3),
      'level': 1 + i % 5, 'solution': f'It is $\\boxed{{{1 + i % 3}}}$.'}) + '\n'
                                      for i in range(count)))


@pytest.mark.slow
def test_a_verifier_and_revisions_of_its_own(source, tmp_path):
  written(tmp_path, 'train.jsonl', 160)
  written(tmp_path, 'test.jsonl', 6)
  made = open_train.get_config()
  made.data.path, made.data.grader = str(tmp_path), 'exact'
  made.models.base.checkpoint = str(source)
  made.limits.update(max_prompt_tokens=96, max_tokens=48, max_steps=6, max_step_tokens=32)
  turn = 96 + 49
  for name, turns in (('prm', 1), ('orm', 1), ('revision', 5), ('revision_control', 1),
                      ('revision_orm', 5), ('control_orm', 1)):
    made.models[name].train.update(row_length=turns * turn, batch_size=2, steps=2, eval_every=0,
                                   lora_rank=2)
  made.labels.update(questions=40, samples=4, rollouts=1, block=20)
  made.revision.update(enabled=True, questions=20, samples=4, block=10, orm_questions=12,
                       orm_chains=(2, 2), asked=4, chains=((2, 2),))
  made.search.update(questions=6, pool=4, budgets=(4,), beam_widths=(4,), block=3, max_rows=12,
                     lookahead_questions=0)
  made.difficulty.update(samples=4, block=3)
  workdir = tmp_path / 'w'
  experiment = config.from_config_dict(made)
  reproduce.run_stages(reproduce.begin(experiment, str(workdir), (), ()), graph.stages(experiment),
                       reports=True)

  results = records.read_json(workdir / 'report/results.json')
  assert {'majority', 'best_of_n_weighted', 'beam', 'parallel'} <= {
      r['strategy'] for r in results['curves']}
  assert results['revisions']['questions'] == 4
  base = checkpoint.read_meta(next((workdir / 'imported').iterdir()))
  for name in ('prm', 'revision', 'revision_orm', 'control_orm'):
    meta = checkpoint.read_meta(workdir / 'models' / name)
    assert meta['arch']['num_layers'] == base['arch']['num_layers'] == 3
    assert meta['arch']['heads'] == (['lm'] if name == 'revision' else ['value'])
  open_checkpoint.export_model(str(workdir / 'models/revision'), str(tmp_path / 'hf'))
  assert (tmp_path / 'hf/config.json').exists()
  for of_stage in results['ledger'].values():
    assert all(entry['ratio'] == pytest.approx(1) for entry in of_stage.values())
