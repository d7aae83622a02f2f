"""Set before JAX is imported: tests run on CPU, as eight devices, without implicit broadcasting."""

import atexit
import importlib.metadata
import os
import shutil
import tempfile

os.environ['JAX_PLATFORMS'] = 'cpu'
# Half of the tests' time is compiling, of programs that run for milliseconds: a fifth of it is left.
QUICK_TO_COMPILE = '--xla_backend_optimization_level=0'
if importlib.metadata.version('jaxlib').startswith('0.10.'):  # later ones do not know the flag
  QUICK_TO_COMPILE += ' --xla_cpu_use_fusion_emitters=false'
os.environ['XLA_FLAGS'] = ' '.join([
    os.environ.get('XLA_FLAGS', ''), '--xla_force_host_platform_device_count=8',
    QUICK_TO_COMPILE]).strip()
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:  # pytest-xdist's workers inherit it
  _CACHE = tempfile.mkdtemp(prefix='tts-tests-')
  atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
  os.environ |= {'JAX_COMPILATION_CACHE_DIR': _CACHE,
                 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}

import jax  # pylint: disable=wrong-import-position

jax.config.update('jax_numpy_rank_promotion', 'raise')


# Long, and without need of the run that the launchers' tests share.
_MEANWHILE = ('lower_test.py', 'retokenised_test.py', 'evaluate_test.py', 'grading_test.py')


def pytest_collection_modifyitems(items):
  """One worker makes the launchers' run; the other has long tests meanwhile, then both launchers'."""
  order = lambda path: (path.name != 'smoke_test.py', path.name not in _MEANWHILE,
                        'launch' not in path.parts)
  items.sort(key=lambda item: order(item.path))
