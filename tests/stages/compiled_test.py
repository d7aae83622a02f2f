"""What is read off compiled HLO: which devices talk, in how many loops, about how much."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from tts import parallel
from tts.stages import compiled
from tts.stages.compiled import Collective

TEXT = '''HloModule jit_mapped, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%inner_cond (c: (s32[])) -> pred[] {
  ROOT %less = pred[] compare(%x, %y), direction=LT
}

%inner (c: (s32[])) -> (s32[]) {
  %ar = (f32[4,2]{1,0:T(8,128)S(1)}, bf16[3]{0}) all-reduce(%p, %q), replica_groups=[4,2]<=[8]
  ROOT %t = (s32[]) tuple(%i)
}

%fused (p: f32[2]) -> f32[2] {
  ROOT %cp = f32[2]{0} collective-permute(%p), source_target_pairs={{0,2},{2,4}}
}

%outer (c: (s32[])) -> (s32[]) {
  %w = (s32[]) while(%c), condition=%inner_cond, body=%inner
  %f = f32[2] fusion(%p), kind=kCustom, calls=%fused
  ROOT %t2 = (s32[]) tuple(%i)
}

ENTRY %main (p: f32[2]) -> f32[8] {
  %w2 = (s32[]) while(%c), condition=%inner_cond, body=%outer
  %s = (f32[2]{0}, f32[8]{0}, u32[]) all-gather-start(%p), replica_groups=[2,4]<=[4,2]T(1,0)
  %d = f32[8]{0} all-gather-done(%s)
  %m = pred[16]{0} all-reduce(%p), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
  ROOT %all = f32[] all-reduce(%p), replica_groups={}, to_apply=%add
}
'''


def test_collectives_by_axis_and_loop():
  """A device is 2 d + m: d over `data`, m over `model`."""
  found = compiled.collectives(TEXT, parallel.make_mesh(4, 2))
  assert set(found) == {
      Collective('all-reduce', 'model', depth=2, count=1, bytes=4 * 2 * 4 + 3 * 2),
      Collective('collective-permute', 'data', depth=1, count=1, bytes=8),
      Collective('all-gather', 'data', depth=0, count=1, bytes=32),
      Collective('all-reduce', 'data+model', depth=0, count=2, bytes=16 + 4)}


def test_groups_of_one_device_are_of_no_axis():
  line = '  %x = f32[1] all-reduce(%p), replica_groups=[8,1]<=[8], to_apply=%add\n}'
  found, = compiled.collectives(f'ENTRY %main (p: f32[2]) -> f32[8] {{\n{line}',
                                parallel.make_mesh(4, 2))
  assert found.axis == 'none'


def test_facts_of_a_program():
  """FLOPs of a product, its arguments and results, on the CPU's own compiler."""
  mesh = parallel.make_mesh(8)
  program = parallel.pmapped(lambda w, x: x @ w, mesh).lower(
      np.ones((32, 16), np.float32), np.ones((8, 64, 32), np.float32))
  facts = compiled.facts(program, mesh)
  assert facts.arguments == 32 * 16 * 4 + 64 * 32 * 4 and facts.outputs == 64 * 16 * 4
  assert facts.flops == pytest.approx(2 * 64 * 32 * 16, rel=0.01)
  assert facts.collectives == () and facts.loops == 0
  chip = compiled.Chip(flops=facts.flops / 2, bandwidth=facts.bytes, memory=1)
  assert facts.seconds(chip) == 2 and facts.memory >= facts.arguments + facts.outputs


@pytest.mark.parametrize('dumped', [True, False])
def test_what_jaxlib_cannot_read_back_the_compiler_has_written_down(dumped):
  class Unreadable:
    def __init__(self, of):
      self.memory_analysis, self.cost_analysis = of.memory_analysis, of.cost_analysis

    def as_text(self):
      raise jax.errors.JaxRuntimeError('async-update instruction should have 1 operands')

  class Lowered:
    def compile(self, compiler_options):
      return Unreadable(program.compile(compiler_options=compiler_options if dumped else None))

  mesh = parallel.make_mesh(4, 2)
  program = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x + i).sum() + x, x),
                    in_shardings=NamedSharding(mesh, PartitionSpec('model'))
                    ).lower(np.ones(8, np.float32))
  facts = compiled.facts(Lowered(), mesh)
  if dumped:
    assert facts == compiled.facts(program, mesh) and facts.collectives
  else:
    assert facts.collectives is None and facts.loops is None


def test_published_figures():
  """A slip of a digit would make every roofline wrong: chips differ by less than ten times."""
  for field in ('flops', 'bandwidth', 'memory'):
    values = [getattr(chip, field) for chip in compiled.CHIPS.values()]
    assert max(values) < 10 * min(values)
  assert compiled.CHIPS['v5e'] == compiled.Chip(197e12, 819e9, 16 * 10**9)
