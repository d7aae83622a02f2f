"""Attention of one long row, whole and in blocks: seconds on this CPU, or a TPU compiler's word.

  python -m benchmarks.attention
  python -m benchmarks.attention --topology=v5e:1x1 --lengths=1024,4096

Twelve heads of 128 over two of keys, as Qwen 2.5 1.5B has them; a row is packed with texts of 500
tokens. Without a topology float32 is timed here. With one nothing is run: bfloat16 is compiled for
its first chip (`pip install tts[tpu]`), beside what JAX brings: `jax.nn.dot_product_attention` and
the Pallas kernels `flash` (which has no groups of heads, window or cap) and `splash`.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import time
from typing import Any
from unittest import mock

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from launch import common, experiment
from tts import parallel
from tts.estimates import compiler_facts
from tts.models import attention, blockwise

_LENGTHS = flags.DEFINE_list('lengths', ['256', '512', '1024', '2048'], 'Tokens of the row.')
_BLOCKS = flags.DEFINE_list('blocks', ['128', '256', '512'], 'Queries of a block.')
_KINDS = flags.DEFINE_list('kinds', ['blocks', 'xla', 'flash', 'splash'], 'Beside the whole one.')
_REPEATS = flags.DEFINE_integer('repeats', 5, 'Of which the fastest is taken.')

_KV_HEADS, _GROUP, _HEAD, _TEXT = 2, 6, 128, 500

Attend = Callable[..., jax.Array]


def blocks(size: int) -> Attend:
  """`attend_self` in blocks of that size; 0 for whole."""
  def attend(q, k, v, segments):
    with mock.patch.multiple(blockwise, BLOCK=size or 1 << 40, WHOLE=0 if size else 1 << 60):
      return attention.attend_self(q, k, v, segments, segments)
  return attend


def xla(q, k, v, segments):
  """JAX's own."""
  flat = q.reshape(*q.shape[:2], -1, _HEAD)
  same = segments[:, None, :, None] == segments[:, None, None, :]
  return jax.nn.dot_product_attention(flat, k, v, mask=same, scale=1.0, is_causal=True)


def flash(q, k, v, segments):
  """Pallas; each key's head is repeated for its group."""
  from jax.experimental.pallas.ops.tpu import flash_attention as lib
  heads = lambda x: jnp.repeat(jnp.swapaxes(x, 1, 2), _GROUP, axis=1)
  flat = jnp.swapaxes(q.reshape(*q.shape[:2], -1, _HEAD), 1, 2)
  return lib.flash_attention(flat, heads(k), heads(v), causal=True,
                             segment_ids=lib.SegmentIds(segments, segments))


def splash(q, k, v, segments):
  """Pallas, with groups."""
  from jax.experimental.pallas.ops.tpu import splash_attention as lib
  length, heads = q.shape[1], _KV_HEADS * _GROUP
  mask = lib.MultiHeadMask([lib.CausalMask((length, length)) for _ in range(heads)])
  kernel = lib.make_splash_mha(mask, head_shards=1, q_seq_shards=1)
  flat = jnp.swapaxes(q.reshape(*q.shape[:2], heads, _HEAD), 1, 2)
  swapped = (jnp.swapaxes(x, 1, 2) for x in (k, v))
  ids = lib.SegmentIds(segments, segments)
  return jax.vmap(lambda q, k, v, ids: kernel(q, k, v, segment_ids=ids))(flat, *swapped, ids)


def functions(attend: Attend) -> dict[str, Callable]:
  """What is measured of it."""
  loss = lambda *given: jnp.sum(jnp.square(attend(*given).astype(jnp.float32)))
  return {'forward': attend, 'with gradient': jax.grad(loss, argnums=(0, 1, 2))}


def shapes(length: int, dtype: Any, sharding: Any = None) -> tuple[jax.ShapeDtypeStruct, ...]:
  shape = functools.partial(jax.ShapeDtypeStruct, sharding=sharding)
  keys = shape((1, length, _KV_HEADS, _HEAD), dtype)
  return (shape((1, length, _KV_HEADS, _GROUP, _HEAD), dtype), keys, keys,
          shape((1, length), jnp.int32))


def seconds(function: Callable, length: int) -> float:
  rng = np.random.default_rng(0)
  q, k, v, segments = shapes(length, np.float32)
  normal = lambda like: jnp.asarray(rng.normal(size=like.shape) / _HEAD**.25, like.dtype)
  given = normal(q), normal(k), normal(v), jnp.arange(length, dtype=jnp.int32)[None] // _TEXT + 1
  run = jax.jit(function)
  jax.block_until_ready(run(*given))
  found = []
  for _ in range(_REPEATS.value):
    begin = time.perf_counter()
    jax.block_until_ready(run(*given))
    found.append(time.perf_counter() - begin)
  return min(found)


def timed() -> None:
  sizes = [int(size) for size in _BLOCKS.value]
  print('| T | | whole ms | ' + ' | '.join(f'blocks of {size}' for size in sizes) + ' |\n|---|---|'
        + '---|' * (1 + len(sizes)))
  for length in map(int, _LENGTHS.value):
    made = [functions(blocks(size if size < length else 0)) for size in (0, *sizes)]
    for name in made[0]:
      print(f'| {length} | {name} | '
            + ' | '.join(f'{1e3 * seconds(m[name], length):.1f}' for m in made) + ' |', flush=True)


def compiled_for(topology: str) -> None:
  mesh = parallel.make_mesh(1, 1, parallel.topology(topology))
  sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  kinds = {'whole': blocks(0)}
  if 'blocks' in _KINDS.value:
    kinds |= {f'blocks of {size}': blocks(int(size)) for size in _BLOCKS.value}
  kinds |= {f.__name__: f for f in (xla, flash, splash) if f.__name__ in _KINDS.value}
  print(f'{topology}, per row; a loop\'s body counts once\n\n| T | | | temporary MB | code MB | '
        'GFLOP | GB | loops | s |\n|---|---|---|---|---|---|---|---|---|')
  for length in map(int, _LENGTHS.value):
    for kind, attend in kinds.items():
      for name, function in functions(attend).items():
        begin = time.perf_counter()
        lowered = jax.jit(function).lower(*shapes(length, jnp.bfloat16, sharding))
        try:
          facts = compiler_facts.facts(lowered, mesh)
        except jax.errors.JaxRuntimeError as error:
          print(f'| {length} | {name} | {kind} | {str(error).splitlines()[0][:80]} |', flush=True)
          continue
        print(f'| {length} | {name} | {kind} | {facts.temporaries / 1e6:,.1f} | '
              f'{facts.code / 1e6:.1f} | {facts.flops / 1e9:,.2f} | {facts.bytes / 1e9:.3f} | '
              f'{facts.loops} | {time.perf_counter() - begin:.0f} |', flush=True)


def main(_):
  if experiment.TOPOLOGY.value:
    common.compile_only()
    compiled_for(experiment.TOPOLOGY.value)
  else:
    timed()


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
