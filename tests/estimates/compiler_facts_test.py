"""What compilers say of programs."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from tts import parallel
from tts.estimates import compiler_facts

def test_facts_of_a_program():
  """FLOPs of a product, its arguments and results, on the CPU's own compiler."""
  mesh = parallel.make_mesh(8)
  program = parallel.pmapped(lambda w, x: x @ w, mesh).lower(
      np.ones((32, 16), np.float32), np.ones((8, 64, 32), np.float32))
  facts = compiler_facts.facts(program, mesh)
  assert facts.arguments == 32 * 16 * 4 + 64 * 32 * 4 and facts.outputs == 64 * 16 * 4
  assert facts.flops == pytest.approx(2 * 64 * 32 * 16, rel=0.01)
  assert facts.collectives == () and facts.loops == 0
  assert facts.bytes == facts.arguments + facts.outputs
  chip = compiler_facts.Chip(flops=facts.flops / 2, bandwidth=facts.bytes, memory=1)
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
  facts = compiler_facts.facts(Lowered(), mesh)
  if dumped:
    assert facts == compiler_facts.facts(program, mesh) and facts.collectives
  else:
    assert facts.collectives is None and facts.loops is None


def test_published_figures():
  """A slip of a digit would make every roofline wrong: chips differ by less than ten times."""
  for field in ('flops', 'bandwidth', 'memory'):
    values = [getattr(chip, field) for chip in compiler_facts.CHIPS.values()]
    assert max(values) < 10 * min(values)
  assert compiler_facts.CHIPS['v5e'] == compiler_facts.Chip(197e12, 819e9, 16 * 10**9)
