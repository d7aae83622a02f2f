"""A model that thinks before it answers, the whole way: a random one, whose template opens `<think>`.

What it writes most are the marks of a thought, blank lines and answers: all cases are there, and no
accuracy means anything.
"""

import json

import pytest

import tts
from configs import open as open_config
from tests.open import evaluate_test, tiny
from tts import answers, config
from tts.data.prompts import PromptConfig, Prompts
from tts.data.tokenizer import Tokenizer
from tts.eval.storage import records
from tts.types import InputError

torch = pytest.importorskip('torch', reason='extra `parity`')
pytest.importorskip('transformers', reason='extra `parity`')
pytest.importorskip('tokenizers', reason='extra `open`')

MARKS = '<think>', '</think>'
FREQUENT = (*MARKS, '\\boxed{15}', '\\boxed{2}', '\n\n', 'Wait', '<|im_end|>')
QUESTIONS = [q for q, *_ in tiny.PROBLEMS[:3]]
LIMITS = tts.Limits(max_prompt_tokens=90, max_tokens=48, max_steps=12, max_step_tokens=40)
FORCING = tts.BudgetForcing(20, waits=2, lead_in='\n\n')


def template(folder, ending):
  path = folder / 'tokenizer_config.json'
  made = json.loads(path.read_text())
  made['chat_template'] = tiny._TEMPLATE.replace(
      'assistant\n{% endif %}', f'assistant\n{ending}{{% endif %}}')
  path.write_text(json.dumps(made))


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """Of a generator and a verifier, as they are published."""
  root = tmp_path_factory.mktemp('thinking')
  for name, special in (('base', ()), ('prm', ('<extra_0>',))):
    (root / name).mkdir()
    tokenizer = tiny.save_tokenizer(root / name, open_config.SYSTEM, special,
                                    added=FREQUENT[:-1])
    model = tiny.make('qwen2', seed=4, vocab_size=tokenizer.get_vocab_size() + 4,
                      max_position_embeddings=2048, tie_word_embeddings=name == 'prm')
    if name == 'prm':
      evaluate_test.save_verifier(model, root / name)
      continue
    with torch.no_grad():
      for text in FREQUENT:
        model.lm_head.weight[tokenizer.token_to_id(text)] *= 5
    model.save_pretrained(root / name)
    template(root / name, '<think>\n')
  return root


@pytest.fixture(scope='module')
def model(folders):
  return tts.load_generator(folders / 'base', kind='chat', thinking=MARKS, delimiter='blank_line')


def sampled(model, **how):
  return [s for r in tts.sample(model, QUESTIONS, 16, limits=LIMITS, **how) for s in r.solutions]


def test_who_opens_the_thought(folders, tmp_path):
  """The template, or the model; one that is ended in the prompt is none."""
  (tmp_path / 'tokenizer.json').write_bytes((folders / 'base' / 'tokenizer.json').read_bytes())
  (tmp_path / 'tokenizer_config.json').write_bytes(
      (folders / 'base' / 'tokenizer_config.json').read_bytes())
  for ending, opened in (('<think>\n', True), ('', False), ('<think>\n\n</think>\n\n', False)):
    template(tmp_path, ending)
    tokenizer = Tokenizer.load(tmp_path)
    roles = Prompts(PromptConfig(kind='chat', thinking=MARKS), tokenizer).roles
    assert roles.thinking.opened == opened
    assert [tokenizer.token(roles.thinking.begin), tokenizer.token(roles.thinking.end)] == [*MARKS]
  assert Prompts(PromptConfig(kind='chat'), tokenizer).roles.thinking is None
  with pytest.raises(InputError, match="'<thought>', which is no token"):
    Prompts(PromptConfig(kind='chat', thinking=('<thought>', '</think>')), tokenizer)
  for bad in (dict(thinking=('<think>',)), dict(thinking=('a', 'a')),
              dict(thinking=MARKS, kind='few_shot')):
    with pytest.raises(ValueError, match='thinking is'):
      PromptConfig(**{'kind': 'chat', **bad})


def test_an_answer_stands_behind_the_thought(model):
  """Never in it; a thought that is cut off, at a limit or by the end of the text, has none."""
  seen = set()
  for s in sampled(model):
    thought, mark, rest = s.text.partition('</think>')
    ended, within = bool(mark), answers.extract(thought) is not None
    assert s.answer == (answers.extract(rest) if ended and s.finished else None)
    seen.add((ended, s.finished, within, s.answer is not None))
    assert 0 < s.thinking_tokens <= s.num_tokens and s.forced_tokens == 0
    assert ended or s.thinking_tokens == s.num_tokens
  assert {(True, True, True, True), (True, True, True, False), (False, True, True, False),
          (False, False, True, False)} <= seen, seen


def test_forced_thoughts_have_their_lengths(model):
  seen = set()
  for s in sampled(model, budget_forcing=FORCING):
    thought, mark, rest = s.text.partition('</think>')
    assert mark and s.thinking_tokens <= FORCING.thinking_tokens
    assert s.answer == (answers.extract(rest) if s.finished else None)
    seen.add((s.thinking_tokens == FORCING.thinking_tokens, s.forced_tokens))
  assert {True, False} == {capped for capped, _ in seen} and len({n for _, n in seen}) > 2
  results = list(tts.sample(model, QUESTIONS, 4, limits=LIMITS, budget_forcing=FORCING))
  again = next(tts.sample(model, QUESTIONS[:1], 4, limits=LIMITS, budget_forcing=FORCING))
  assert again == results[0]
  # What is forced enters and is not drawn.
  assert all(r.flops > 0 and r.tokens >= sum(s.num_tokens - s.forced_tokens for s in r.solutions)
             for r in results)


def test_mistakes_are_one_line(model, folders):
  plain = tts.load_generator(folders / 'base', kind='chat')
  for forcing, said, of in (
      (tts.BudgetForcing(9), 'needs a model that thinks', plain),
      (tts.BudgetForcing(1), 'give 2 to 47', model), (tts.BudgetForcing(48), 'give 2 to 47', model),
      (tts.BudgetForcing(9, -1), 'waits is -1', model),
      (tts.BudgetForcing(9, 1, ''), "wait is ''", model)):
    with pytest.raises(InputError, match=said):
      tts.sample(of, QUESTIONS, 2, limits=LIMITS, budget_forcing=forcing)
  with pytest.raises(InputError, match='statistics'):
    tts.sample(model, QUESTIONS, 2, limits=LIMITS, budget_forcing=FORCING, statistics=True)


@pytest.mark.slow
def test_from_the_config_to_the_report(folders, tmp_path):
  made = open_config.get_config('chat')
  made.prompts.thinking, made.prompts.system = MARKS, ''
  made.sampling.temperature = 1.0
  made.limits.update(max_prompt_tokens=90, max_tokens=48, max_steps=12, max_step_tokens=40)
  made.data.test, made.data.grader = str(tmp_path / 'test.jsonl'), 'exact'
  (tmp_path / 'test.jsonl').write_text(''.join(
      json.dumps({'problem': q, 'answer': a}) + '\n' for q, a, _ in tiny.PROBLEMS))
  for name in ('base', 'prm'):
    made.models[name].checkpoint = str(folders / name)
  made.search.update(questions=6, pool=8, budgets=(4,), beam_widths=(2,), block=3, max_rows=24,
                     methods=('beam',), lookahead_questions=0)
  made.difficulty.update(samples=4, block=3)
  made.budget_forcing.update(thinking_tokens=(6, 20), waits=(0, 2), lead_in='\n\n', samples=4,
                             questions=6)
  experiment, workdir = config.from_config_dict(made), tmp_path / 'w'
  evaluate_test.evaluate(experiment, str(workdir))
  results = records.read_json(workdir / 'report' / 'results.json')
  for of_stage in results['ledger'].values():
    assert all(entry['ratio'] == pytest.approx(1) for entry in of_stage.values())

  tokenizer = Tokenizer.load(folders / 'base')
  roles = Prompts(experiment.prompts, tokenizer).roles
  end = roles.thinking.end
  found = {stage: records.read(workdir, stage) for stage in ('search', 'budget_forcing')}
  every = [row for rows in found.values() for row in rows]
  for row in every:
    tokens = row['tokens']
    thought = tokens.index(end) + 1 if end in tokens else len(tokens)
    assert (row['thinking_tokens'], row['answer_tokens']) == (thought, len(tokens) - thought)
    assert row['answer'] == (answers.extract(tokenizer.decode(tokens[thought:]))
                             if roles.finished(tokens) and end in tokens else None)
  assert {None} < {row['answer'] for row in every}
  # A search's steps are paragraphs of the thought, too, each with the verifier's word.
  beam = [row for row in found['search'] if row['strategy'] == 'beam']
  assert any(sum(e < row['thinking_tokens'] for e in row['step_ends']) > 1 for row in beam)
  assert all(len(row['step_scores']) == len(row['step_ends']) for row in beam)

  wait = tokenizer.encode('Wait')
  for row in found['budget_forcing']:
    forced = [row['tokens'][a:b] for a, b in row['forced']]
    assert forced.count(wait) == row['waits'] <= row['theta']['waits']
    assert [f for f in forced if f != wait] in ([], [[end, *tokenizer.encode('\n\n')]])
    counts = row['counts']['base']
    assert counts['kept'] + counts['reencoded'] == len(row['tokens'])
    assert counts['reencoded'] == sum(map(len, forced)) and counts['pruned'] == row['suppressed']
    assert row['thinking_tokens'] <= row['theta']['thinking_tokens'] and row['step_scores']
  assert {row['waits'] for row in found['budget_forcing']} == {0, 1, 2}

  curve = {(r['theta']['thinking_tokens'], r['theta']['waits'], r['budget']): r
           for r in results['curves'] if r['strategy'] == 'budget_forcing' and r['bin'] is None}
  assert curve.keys() == {(cap, waits, n) for cap in (6, 20) for waits in (0, 2) for n in (1, 2, 4)}
  for (cap, waits, n), row in curve.items():
    mine = [r for r in found['budget_forcing'] if r['theta'] | {
        'thinking_tokens': cap, 'waits': waits} == r['theta']]
    mean = lambda of: sum(map(of, mine)) * n / len(mine)
    assert row['n'] == 6 and row['thinking_tokens'] == pytest.approx(
        mean(lambda r: r['thinking_tokens']))
    assert row['answer_tokens'] == pytest.approx(mean(lambda r: r['answer_tokens']))
    assert row['forced_tokens'] == pytest.approx(mean(lambda r: r['counts']['base']['reencoded']))
    assert row['generated_tokens'] == pytest.approx(
        row['thinking_tokens'] + row['answer_tokens'] - row['forced_tokens']
        + mean(lambda r: r['suppressed']))
    if n == 1:
      assert row['accuracy'] == pytest.approx(mean(lambda r: r['correct']))
  plain = next(r for r in results['curves'] if r['strategy'] == 'majority' and r['bin'] is None)
  assert plain['thinking_tokens'] > 0 and plain['forced_tokens'] == 0
  assert (workdir / 'report' / 'accuracy_vs_thinking.png').exists()
