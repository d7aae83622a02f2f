"""Labels against the true value of a prefix under a table model; what is shared; what counts."""

import dataclasses
import functools
import types

import jax.numpy as jnp
import numpy as np

from tests import reference, toy
from tts import config, parallel, rng
from tts.engine.engine_models import EngineGenerator
from tts.engine.shape import Shape
from tts.eval.measures import flops
from tts.eval.measures.ledger import ledger_ratio
from tts.eval.storage import records
from tts.eval.storage.samples import COUNTS
from tts.runs import blocks as blocks_lib
from tts.runs.models_at_work import Workers
from tts.runs.record_rows import RowMaker
from tts.sampling import decode
from tts.sampling.logits import SamplingConfig
from tts.stages import labels, probe, rollouts, sample_pool
from tts.types import BOS_ID, EOS_ID, Problem

LIMITS = config.LimitsConfig(max_prompt_tokens=4, max_tokens=20, max_steps=5, max_step_tokens=8)
GOLD = '7'
TABLE = toy.random_tables(3, 1)[0] / 2  # [3, V, V]
TABLE[:, :, toy.DELIMITER] += 1.0
TABLE[:, int(GOLD), EOS_ID] += 4.0
TABLE[0, toy.DELIMITER, int(GOLD)] += 5.0  # where a rollout begins makes a difference


class Tokenizer:
  """A token is a number; the answer is the last one before the end."""

  def encode(self, prompt):
    return [BOS_ID, *map(int, prompt.split())]

  def decode(self, tokens):
    return '#### ' + str(tokens[-2]) if len(tokens) > 1 and tokens[-1] == EOS_ID else ''

  def decode_batch(self, batch):
    return [self.decode(tokens) for tokens in batch]


def make_workers(num_rollouts=2, samples=6, groups=1):
  """Of a run whose base model is the table, which tells no problem from another."""
  experiment = config.Experiment(limits=LIMITS, labels=config.LabelsConfig(
      samples=samples, rollouts=num_rollouts))
  workers = Workers(types.SimpleNamespace(
      experiment=experiment, seed=0, tokenizer=Tokenizer(), prompts=Tokenizer(),
      rows=RowMaker(Tokenizer(), toy.ROLES, 'exact', 0),
      mesh=parallel.make_mesh(groups, 1), groups=groups, limits=decode.Limits(20, 5, 8, toy.ROLES)))
  generator = EngineGenerator(workers.run.mesh, toy.TableGenerator, jnp.asarray(TABLE[None]),
                  Shape(lanes=5, write=3, readers=4, tile=2), SamplingConfig(), workers.run.limits)
  workers.generator = lambda *_: generator
  return workers


def make_run(**how):
  return make_workers(**how).run


def make_blocks(num=6, size=6):
  problems = [Problem(f'p{i}', f'{5 + i % 3} {6 + i % 2}', GOLD) for i in range(num)]
  return blocks_lib.cut(problems, Tokenizer(), LIMITS.max_prompt_tokens, size)


@functools.cache
def sampled(samples=6):
  """What is sampled of a block's questions, without rollouts; not to be changed."""
  workers = make_workers(samples=samples)
  found, = workers.ask(sample_pool.sampler(workers, 'base', 'train_pool', samples, SamplingConfig()),
                       make_blocks())
  return found


def solved():
  """(rows of each question's samples, graded; its solutions), each question's samples counted."""
  run, (block,) = make_run(), make_blocks()
  rows = [labels._rows(run, block, b, samples) for b, samples in enumerate(sampled())]
  run.rows.grade(block, rows)
  solutions = [rollouts.wanted(block, b, mine)
               for b, mine in enumerate(rows)]
  for mine, found in zip(rows, solutions):
    for row in mine if found else ():
      labels._count(found[0].outcomes, row)
  return rows, [solution for found in solutions for solution in found]


def label(blocks=1, **how):
  """Rows of one block, and of so many like it beside it."""
  workers, (block,) = make_workers(**how), make_blocks()
  found = workers.ask(labels.questions(workers, SamplingConfig()), [block] * blocks)
  # Those that carry what unanswered samples took, too.
  return [labels.rows_of(workers.run, block, of_block) for of_block in found]


@functools.cache
def made():
  """A block's labelled rows; not to be changed."""
  return label()[0]


@functools.cache
def true_value(last, count, step=0, position=0, in_step=0):
  """How likely a text of `count` tokens gets to the gold answer, so much of it in the rollout."""
  logits = np.float64(TABLE[count % 3, last])
  probs = np.exp(logits - logits.max())
  value = 0.0
  for token, p in enumerate(probs / probs.sum()):
    steps = step + (token == toy.DELIMITER)
    inside = 0 if token == toy.DELIMITER else in_step + 1
    if token == EOS_ID:
      value += p * (str(last) == GOLD and position > 0)
    elif position + 1 < 20 and steps < 5 and inside < 8:
      value += p * true_value(token, count + 1, steps, position + 1, inside)
  return value


def by_prefix(rows):
  return {(r['problem_id'], *r['tokens'][:end]): (value, num) for r in rows
          for end, value, num in zip(r['step_ends'][:-1], r['labels'], r['continuations'])}


def test_labels_are_the_value_of_the_prefix():
  """Rollouts alone: of the continuations, those that samples made are taken out."""
  num = 200
  rows, = label(num_rollouts=num)
  plain = {(s.problem.id, *prefix): outcome
           for s in solved()[1] for prefix, outcome in s.outcomes.items()}
  checked = 0
  for prefix, (value, count) in by_prefix(rows).items():
    right, others = plain[prefix]
    assert count == num + others
    mean = true_value(prefix[-1], 3 + len(prefix) - 1)  # a prompt of 3, the problem's id
    error = (value * count - right) / num - mean
    assert abs(error) < 4 * np.sqrt(mean * (1 - mean) / num) + 1e-9
    checked += 0.05 < mean < 0.95
  assert checked > 10


def test_a_prefix_that_two_solutions_share_is_rolled_out_once():
  found = solved()[1]
  asked = [(s.problem.id, *s.prefix(step)) for s in found for step in s.steps]
  wanted = {(s.problem.id, *s.prefix(step)) for s in found
            for step in range(len(s.row['step_ends']) - 1)}
  every = sum(len(s.row['step_ends']) - 1 for s in found)
  assert sorted(asked) == sorted(wanted) and len(asked) < every
  ended = sum(r['counts']['base']['last'] for r in made()) - sum(map(len, sampled()))
  assert ended == 2 * len(wanted)


def test_each_rollout_is_what_its_key_draws_behind_its_prefix():
  """The key is of slot, step and number; against a plain python sampler, token by token."""
  workers = make_workers()
  found, = workers.ask(labels.questions(workers, SamplingConfig()), make_blocks())
  solutions = [solution for each in found for solution in each.solutions]
  found = [of_solution for each in found for of_solution in each.rollouts]
  compared = 0
  for solution, samples in zip(solutions, found, strict=True):
    asked = [(step, i) for step in solution.steps for i in range(2)]
    assert len(samples) == len(asked)
    if not asked:
      continue
    identity = np.array([[(solution.row['slot'], *one) for one in asked]])
    keys = rng.identity_keys(
        rng.problem_keys(rng.stream_key(0, 'rollout'),
                         rng.problem_words([solution.problem.identity])), identity)
    drawn = toy.uniforms(keys, LIMITS.max_steps + 1, LIMITS.max_tokens + 1)[0]
    for sample, (step, _), uniform in zip(samples, asked, drawn, strict=True):
      text = [*solution.prompt, *solution.prefix(step)]
      want = reference.sample(TABLE, text, uniform, workers.run.limits)
      assert sample.tokens.tolist() == want.own
      compared += len(want.own) > 1
  assert compared > 30


def test_labels_do_not_depend_on_lanes(monkeypatch):
  real = EngineGenerator
  monkeypatch.setitem(globals(), 'EngineGenerator', lambda mesh, make, params, shape, *rest: real(
      mesh, make, params, Shape(lanes=32, write=8, readers=16, tile=8), *rest))
  assert label() == [made()]


def test_a_block_s_labels_do_not_depend_on_others():
  assert label(blocks=3, groups=3) == [made()] * 3
  assert label(blocks=2, groups=3) == [made()] * 2  # a group has nothing to do


def test_every_token_is_accounted_for():
  samples, rows = [row for mine in solved()[0] for row in mine], made()
  dropped = [row for row in samples if row['answer'] is None]
  total = {n: sum(r['counts']['base'][n] for r in rows) for n in COUNTS}
  assert dropped and ledger_ratio(total) == 1
  assert total['prompt'] == sum(map(len, make_blocks()[0].prompts))
  assert total['pruned'] == sum(len(r['tokens']) for r in dropped)
  assert total['kept'] == sum(len(r['tokens']) for r in rows)


def test_a_question_without_an_answer_leaves_its_counts_to_the_block():
  counts = lambda n: {'base': dict.fromkeys(COUNTS, 0) | {'kept': n, 'entered': n - 1, 'last': 1}}
  row = lambda name, n, answer: {'problem_id': name, 'answer': answer, 'counts': counts(n)}
  samples = [row('a', 5, None), row('b', 7, '1'), row('b', 9, None)]
  kept, = labels._with_dropped([samples[1]], samples)
  assert (kept['counts']['base']['kept'], kept['counts']['base']['pruned']) == (7, 14)
  assert ledger_ratio(kept['counts']['base']) == 1


def test_a_block_without_an_answer_keeps_its_counts():
  counts = lambda n: {'base': dict.fromkeys(COUNTS, 0) | {'kept': n, 'entered': n - 1, 'last': 1}}
  row = lambda name, n: {'problem_id': name, 'answer': None, 'counts': counts(n)}
  kept, = labels._with_dropped([], [row('a', 5), row('b', 7), row('b', 9)], continuations=[])
  assert (kept['problem_id'], kept['labels'], kept['continuations']) == ('a', [], [])
  assert kept['counts']['base'] == dict.fromkeys(COUNTS, 0) | {
      'kept': 5, 'pruned': 16, 'entered': 18, 'last': 3}
  assert ledger_ratio(kept['counts']['base']) == 1


def test_a_row_that_only_carries_counts_teaches_nothing(tmp_path):
  run = make_run()
  problems = [Problem(f'p{i}', '5 6', GOLD) for i in range(10)]  # the last is held out
  run.problems = lambda split, count, field: problems
  run.workdir = types.SimpleNamespace(root=tmp_path)
  row = lambda i, labels: {'problem_id': f'p{i}', 'tokens': [5, 7, EOS_ID], 'step_ends': [3],
                           'correct': bool(labels), 'labels': labels}
  records.write_block(tmp_path / 'records/labels/rollouts/block-00000.jsonl.gz',
                      [row(0, [1.0]), row(9, [1.0]), row(1, [])])
  learnt, held_out = labels.learnt(run, 'rollouts')
  assert [s.name for s in learnt] == ['p0'] and len(held_out) == 1
  asked, share = probe._training(run)
  assert [p.id for p in asked] == ['p0', 'p9'] and share.tolist() == [1, 1]


def test_an_outcome_model_gets_as_many_samples_as_the_flops_pay_for():
  arch = dataclasses.asdict(toy.ARCH)
  cost = lambda rows: sum(flops.counted(arch, 'lm', r['counts']['base']) for r in rows)
  wanted = 6 * cost(made()) / cost(row for mine in solved()[0] for row in mine)
  assert labels.samples_for_flops(made(), arch, 6, 6) == round(wanted) > 10
