"""A workdir of samples from elsewhere: what is used, what is missing, what is refused."""

import json

import numpy as np
import pytest

from tts.eval.report import report, results
from tts.eval.storage import external_samples, records, runfiles
from tts.types import InputError

TEXTS = ('2+2=4\n#### 4', '2+2=5\n#### 5', '#### 4', '#### 6', '#### 5', '#### 5')


def lines(questions=10, samples=4, **fields):
  """Question q is right in its first q % 5 samples."""
  for q in range(questions):
    for k in range(samples):
      right = k < q % 5
      row = {'problem_id': f'q{q}', 'answer': '4',
             'text': TEXTS[0] if right else TEXTS[1 + k % 2 * 3]}
      yield row | {name: make(q, k, right) if callable(make) else make
                   for name, make in fields.items()}


def study(tmp_path, rows, **options):
  path = tmp_path / 'f.jsonl'
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  source = external_samples.Source(str(path), **options)
  assert not external_samples.open_workdir(source, tmp_path / 'w')
  return external_samples.write(source, tmp_path / 'w')


def score(q, k, right):
  return 0.9 if right else 0.3


def slots(workdir, stage):
  return [(r['problem_id'], r['slot'], r['text']) for r in records.iterate(workdir, stage)]


def test_the_two_pools_share_no_sample_and_lose_none(tmp_path):
  rows = [r | {'text': f'{k}: #### 4'} for k, r in enumerate(lines(samples=8, score=score))]
  study(tmp_path, rows, difficulty=0.25)
  scored, held = (slots(tmp_path / 'w', s) for s in ('search', 'difficulty'))
  assert len(scored) == 60 and len(held) == 20
  assert {t for *_, t in scored} | {t for *_, t in held} == {r['text'] for r in rows}
  assert [t for *_, t in scored] == [r['text'] for k, r in enumerate(rows) if k % 8 < 6]
  assert [slot for _, slot, _ in held] == [0, 1] * 10


def test_no_difficulty_pool_no_bins(tmp_path):
  study(tmp_path, lines(score=score), difficulty=0)
  made = results.assemble(runfiles.load(tmp_path / 'w'))
  assert {r['bin'] for r in made['curves']} == {None} and 'curves.bin' in made['reasons']


def test_questions_of_different_numbers_are_said_and_cut_to_the_least(tmp_path):
  rows = [r for k, r in enumerate(lines(score=score)) if k not in (6, 7)]  # two of q1's
  said = study(tmp_path, rows, difficulty=1)
  assert "2 to 4 samples; the first 2 of each are used, 18 of 9 questions are not" in said[0]
  assert "'q1' has the fewest" in said[0]
  assert {slot for _, slot, _ in slots(tmp_path / 'w', 'search')} == {0}
  with pytest.raises(InputError, match='--difficulty=2 leaves none of the 2'):
    external_samples.write(external_samples.Source(str(tmp_path / 'f.jsonl'), 2), tmp_path / 'other')
  assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize('fields,there,missing', [
    ({}, {'majority', 'oracle'}, {'curves.generated_tokens'}),
    ({'score': score}, {'majority', 'oracle', 'best_of_n', 'best_of_n_weighted'},
     {'verifier.prm.auc_gain_within'}),
    ({'logprob': lambda q, k, right: -1.0 - k}, {'majority', 'oracle', 'logprob_weighted'}, set()),
    ({'num_tokens': 7, 'score': score},
     {'majority', 'oracle', 'best_of_n', 'best_of_n_weighted'}, {'curves.verifier_tokens'}),
])
def test_what_a_file_lacks_is_null_with_a_reason(tmp_path, fields, there, missing):
  study(tmp_path, lines(samples=8, **fields))
  made = report.write(tmp_path / 'w')
  assert {r['strategy'] for r in made['curves']} == there
  assert missing <= set(made['reasons'])
  known = 'num_tokens' in fields
  for row in made['curves']:
    assert row['generated_tokens'] == (7 * row['budget'] if known else None)
    assert row['flops'] is None and row['seconds'] is None
    assert row['verifier_tokens'] == (None if row['strategy'].startswith('best') else 0)
  assert bool(made['compute_optimal']) == ('score' in fields)
  assert (tmp_path / 'w/report/index.html').stat().st_size > 10_000


def test_flops_are_two_a_parameter_and_token(tmp_path):
  study(tmp_path, lines(num_tokens=7, verifier_tokens=9, scores={'rm': 0.5}),
        params={'base': 1e9, 'rm': 7e9})
  made = results.assemble(runfiles.load(tmp_path / 'w'))
  at = {(r['strategy'], r['budget']): r for r in made['curves'] if r['bin'] is None}
  assert at['majority', 2]['flops'] == 2 * 2e9 * 7
  assert at['best_of_n', 2]['flops'] == 2 * (2e9 * 7 + 14e9 * 9)
  assert at['best_of_n', 2]['verifier_tokens'] == 18
  assert made['ledger']['search']['base']['ratio'] == 1
  with pytest.raises(InputError, match="--params names 'rn'"):
    external_samples.write(external_samples.Source(str(tmp_path / 'f.jsonl'), params={'rn': 1.0}), tmp_path / 'v')


def test_a_samples_length_is_its_number_of_tokens(tmp_path):
  study(tmp_path, lines(num_tokens=lambda q, k, right: q + k), difficulty=0)
  pool = runfiles.load(tmp_path / 'w').setting('base', 'sample')
  assert pool.length.tolist() == [[q + k for k in range(4)] for q in range(10)]


def test_statistics_of_tokens_are_kept(tmp_path):
  """Of both pools; a file without them has records as before."""
  given = lambda q, k, right: {'entropy': [q / 7, k / 3], 'self_certainty': 5.0}
  study(tmp_path, lines(statistics=given))
  rows = [r for stage in ('search', 'difficulty') for r in records.iterate(tmp_path / 'w', stage)]
  assert len(rows) == 40
  halves = lambda values: [float(str(np.float16(x))) for x in values]
  assert sorted((int(r['problem_id'][1:]), *r['statistics']['entropy']) for r in rows) == sorted(
      (q, *halves([q / 7, k / 3])) for q in range(10) for k in range(4))
  assert {r['statistics']['self_certainty'] for r in rows} == {5.0}
  (tmp_path / 'without').mkdir()
  study(tmp_path / 'without', lines())
  bare = [r for stage in ('search', 'difficulty')
          for r in records.iterate(tmp_path / 'without/w', stage)]
  assert [{k: v for k, v in r.items() if k != 'statistics'} for r in rows] == bare


def test_named_verifiers_take_the_places_that_fit_them(tmp_path):
  said = study(tmp_path, lines(scores={'main': 0.5, 'orm': 0.5, 'b': [0.1, 0.2], 'c': 0.5}))
  assert {"verifier 'main' is prm in the results", "verifier 'b' is prm_plain in the results",
          "verifier 'c' is orm_more in the results"} <= set(said)
  pool = runfiles.load(tmp_path / 'w').setting('base', 'sample')
  assert set(pool.others) == {'prm_plain', 'orm', 'orm_more'}
  assert pool.others['prm_plain'].shape[-1] == 2
  with pytest.raises(InputError, match='5 verifiers'):
    (tmp_path / 'more').mkdir()
    study(tmp_path / 'more', lines(scores=dict.fromkeys('abcde', 0.5)))


def test_votes_need_no_gold_answer(tmp_path):
  rows = [{'id': 'a', 'responses': ['#### 4', '#### 5', '#### 5', '#### 4', '#### 9', 'none'],
           'scores': [0.9, 0.2, 0.3, 0.1, 0.8, None]},
          {'id': 'b', 'responses': ['none'] * 6, 'scores': [0.1] * 6}]
  said = study(tmp_path, rows, difficulty=2)
  assert any('2 of 2 questions have no gold answer' in line for line in said)
  votes = [json.loads(x) for x in (tmp_path / 'w/votes.jsonl').read_text().splitlines()]
  assert votes == [
      {'id': 'a', 'answer': None, 'majority': '4', 'best_of_n': '4', 'best_of_n_weighted': '4',
       'predicted_bin': 1},
      {'id': 'b', 'answer': None, 'majority': None, 'best_of_n': None, 'best_of_n_weighted': None,
       'predicted_bin': 3}]
  made = results.assemble(runfiles.load(tmp_path / 'w'))
  assert made['curves'] == []


def test_a_killed_write_goes_on_to_the_same_records(tmp_path):
  study(tmp_path, lines(score=score))
  source = external_samples.Source(str(tmp_path / 'f.jsonl'))
  assert external_samples.open_workdir(source, tmp_path / 'w')
  before = {p: p.read_bytes() for p in records.blocks(tmp_path / 'w')}
  next(iter(before)).unlink()
  assert not external_samples.open_workdir(source, tmp_path / 'w')
  external_samples.write(source, tmp_path / 'w')
  assert {p: p.read_bytes() for p in records.blocks(tmp_path / 'w')} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
  (tmp_path / 'f.jsonl').write_text(json.dumps(next(lines())))
  source = external_samples.Source(str(tmp_path / 'f.jsonl'))
  for name, content in (('thesis.txt', 'mine'), ('run.json', '{"config": {"name": "arith"}}')):
    (tmp_path / name[:3]).mkdir()
    (tmp_path / name[:3] / name).write_text(content)
    with pytest.raises(InputError, match='give a new folder'):
      external_samples.open_workdir(source, tmp_path / name[:3])


@pytest.mark.parametrize('rows,expected', [
    ([{'strategy': 'greedy'}] * 2, 'line 6.*2 rows of greedy'),
    ([{'strategy': 'beam', 'budget': 2, 'beam_width': 2, 'score': 0.5}] * 3, 'line 7.*3 rows'),
    ([{'strategy': 'beam', 'budget': 2, 'beam_width': 2}], 'line 5.*guided'),
])
def test_rows_of_a_search(tmp_path, rows, expected):
  first = list(lines(questions=1))
  with pytest.raises(InputError, match=expected):
    study(tmp_path, first + [first[0] | r for r in rows])
  assert not (tmp_path / 'w').exists()


@pytest.mark.parametrize('text,steps,expected', [
    ('a\nb\nc', 3, ['a\n', 'b\n', 'c']), ('a\n\nb\nc', 2, ['a\n\n', 'b\nc']),
    ('a\n\n\n\nb\n', 2, ['a\n\n\n\n', 'b\n']), ('a\nb', 3, ['a\nb']), ('', 1, [''])])
def test_steps_of_a_text(text, steps, expected):
  ends = external_samples.step_ends(text, steps)
  assert [text[a:b] for a, b in zip([0, *ends], ends)] == expected
