"""Who may import whom and say what, read off the syntax tree; and how long a file may be."""

import ast
import collections
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ('tts', 'launch', 'configs')
JAX = ('jax', 'jaxlib', 'flax', 'optax', 'orbax')
MAX_LINES = 350
EQUAL_LINES = 6  # so many in a row stand nowhere twice
STUDY = ('tts.stages', 'tts.runs', 'tts.estimates', 'tts.serving')  # what knows workdirs

# Folder or file under tts/ --> what it may not import, and what of that it may.
FORBIDDEN = {
    'tts': (('launch', 'configs', 'tests', 'absl.flags', 'ml_collections.config_flags'), ()),
    # Of models an engine knows the sizes alone; what it runs are functions that it is given.
    'tts/engine': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', 'tts.searching',
                    'tts.revision', 'tts.answers', *STUDY), ('tts.models.arch.Arch',)),
    'tts/remote': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', 'tts.searching',
                    'tts.revision', 'tts.answers', *STUDY), ()),
    'tts/sampling': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', *STUDY), ()),
    'tts/searching': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', *STUDY), ()),
    'tts/revision': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', *STUDY), ()),
    'tts/models': (('tts.data', 'tts.eval', 'tts.engine', 'tts.searching', 'tts.sampling', 'tts.train',
                    *STUDY), ()),
    'tts/answers': ((*JAX, 'tts.data', 'tts.eval', 'tts.models', *STUDY), ()),
    'tts/data': ((*JAX, 'tts.eval', 'tts.models', *STUDY), ()),
    'tts/eval': ((*JAX, 'tts.models', 'tts.searching', 'tts.sampling', 'tts.train', *STUDY), ()),
    'tts/runs': (('tts.stages',), ()),
    'tts/types.py': ((*JAX, 'tts'), ()),
    'configs': ((*JAX, 'launch'), ()),
}

# What of `jax.random` only `rng` says, and of JAX's devices only `parallel`; the files apart.
ONLY_RNG = ('split', 'fold_in')
RNG_FILES = ('tts/rng.py', 'tts/train/steps.py')  # parameter init and dropout
PARALLEL_FILES = ('tts/parallel.py', 'tts/placement.py')
ONLY_PARALLEL = (
    'shard_map', 'pmap', 'make_mesh', 'set_mesh', 'NamedSharding', 'PartitionSpec',
    'device_count', 'local_device_count', 'devices', 'local_devices', 'axis_index', 'axis_size',
    'psum', 'pmean', 'pmax', 'pmin', 'all_gather', 'all_to_all', 'ppermute', 'psum_scatter')
CALLED_ONLY_BY_PARALLEL = ('Mesh',)  # a type elsewhere
AXIS_KEYWORDS = ('axis_name', 'axis_names', 'spmd_axis_name')
DEVICE_FLAG_FILES = ('launch/common.py',)
DEVICE_FLAGS = ('jax_num_cpu_devices', 'xla_force_host_platform_device_count')


def sources(*folders):
  return sorted(p for folder in folders for p in (ROOT / folder).rglob('*.py'))


def imports(tree, package=''):
  """Dotted names that a module imports; `from a import b` is both a and a.b."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      base = node.module or ''
      if node.level:
        above = package.split('.')
        base = '.'.join(filter(None, [*above[:len(above) - node.level + 1], base]))
      yield from (f'{base}.{alias.name}' for alias in node.names)


def within(name, roots):
  return any(name == root or name.startswith(root + '.') for root in roots)


def import_faults(tree, place, package=''):
  """Names that a module at `place`, a path under the root, should not import."""
  faults = []
  for scope, (banned, allowed) in FORBIDDEN.items():
    if place == scope or place.startswith(scope + '/'):
      # `from tts.models.arch import Arch` reads as tts.models.arch.Arch.
      faults += [n for n in imports(tree, package) if within(n, banned) and not within(n, allowed)]
  return faults


def aliases(tree):
  """What the names that imports bind stand for: `from jax import random as r` is r: jax.random."""
  bound = {}
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      bound |= {a.asname: a.name for a in node.names if a.asname}
    elif isinstance(node, ast.ImportFrom):
      bound |= {a.asname or a.name: f'{node.module}.{a.name}' for a in node.names}
  return bound


def full_name(node, bound):
  """Dotted name of a Name or of attributes of one, aliases resolved; else ''."""
  if isinstance(node, ast.Name):
    return bound.get(node.id, node.id)
  if isinstance(node, ast.Attribute):
    base = full_name(node.value, bound)
    return base and f'{base}.{node.attr}'
  return ''


def used_names(tree):
  """Full names of all that a module imports or reads."""
  bound = aliases(tree)
  yield from bound.values()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (a.name for a in node.names)
    yield full_name(node, bound)


def random_faults(tree):
  """Uses of `jax.random.split` and `fold_in`, under any name that they were imported by."""
  return sorted({n for n in used_names(tree) if n in {f'jax.random.{f}' for f in ONLY_RNG}})


def device_faults(tree):
  """Uses of JAX's mesh, maps over devices, counts of them, collectives, and names of mesh axes."""
  of_jax = lambda name, last: within(name, ('jax',)) and name.rpartition('.')[2] in last
  faults = {n for n in used_names(tree) if of_jax(n, ONLY_PARALLEL)}
  bound = aliases(tree)
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      faults |= {n for n in [full_name(node.func, bound)] if of_jax(n, CALLED_ONLY_BY_PARALLEL)}
      faults |= {k.arg for k in node.keywords if k.arg in AXIS_KEYWORDS}
    # Arrays' shapes have numbers in brackets, meshes' have axes.
    if (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str) and ast.unparse(node.value).endswith('.shape')):
      faults.add(ast.unparse(node))
  return sorted(faults)


def flag_faults(tree):
  """Strings that set the number of devices."""
  return [node.value for node in ast.walk(tree)
          if isinstance(node, ast.Constant) and isinstance(node.value, str)
          and any(flag in node.value for flag in DEVICE_FLAGS)]


def check(path, place):
  """All faults of the file at `path`, judged as if it lay at `place` under the root."""
  tree = ast.parse(path.read_text(encoding='utf-8'), str(path))
  faults = import_faults(tree, place, '.'.join(place.split('/')[:-1]))
  if place not in RNG_FILES:
    faults += random_faults(tree)
  if place not in PARALLEL_FILES:
    faults += device_faults(tree)
  if place not in DEVICE_FLAG_FILES:
    faults += flag_faults(tree)
  return faults


def too_long(paths):
  lengths = {p: len(p.read_text(encoding='utf-8').splitlines()) for p in paths}
  return {str(p): n for p, n in lengths.items() if n > MAX_LINES}


@pytest.mark.parametrize('path', sources(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_file(path):
  assert check(path, path.relative_to(ROOT).as_posix()) == []


def test_files_are_short():
  paths = sources(*PACKAGES, 'tests', 'benchmarks', 'examples')
  assert len(paths) > 50
  assert too_long(paths) == {}


def test_a_long_file_would_be_seen(tmp_path):
  path = tmp_path / 'a.py'
  path.write_text('x = 1\n' * MAX_LINES)
  assert too_long([path]) == {}
  path.write_text('x = 1\n' * (MAX_LINES + 1))
  assert too_long([path]) == {str(path): MAX_LINES + 1}


def repeated(paths):
  """Places of runs of equal lines, those of imports and the ends of docstrings before them apart."""
  found = collections.defaultdict(list)
  for path in paths:
    lines = [(i, line.strip()) for i, line in enumerate(path.read_text().splitlines(), 1)
             if line.strip() and not line.strip().startswith('#')]
    for place in range(len(lines) - EQUAL_LINES + 1):
      numbers, texts = zip(*lines[place:place + EQUAL_LINES])
      if not all(text.startswith(('from ', 'import ', '"""')) for text in texts):
        found[texts].append(f'{path}:{numbers[0]}')
  return [places for places in found.values() if len(places) > 1]


def test_nothing_is_written_twice():
  assert repeated(sources('tts')) == []


def test_what_is_written_twice_would_be_seen(tmp_path):
  path = tmp_path / 'a.py'
  path.write_text(''.join(f'x = {i % EQUAL_LINES}\n' for i in range(2 * EQUAL_LINES - 1)))
  assert repeated([path]) == []
  path.write_text(''.join(f'x = {i % EQUAL_LINES}\n' for i in range(2 * EQUAL_LINES)))
  assert repeated([path]) == [[f'{path}:1', f'{path}:{EQUAL_LINES + 1}']]


def test_rules_are_for_places_that_there_are():
  """A renamed file may not take its exception, nor a folder its rule, out of force unseen."""
  places = {*FORBIDDEN, *RNG_FILES, *PARALLEL_FILES, *DEVICE_FLAG_FILES}
  assert [p for p in sorted(places) if not (ROOT / p).exists()] in ([], ['tts/revision'])
  for place, find in ((RNG_FILES, random_faults), (PARALLEL_FILES, device_faults),
                      (DEVICE_FLAG_FILES, flag_faults)):
    for path in place:
      assert find(ast.parse((ROOT / path).read_text(encoding='utf-8'))), path


def test_data_and_eval_work_without_jax():
  """Imported for real: what they import may import it, too."""
  code = (f'import importlib, sys\nfor name in {JAX}: sys.modules[name] = None\n'
          'for name in sys.argv[1:]: importlib.import_module(name)')
  names = ['.'.join(p.relative_to(ROOT).with_suffix('').parts)
           for p in sources('tts/data', 'tts/eval') if p.stem != '__init__']
  assert len(names) > 10
  run = subprocess.run([sys.executable, '-c', code, *names], cwd=ROOT, check=False, text=True,
                       capture_output=True)
  assert run.returncode == 0, run.stderr


@pytest.mark.parametrize('place,code', [
    ('tts/sampling/a.py', 'from tts.models import generator'),
    ('tts/sampling/a.py', 'from tts import eval as e'),
    ('tts/searching/a.py', 'import tts.models.transformer as t'),
    ('tts/searching/a.py', 'def f():\n  from tts.data import problems'),
    ('tts/searching/a.py', 'from ..models import generator'),
    ('tts/searching/a.py', 'from tts.train.steps import TrainState'),
    ('tts/searching/a.py', 'from tts.models import texts'),
    ('tts/engine/a.py', 'from tts.models.arch import Arch, check_split'),
    ('tts/engine/a.py', 'from tts.models import generator'),
    ('tts/engine/a.py', 'import tts.runs.blocks'),
    ('tts/engine/a.py', 'from tts.searching import search'),
    ('tts/models/a.py', 'from tts.engine.nodes import Node'),
    ('tts/remote/a.py', 'from tts.models.arch import Arch'),
    ('tts/searching/a.py', 'import tts.stages.whole_texts'),
    ('tts/data/a.py', 'import jax.numpy as jnp'),
    ('tts/data/deeper/a.py', 'import jax'),
    ('tts/eval/a.py', 'from flax import struct'),
    ('tts/stages/a.py', 'from absl import flags'),
    ('tts/stages/a.py', 'import launch.common'),
    ('tts/a.py', 'import configs.smoke'),
    ('configs/a.py', 'from launch import common'),
    ('tts/stages/a.py', 'import jax\njax.random.split(k)'),
    ('tts/stages/a.py', 'import jax\nf = jax.random.fold_in'),
    ('tts/train/fit.py', 'from jax import random as r\nr.fold_in(k, 1)'),
    ('tts/searching/a.py', 'from jax.random import split'),
    ('launch/a.py', 'import jax.random as jr\njr.split(k)'),
    ('tts/searching/a.py', 'import jax as j\nj.random.split(k)'),
    ('tts/stages/a.py', 'import jax\njax.pmap(f)'),
    ('tts/stages/a.py', 'from jax.sharding import Mesh\nMesh(x, y)'),
    ('tts/stages/a.py', 'from jax import sharding as s\ns.Mesh(x, y)'),
    ('tts/train/a.py', 'from jax.sharding import PartitionSpec as P'),
    ('tts/stages/a.py', 'import jax\nlen(jax.devices())'),
    ('launch/a.py', 'import jax\njax.device_count()'),
    ('tts/stages/a.py', 'from jax.experimental.shard_map import shard_map'),
    ('tts/searching/a.py', 'from jax import lax\nlax.psum(x, "data")'),
    ('tts/searching/a.py', 'import jax\njax.vmap(f, axis_name="data")'),
    ('tts/stages/a.py', 'groups = run.mesh.shape["data"]'),
    ('tts/stages/a.py', 'import jax\njax.config.update("jax_num_cpu_devices", 2)'),
    ('launch/a.py', 'os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"'),
])
def test_a_fault_would_be_seen(tmp_path, place, code):
  path = tmp_path / 'planted.py'
  path.write_text(code)
  assert check(path, place)


@pytest.mark.parametrize('place,code', [
    ('tts/engine/a.py', 'from tts.models.arch import Arch\nfrom tts.sampling import decode'),
    ('tts/searching/a.py', 'from tts.engine.reader import Read\nimport tts.engine.coroutines'),
    ('tts/searching/a.py', 'from tts import rng, types'),
    ('tts/eval/a.py', 'import numpy, jaxtyping'),
    ('tts/rng.py', 'import jax\njax.random.fold_in(k, 1)'),
    ('tts/parallel.py', 'import jax\nlen(jax.devices())'),
    ('tts/train/a.py', 'from jax.sharding import Mesh\ndef f(mesh: Mesh | None): ...'),
    ('tts/stages/a.py', 'import jax.numpy as jnp\ntext.split(); np.split(x, 2); jnp.split(x, 2)'),
    ('tts/stages/a.py', 'parallel.make_mesh(); config.mesh.devices; x.shape[0]; row["data"]'),
    ('launch/common.py', 'import jax\njax.config.update("jax_num_cpu_devices", 2)'),
])
def test_what_is_allowed_is_no_fault(tmp_path, place, code):
  path = tmp_path / 'planted.py'
  path.write_text(code)
  assert check(path, place) == []
