"""The peers' loops: they write the same, whole or in part, and select as our engine does."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.peers import setting as setting_lib
from tests.open import tiny
from tts.search import beam

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')

from benchmarks.peers import loops  # pylint: disable=wrong-import-position

PROMPTS = [[5, 17, 40, 9], [60, 3, 3, 71, 22, 34, 8], [11, 90]]
RULES = loops.Rules(num=8, width=4, max_tokens=14, max_steps=5, delimiters=range(30, 48),
                    ends=(2, 50, 51, 52), size=tiny.VOCAB)


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
  for _ in range(300):
    num = int(rng.integers(1, 17))
    score = rng.integers(0, 4, num).astype(np.float32) / 4  # many ties
    live = rng.random(num) < 0.6
    finished = ~live & (rng.random(num) < 0.6)
    kept = max(1, num // 4)
    _, stop, parent = beam.select(*map(jnp.asarray, (score, live, finished)), kept)
    found = loops.select(score, live, finished, kept)
    assert bool(stop) == (found is None)
    if found is not None:
      assert found.tolist() == np.asarray(parent).tolist()
