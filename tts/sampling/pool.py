"""Host side of `sample_queue`: its log, slot by slot, sorted into samples. numpy alone."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sample:
  """One job's outcome. Counts are tokens of the generator."""

  tokens: np.ndarray   # [length] int32, its own tokens, the end-of-sequence included
  logprob: np.ndarray  # [length] float32, natural log at temperature 1
  entered: int
  attended: int


def collect(log) -> list[dict[int, Sample]]:
  """Per problem a dict from job to `Sample`. `log` has the fields of `decode.Log`."""
  job, token, logprob, attended = (
      np.moveaxis(np.asarray(x), 0, -1) for x in (log.job, log.token, log.logprob, log.attended))
  samples = []
  for b in range(job.shape[0]):  # [N, L] each: a job lies in one slot, in order
    flat = job[b].ravel()
    order = np.argsort(flat, kind='stable')
    order = order[flat[order] >= 0]
    names, starts = np.unique(flat[order], return_index=True)
    own = [np.split(x[b].ravel()[order], starts[1:]) for x in (token, logprob, attended)]
    samples.append({
        int(name): Sample(t, p, int(np.count_nonzero(a)), int(a.sum()))
        for name, t, p, a in zip(names, *own)})
  return samples
