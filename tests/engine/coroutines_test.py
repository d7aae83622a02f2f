"""Coroutines and their jobs, done in any order."""

import numpy as np

from tts.engine.coroutines import Job, Task, together


class Worker:
  """Keeps jobs until somebody does them."""

  def __init__(self):
    self.waiting = []

  def submit(self, job):
    self.waiting.append(job)

  def ask(self, name):
    job = Job()
    job.worker, job.name = self, name
    return job


def run(coroutine, worker, order):
  """The result; jobs are done one at a time, by random draws of `order`."""
  results = []
  Task(coroutine, results.append)
  names = []
  while worker.waiting:
    job = worker.waiting.pop(order.integers(len(worker.waiting)))
    names.append(job.name)
    job.done(f'<{job.name}>')
  assert len(results) == 1
  return results[0], names


async def chain(worker, name, length):
  return [await worker.ask(f'{name}{i}') for i in range(length)]


async def tree(worker, name, depth):
  if not depth:
    return await worker.ask(name)
  return await together([tree(worker, name + c, depth - 1) for c in 'abc'])


def test_a_chain_waits_for_each_of_its_jobs():
  worker = Worker()
  found, names = run(chain(worker, 'x', 3), worker, np.random.default_rng(0))
  assert found == ['<x0>', '<x1>', '<x2>'] and names == ['x0', 'x1', 'x2']


def test_results_are_in_order_whatever_is_done_first():
  want = [[f'<{c}{d}>' for d in 'abc'] for c in 'abc']
  orders = set()
  for seed in range(20):
    worker = Worker()
    found, names = run(tree(worker, '', 2), worker, np.random.default_rng(seed))
    assert found == want
    orders.add(tuple(names))
  assert len(orders) > 10


def test_nothing_at_once_is_done_at_once():
  async def nothing():
    return await together([])

  async def at_once():
    return await together([nothing(), chain(Worker(), '', 0)])

  assert run(at_once(), Worker(), None) == ([[], []], [])


def test_a_question_that_raises_says_so():
  worker = Worker()

  async def broken():
    await together([chain(worker, 'x', 1)])
    raise ValueError('broken')

  Task(broken(), lambda result: None)
  try:
    worker.waiting.pop().done(None)
  except ValueError as error:
    assert str(error) == 'broken'
  else:
    raise AssertionError('it was lost')
