"""Set before JAX is imported: tests run on CPU, as eight devices, without implicit broadcasting."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
# Half of the tests' time is compiling, of programs that run for milliseconds.
os.environ['XLA_FLAGS'] = ' '.join([
    os.environ.get('XLA_FLAGS', ''), '--xla_force_host_platform_device_count=8',
    '--xla_backend_optimization_level=0']).strip()

import jax  # pylint: disable=wrong-import-position

jax.config.update('jax_numpy_rank_promotion', 'raise')


def pytest_collection_modifyitems(items):
  """The launchers' tests take longest, so they come first; of them the one that waits for none."""
  items.sort(key=lambda item: ('launch' not in item.path.parts,
                               item.path.name != 'reference_test.py'))
