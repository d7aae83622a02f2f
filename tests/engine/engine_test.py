"""Which question begins where, and which program comes next."""

import collections
import types

from tts.engine import engine
from tts.engine.coroutines import Job

LENGTHS = [9, 1, 1, 1, 2, 1, 1]  # jobs of each question, one after the other


class Worker:
  """Does one job of every group in a call."""

  def __init__(self, groups, worth=1.0):
    self._queues, self._worth, self.calls = [[] for _ in range(groups)], worth, 0

  def submit(self, job):
    self._queues[job.group].append(job)

  @property
  def worth(self):
    return self._worth * any(self._queues)

  def begin(self):
    self.calls += 1
    self._working = [queue.pop(0) for queue in self._queues if queue]

  def end(self):
    return len(self._working), [(job, self) for job in self._working]


def ask(worker, group):
  job = Job()
  job.worker, job.group = worker, group
  return job


def test_a_group_that_is_done_takes_the_next_question():
  worker, begun = Worker(2), collections.defaultdict(list)

  def question(q):
    async def work(group):
      begun[group].append(q)
      for _ in range(LENGTHS[q]):
        await ask(worker, group)
      return q, group

    return work

  ticks, shares = [], []

  def tick(tokens, share):
    ticks.append(tokens)
    shares.append(share)

  found = engine.run([question(q) for q in range(len(LENGTHS))],
                     [types.SimpleNamespace(workers=[worker], groups=2)], 1, tick)
  assert [q for q, _ in found] == list(range(len(LENGTHS)))
  assert begun == {0: [0], 1: [1, 2, 3, 4, 5, 6]}
  assert worker.calls == max(LENGTHS) and sum(ticks) == sum(LENGTHS)
  assert shares == sorted(shares) and shares[-1] == 1 and len(set(shares)) > 2


def test_the_worker_that_is_worth_most_comes_first():
  poor, rich = Worker(1, 0.25), Worker(1, 0.5)
  order = []

  async def question(group, worker):
    for _ in range(3):
      order.append(await ask(worker, group))

  engine.run([lambda g: question(g, poor), lambda g: question(g, rich)],
             [types.SimpleNamespace(workers=[poor, rich], groups=1)], 2)
  assert order == [rich] * 3 + [poor] * 3


def test_results_are_handed_in_while_the_next_program_runs():
  """Where its rows all have a job; else before it, since more jobs may follow from the results."""
  late = ['begun', *['begun', 'went on'] * 3, 'went on']
  for worth, expected in ((1.0, late), (0.5, ['begun', 'went on'] * 4)):
    worker, events = Worker(1, worth), []
    begin = worker.begin
    worker.begin = lambda: (events.append('begun'), begin())

    async def question(group):
      for _ in range(2):
        await ask(worker, group)
        events.append('went on')

    engine.run([question] * 2, [types.SimpleNamespace(workers=[worker], groups=1)], 2)
    assert events == expected
