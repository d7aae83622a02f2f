"""The peers' loops write the same as each other and as our own search; the tables' arithmetic."""

import jax
import numpy as np
import pytest

import tts
from benchmarks.peers import __main__ as command, setting as setting_lib, table
from benchmarks.peers.setting import Row
from tests.open import tiny
from tts import methods

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')

from benchmarks.peers import loops, prepare  # pylint: disable=wrong-import-position

PROMPTS = [[5, 17, 40, 9], [60, 3, 3, 71, 22, 34, 8], [11, 90]]
RULES = loops.Rules(num=8, width=4, max_tokens=14, max_steps=5, delimiters=range(30, 48),
                    ends=(2, 50, 51, 52), size=tiny.VOCAB)


@pytest.fixture(autouse=True)
def _one_thread():
  """Two libraries that wait for each other's threads are slow."""
  before = torch.get_num_threads()
  torch.set_num_threads(1)
  yield
  torch.set_num_threads(before)


def models_of(family):
  model = tiny.make(family)
  value = torch.from_numpy(np.random.default_rng(0).standard_normal(32).astype(np.float32))
  return loops.Models(model.model, model.lm_head, value)


def by_place(logits, rows):
  """A draw that depends on a row's place in its question alone."""
  uniform = [np.random.default_rng([slot, count]).random() for _, slot, count in rows]
  total = torch.cumsum(torch.softmax(logits.double() / 4, -1), -1)
  return (total < torch.tensor(uniform)[:, None]).sum(1).clamp(max=logits.shape[1] - 1)


def greedy(logits, rows):
  del rows
  return logits.argmax(-1)


def told(rows):
  """What of a search's rows is to be equal: tokens, steps, how it ended; and its score, nearly."""
  whole = [[(row.tokens, row.steps, row.live, row.finished) for row in of] for of in rows]
  return whole, np.array([[row.score for row in of] for of in rows])


@pytest.mark.parametrize('family', ['llama', 'qwen2'])
@pytest.mark.parametrize('draw', [greedy, by_place])
def test_both_loops_write_the_same(family, draw):
  models = models_of(family)
  again, counts = loops.search(models, PROMPTS, RULES, keep=False, draw=draw)
  kept, counts_kept = loops.search(models, PROMPTS, RULES, keep=True, draw=draw)
  assert told(again)[0] == told(kept)[0]
  np.testing.assert_allclose(told(again)[1], told(kept)[1], atol=1e-5)
  assert counts == counts_kept
  if draw is by_place:  # the case is one in which rows branch, end early and are cut off
    ends = [(row.finished, len(row.tokens)) for of in kept for row in of]
    assert {f for f, _ in ends} == {True, False} and len(set(ends)) >= 3
    assert len({tuple(row.tokens) for row in kept[0]}) > 2


@pytest.mark.parametrize('keep', [False, True])
def test_a_question_alone_is_searched_as_among_others(keep):
  models = models_of('llama')
  together, _ = loops.search(models, PROMPTS, RULES, keep=keep, draw=by_place)
  alone = [loops.search(models, [prompt], RULES, keep=keep, draw=by_place)[0][0]
           for prompt in PROMPTS]
  assert told(together)[0] == told(alone)[0]
  np.testing.assert_allclose(told(together)[1], told(alone)[1], atol=1e-5)


def test_scores_are_those_of_whole_texts_without_padding():
  models = models_of('llama')
  rows, _ = loops.search(models, PROMPTS, RULES, keep=True, draw=by_place)
  with torch.inference_mode():
    for prompt, of in zip(PROMPTS, rows):
      for row in of:
        hidden = models.trunk(input_ids=torch.tensor([prompt + row.tokens])).last_hidden_state
        assert abs(float(torch.sigmoid(hidden[0, -1] @ models.value)) - row.score) < 1e-5


def test_rows_are_selected_as_in_our_own_search():
  rng = np.random.default_rng(0)
  ours = jax.jit(lambda score, live, finished: methods.beam(4).allocate(
      jax.random.key(0), methods.Rows.of(score, live=live, finished=finished,
                                         truncated=~live & ~finished)))
  for i in range(300):
    num = (1, 3, 4, 16)[i % 4]
    score = rng.integers(0, 4, num).astype(np.float32) / 4  # many ties
    live = rng.random(num) < 0.6
    finished = ~live & (rng.random(num) < 0.6)
    kept = max(1, num // 4)
    own = ours(score, live, finished)
    found = loops.select(score, live, finished, kept)
    assert bool(own.stop) == (found is None)
    if found is not None:
      assert found.tolist() == np.asarray(own.parent).tolist()


@pytest.fixture(scope='module', name='prepared')
def _prepared(tmp_path_factory):
  """The folder that engines share, of a tiny model with a chat template."""
  source, folder = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('folder')
  tiny.save('llama', source, vocab_size=500, eos_token_id=2)
  tiny.save_tokenizer(source, '')
  prepare.prepare(folder, str(source), [q for q, *_ in tiny.PROBLEMS[:3]], [4], 1)
  return folder


@pytest.mark.parametrize('keep', [False, True])
def test_greedy_the_loops_write_and_score_as_our_own_search(prepared, keep):
  """All that is to be alike is: weights, head, prompts, what ends a step and a solution."""
  setting = setting_lib.read(prepared)
  model = transformers.AutoModelForCausalLM.from_pretrained(
      prepared / setting_lib.OPEN, dtype=torch.float32).eval()
  models = loops.Models(model.model, model.lm_head,
                        torch.from_numpy(np.load(prepared / setting_lib.HEAD)))
  rules = loops.Rules(num=4, width=4, max_tokens=24, max_steps=40, delimiters=setting.delimiters,
                      ends=setting.ends, size=setting.size)
  rows, _ = loops.search(models, setting.prompts, rules, keep=keep, draw=greedy)
  own = tts.search(
      tts.load_generator(prepared / setting_lib.BASE, kind='chat'),
      tts.load_verifier(prepared / setting_lib.VERIFIER), setting.questions, budget=4,
      limits=tts.Limits(max_tokens=24, max_step_tokens=24), temperature=0.0)
  for of, result in zip(rows, own, strict=True):
    assert [len(row.tokens) for row in of] == [s.num_tokens for s in result.solutions]
    np.testing.assert_allclose([row.score for row in of], [s.score for s in result.solutions],
                               atol=1e-4)


def test_the_floor_is_what_the_tokens_take_at_our_own_rates():
  rows = [Row('ours', 'sampling', 16, 2, 10.0, 0, written=1000),
          Row('ours', 'scoring', 16, 2, 2.0, 0, read=1000),
          Row('ours', 'search', 16, 2, 30.0, 0, written=2000, read=1500),
          Row('a loop', 'search', 16, 2, 90.0, 0, written=1500, read=1500),
          Row('another', 'sampling', 16, 2, 40.0, 0, written=2000)]
  assert table.floor_of(rows, rows[2]) == pytest.approx(20 + 3)
  cells = lambda text, name: next(
      line for line in text.splitlines() if line.startswith(f'| {name}')).split(' | ')
  assert cells(table.sampling(rows), 'another')[6:8] == ['50', '2.00']
  # By the question 90 s beside 30; by the token 60 ms beside 15.
  assert cells(table.searches(rows), 'a loop')[11:13] == ['3.00', '4.00']
  assert cells(table.searches(rows), 'ours')[9:11] == ['23.0', '1.30']
  assert cells(table.problems(rows), 'a loop')[1] == '45.00 |'


def test_an_engine_that_is_not_installed_is_a_line(monkeypatch):
  monkeypatch.setitem(command.ENGINES, 'other', ('other', ('no_such_module',), 'other-engine'))
  assert command.missing('other') == 'other: not installed: pip install other-engine'
  assert command.missing('ours') is None


def test_a_solution_ends_with_its_first_end():
  assert setting_lib.length([5, 2, 7, 2], [2, 3]) == 2
  assert setting_lib.length([5, 7], [2, 3]) == 2
