"""Set before JAX is imported: tests run on CPU, as eight devices, with implicit broadcasting off."""

import os

import pytest

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = (
    os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8').strip()

import jax  # pylint: disable=wrong-import-position

jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.hookimpl(tryfirst=True)  # before the plug-in looks for groups
def pytest_collection_modifyitems(items):
  """A file's tests, and all of the launchers', run in one process: they share what they set up.

  The launchers' take longest, so they come first.
  """
  launch = lambda item: 'launch' in item.path.parts
  items.sort(key=lambda item: not launch(item))
  for item in items:
    item.add_marker(pytest.mark.xdist_group('launch' if launch(item) else item.path.stem))
