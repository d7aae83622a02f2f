"""Who may import whom and say what, read off the syntax tree; and how long a file may be."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ('tts', 'launch', 'configs')
JAX = ('jax', 'jaxlib', 'flax', 'optax', 'orbax')
MAX_LINES = 400

# Folder or file under tts/ --> what it may not import, and what of that it may.
FORBIDDEN = {
    'tts': (('launch', 'configs', 'tests', 'absl.flags', 'ml_collections.config_flags'), ()),
    'tts/sampling': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', 'tts.stages'),
                     ('tts.models.cache',)),
    'tts/search': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', 'tts.stages'),
                   ('tts.models.cache',)),
    'tts/revision': (('tts.models', 'tts.data', 'tts.eval', 'tts.train', 'tts.stages'),
                     ('tts.models.cache',)),
    'tts/models': (('tts.data', 'tts.eval', 'tts.search', 'tts.sampling', 'tts.train',
                    'tts.stages'), ()),
    'tts/data': ((*JAX, 'tts.eval', 'tts.models', 'tts.stages'), ()),
    'tts/eval': ((*JAX, 'tts.models', 'tts.search', 'tts.sampling', 'tts.train', 'tts.stages'), ()),
    'tts/types.py': ((*JAX, 'tts'), ()),
    'configs': ((*JAX, 'launch'), ()),
}

# What of `jax.random` only `rng` says, and of JAX's devices only `parallel`; the files apart.
ONLY_RNG = ('split', 'fold_in')
RNG_FILES = ('tts/rng.py', 'tts/train/steps.py')  # parameter init and dropout
PARALLEL_FILES = {'tts/parallel.py': None}
ONLY_PARALLEL = ('Mesh', 'shard_map', 'pmap', 'NamedSharding', 'PartitionSpec', 'device_count',
                 'local_device_count', 'devices', 'local_devices', 'psum', 'axis_index')


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
      # `from tts.models import cache` reads as tts.models.cache: allowed as a whole.
      faults += [n for n in imports(tree, package) if within(n, banned) and not within(n, allowed)]
  return faults


def random_faults(tree):
  """Uses of `jax.random.split` and `fold_in`, under any name that they were imported by."""
  aliases = {'jax.random'}
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      aliases |= {a.asname for a in node.names if a.name == 'jax.random' and a.asname}
    if isinstance(node, ast.ImportFrom) and node.module == 'jax':
      aliases |= {a.asname or a.name for a in node.names if a.name == 'random'}
    if isinstance(node, ast.ImportFrom) and node.module == 'jax.random':
      yield from (a.name for a in node.names if a.name in ONLY_RNG)
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and node.attr in ONLY_RNG:
      if ast.unparse(node.value) in aliases:
        yield ast.unparse(node)


def device_faults(tree):
  """Uses of a mesh, of a map over devices, of device counts: anything called so of JAX."""
  modules = {'jax', 'jax.lax', 'jax.sharding', 'jax.experimental', 'lax', 'sharding'}
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom) and within(node.module or '', ('jax',)):
      yield from (a.name for a in node.names if a.name in ONLY_PARALLEL)
    if isinstance(node, ast.Attribute) and node.attr in ONLY_PARALLEL:
      if ast.unparse(node.value) in modules:
        yield ast.unparse(node)


def parse(path):
  return ast.parse(path.read_text(encoding='utf-8'), str(path))


@pytest.mark.parametrize('path', sources(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_file(path):
  place, tree = path.relative_to(ROOT).as_posix(), parse(path)
  package = '.'.join(path.relative_to(ROOT).parts[:-1])
  assert import_faults(tree, place, package) == []
  if place not in RNG_FILES:
    assert list(random_faults(tree)) == []
  allowed = PARALLEL_FILES.get(place, ())
  if place.startswith('tts/') and allowed is not None:
    assert [n for n in device_faults(tree) if n not in allowed] == []


def test_files_are_short():
  lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines())
             for p in sources(*PACKAGES, 'tests', 'benchmarks', 'examples')}
  assert {p: n for p, n in lengths.items() if n > MAX_LINES} == {}
  assert len(lengths) > 50


@pytest.mark.parametrize('place,code', [
    ('tts/sampling/a.py', 'from tts.models import generator'),
    ('tts/search/a.py', 'import tts.models.transformer as t'),
    ('tts/search/a.py', 'def f():\n  from tts.data import problems'),
    ('tts/search/a.py', 'from ..models import generator'),
    ('tts/data/a.py', 'import jax.numpy as jnp'),
    ('tts/eval/a.py', 'from flax import struct'),
    ('tts/stages/a.py', 'from absl import flags'),
    ('tts/stages/a.py', 'import launch.common'),
    ('configs/a.py', 'from launch import common'),
])
def test_a_forbidden_import_would_be_seen(place, code):
  assert import_faults(ast.parse(code), place, place.rsplit('/', 1)[0].replace('/', '.'))


@pytest.mark.parametrize('place,code', [
    ('tts/search/a.py', 'from tts.models import cache\nimport tts.models.cache'),
    ('tts/search/a.py', 'from tts import rng, types'),
    ('tts/eval/a.py', 'import numpy, jaxtyping'),
])
def test_an_allowed_import_is(place, code):
  assert not import_faults(ast.parse(code), place, 'tts.search')


def test_a_forbidden_name_would_be_seen():
  for code in ('jax.random.split(k)', 'from jax import random as r\nr.fold_in(k, 1)',
               'from jax.random import split', 'import jax.random as jr\njr.split(k)'):
    assert list(random_faults(ast.parse(code))), code
  for code in ('jax.pmap(f)', 'from jax.sharding import Mesh', 'jax.device_count()',
               'jax.experimental.shard_map', 'jax.lax.psum(x, "data")'):
    assert list(device_faults(ast.parse(code))), code
  assert not list(random_faults(ast.parse('text.split(); np.split(x, 2); jnp.split(x, 2)')))
  assert not list(device_faults(ast.parse('parallel.make_mesh(); config.mesh.devices')))
