"""Set before JAX is imported: tests run on CPU, as eight devices, without implicit broadcasting."""

import atexit
import gc
import importlib.metadata
import os
import pathlib
import shutil
import tempfile

os.environ['JAX_PLATFORMS'] = 'cpu'
# Half of the tests' time is compiling, of programs that run for milliseconds: a fifth of it is left.
QUICK_TO_COMPILE = '--xla_backend_optimization_level=0'
if importlib.metadata.version('jaxlib').startswith('0.10.'):  # later ones may not know the flags
  QUICK_TO_COMPILE += (' --xla_cpu_use_fusion_emitters=false'
                       ' --xla_cpu_parallel_codegen_split_count=1')  # a quarter less, of small ones
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
gc.set_threshold(50_000, 20, 100)  # as launchers do; by default it takes a twentieth of the time


# Long, and without need of the run that the launchers' tests share.
_MEANWHILE = ('lower_test.py', 'retokenised_test.py', 'evaluate_test.py', 'grading_test.py',
              'same_bytes_test.py', 'property_test.py', 'latent_test.py')


# Marked `fast`: a minute's tests of what is written by hand, with hardly anything to compile.
_FAST = (
    'answers/answers_test.py', 'answers/compare_test.py', 'answers/find_test.py', 'data/',
    'roles_test.py', 'config_bounds_test.py', 'config_test.py', 'imports_test.py', 'results_test.py',
    'machine_test.py', 'searching/beam_test.py', 'searching/tree_test.py', 'sampling/pool_test.py',
    'engine/nodes_test.py', 'engine/shape_test.py', 'runs/workdir_test.py', 'eval/',
    'pages/commands_test.py', 'pages/links_test.py', 'pages/reading_test.py', 'pages/site_test.py')
_NOT = (
    'eval/storage/equal_answers_test.py', 'eval/report/report_test.py', 'eval/coverage_test.py',
    'eval/report/crossed_seeds_test.py', 'eval/report/question_data_test.py',
    'eval/report/partial_results_test.py', 'eval/report/words_page_test.py',
    'eval/storage/parse_cache_test.py', 'eval/measures/ledger_test.py',
    'eval/policy/policy_test.py', 'eval/report/index_page_test.py',
    'eval/report/results_test.py', 'eval/measures/chain_strategies_test.py',
    'eval/exchange/exchange_sides_test.py', 'eval/storage/external_samples_test.py',
    'eval/main_verifier_test.py', 'eval/policy/compute_optimal_test.py',
    'eval/policy/over_bins_test.py', 'eval/policy/over_questions_test.py',
    'eval/measures/early_stopping_test.py', 'eval/policy/crossfit_test.py',
    'data/open_tokenizer_test.py')


def pytest_collection_modifyitems(items):
  """One worker makes the launchers' run; the others have long tests meanwhile, then all launchers'."""
  for item in items:
    place = item.path.relative_to(pathlib.Path(__file__).parent).as_posix()
    if place.startswith(_FAST) and place not in _NOT and not item.get_closest_marker('slow'):
      item.add_marker('fast')
  order = lambda path: (path.name != 'smoke_test.py', path.name not in _MEANWHILE,
                        'launch' not in path.parts)
  items.sort(key=lambda item: order(item.path))
  gc.freeze()  # what is imported stays: a collection, as after each checkpoint, need not look at it
