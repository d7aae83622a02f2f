"""A model that computes nothing: its jobs are done one after the other."""

import collections
import types

from tts.engine.coroutines import Job


class Step(Job):
  """Something that takes one program."""

  def __init__(self, worker):
    self.worker = worker


class Worker:
  """Does a job a program."""

  def __init__(self):
    self._jobs = collections.deque()

  @property
  def worth(self):
    return len(self._jobs)

  def submit(self, job):
    self._jobs.append(job)

  def begin(self):
    self._begun = self._jobs.popleft()

  def end(self):
    return 1, [(self._begun, None)]


class Model:
  """Of one group."""

  def __init__(self, in_flight=1):
    self.worker, self.groups = Worker(), 1
    self.workers = [self.worker]
    self.shape = types.SimpleNamespace(in_flight=lambda rows: in_flight)
