"""Which answer is chosen among the candidates of one try."""

import numpy as np

NONE = -1  # of a candidate without an answer


def groups(values, size):
  """[Q, N] --> [Q * (N // size), size], each row a try of `size` neighbouring slots."""
  tries = values.shape[1] // size
  return values[:, :tries * size].reshape(-1, size)


def merged(answer, equal, size):
  """Tries of answers; in each, forms that the grader takes for one have one number.

  A form joins the earliest answer of the try that it equals and that has joined no other.

  Args:
    answer: int [Q, N].
    equal: int [E, 3], question and two numbers.
    size: of a try.
  """
  tries = answer.shape[1] // size
  out = groups(answer, size).copy()
  for q in np.unique(equal[:, 0]):
    pairs = {frozenset(pair) for pair in equal[equal[:, 0] == q, 1:].tolist()}
    for row in out[q * tries:(q + 1) * tries]:
      leaders, joined = [], {}
      for form in dict.fromkeys(row.tolist()):
        of = next((lead for lead in leaders if frozenset((lead, form)) in pairs), form)
        joined[form] = of
        if of == form:
          leaders.append(form)
      row[:] = [joined[form] for form in row.tolist()]
  return out


def vote(answer, weight):
  """The slot of the answer with the largest summed weight, int [R]; NONE where nobody votes.

  Of equals the one that stands first. answer int [R, N], weight float [R, N].
  """
  rows, size = answer.shape
  row, slot = np.nonzero(answer != NONE)
  kinds = int(answer.max(initial=0)) + 1
  key = row * kinds + answer[row, slot]
  total = np.bincount(key, weight[row, slot], rows * kinds).reshape(rows, kinds)
  first = np.full(rows * kinds, size)
  np.minimum.at(first, key, slot)
  first = first.reshape(rows, kinds)
  total = np.where(first < size, total, -np.inf)
  leads = (total == total.max(axis=1, keepdims=True)) & (first < size)
  chosen = np.where(leads, first, size).min(axis=1)
  return np.where(chosen < size, chosen, NONE)


def highest(answer, score):
  """The slot of the highest score, the first of equals, int [R]."""
  shown = answer != NONE
  return np.where(shown.any(axis=1), np.where(shown, score, -np.inf).argmax(axis=1), NONE)


def log_weights(answer, logprob):
  """Probabilities of candidates, relative to the likeliest of their try."""
  shown = np.where(answer != NONE, logprob, -np.inf)
  top = shown.max(axis=1, keepdims=True)
  return np.exp(shown - np.where(np.isneginf(top), 0, top))


def hierarchical(answer, score, length):
  """Best-of-N weighted within each chain, then across them; the slot, int [R]."""
  rows, size = answer.shape
  each, own = answer.reshape(-1, length), score.reshape(-1, length)
  first = vote(each, own)
  wins = np.take_along_axis(each, np.maximum(first, 0)[:, None], 1)
  best = highest(np.where(each == wins, each, NONE), own)
  at = np.maximum(best, 0)[:, None]
  stands = np.where(first == NONE, NONE, wins[:, 0]).reshape(rows, -1)
  chain = vote(stands, np.take_along_axis(own, at, 1).reshape(rows, -1))
  slot = np.take_along_axis(at.reshape(rows, -1), np.maximum(chain, 0)[:, None], 1)[:, 0]
  return np.where(chain == NONE, NONE, chain * length + slot)


def accuracy(how, size, *, answer, correct, equal=None, score=None, logprob=None, weight=None,
             chain_length=None):
  """How often each question comes out right with `size` samples, over all tries: float [Q].

  Args:
    how: `majority`, `logprob_weighted`, `best_of_n`, `best_of_n_weighted`, `oracle`,
      `hierarchical` or `newest`.
    size: samples of a try.
    answer, correct, score, logprob, weight: [Q, N].
    equal: as of `merged`, or None.
    chain_length: of `hierarchical`.
  """
  tried = groups(answer, size) if equal is None else merged(answer, equal, size)
  right = groups(correct, size)
  part = lambda x: None if x is None else groups(x, size).astype(float)
  particles = np.ones(tried.shape) if weight is None else part(weight)
  if how == 'oracle':
    found = (right & (tried != NONE)).any(axis=1)
  else:
    if how == 'best_of_n':
      slot = highest(tried, part(score))
    elif how == 'hierarchical':
      slot = hierarchical(tried, part(score), chain_length)
    elif how == 'newest':
      slot = np.where(tried[:, -1] == NONE, NONE, size - 1)
    else:
      slot = vote(tried, particles * (
          1 if how == 'majority' else part(score) if how == 'best_of_n_weighted'
          else log_weights(tried, part(logprob))))
    found = (slot != NONE) & np.take_along_axis(right, np.maximum(slot, 0)[:, None], 1)[:, 0]
  return found.reshape(len(answer), -1).mean(axis=1)
