"""Low-rank adapters: a finetuning that learns few numbers, and keeps moments of these alone.

Hu et al. (2021): a projection W becomes W + 2 A B, A [in, r] random and B [r, out] zero at first.
Adapters are a function from parameters to parameters: no model knows of them, and what is published
is merged.
"""

from __future__ import annotations

from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict
import jax.numpy as jnp
import numpy as np

_SCALE = 2.0  # what is added, of A B: the usual alpha of twice the rank


def start(params: Any, given: Any, rank: int, seed: int) -> Any:
  """What is learnt: adapters of the layers' projections, and whole what training began without.

  Embeddings, norms and biases stay as they are.

  Args:
    params: as `init_params` gives them, `given` put in.
    given: what training starts from; parameters that it lacks (a verifier's head) are learnt whole.
    rank: r.
    seed: of A.

  Returns:
    A tree as `params`, with {'a', 'b'} float32 for a projection, without what is not learnt.
  """
  known = flatten_dict(given)
  learnt = {}
  for place, (path, x) in enumerate(sorted(flatten_dict(params).items())):
    if path not in known:
      learnt[path] = jnp.array(x, copy=True)
    elif path[-1] == 'kernel' and path[1].startswith(('attn_', 'mlp_')):
      drawn = np.random.default_rng((seed, place)).normal(size=(x.shape[0], rank))
      learnt[path] = {'a': jnp.asarray(drawn * x.shape[0]**-0.5, jnp.float32),
                      'b': jnp.zeros((rank, x[0].size))}
  return unflatten_dict(learnt)


def merge(params: Any, learnt: Any) -> Any:
  """`params` with what was learnt, in their own dtypes."""
  merged, added = flatten_dict(params), flatten_dict(learnt)
  for path, x in added.items():
    if path[-1] == 'a':
      kernel = merged[path[:-1]]
      more = _SCALE * x @ added[*path[:-1], 'b']
      merged[path[:-1]] = (kernel + more.reshape(kernel.shape)).astype(kernel.dtype)
    elif path[-1] != 'b':
      merged[path] = x
  return unflatten_dict(merged)
