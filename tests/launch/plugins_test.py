"""What plugins add, without a run: sweeps, marks, mistakes."""

import dataclasses
import sys

import numpy as np
import pytest

from configs import smoke as smoke_config
from tests.searching import allocate_test
from tts import config, methods, plugins
from tts.runs import verifiers
from tts.stages import strategies
from tts.types import InputError

DIVERSE = 'diverse'
PLUGIN = '''
import dataclasses
from tts import methods
@methods.register('{name}')
@dataclasses.dataclass(frozen=True)
class Rule(methods.Beam):
  exponent: float = 1.0
  def priority(self, rows):
    return rows.logprob ** self.exponent
'''


def experiment(*names, family='arith'):
  """The smoke config with some of the examples."""
  value = smoke_config.get_config()
  value.plugins = tuple(f'examples.{name}' for name in names)
  value.data.family = family
  return config.from_config_dict(value)


@pytest.mark.parametrize('seed', range(20))
def test_the_strategy_is_what_it_says(seed):
  rng = np.random.default_rng(seed)
  score = rng.integers(0, 4, 6).astype(np.float32) / 4
  parent = rng.integers(0, 3, 6)
  rows = allocate_test.rows(score, [allocate_test.LIVE] * 6).replace(parent=parent)
  experiment('my_method')
  ahead = [sum(parent[j] == parent[i] and (-score[j], j) < (-score[i], i) for j in range(6))
           for i in range(6)]
  np.testing.assert_allclose(methods.METHODS[DIVERSE](penalty=0.5).priority(rows),
                             score - 0.5 * np.array(ahead), atol=1e-6)


def test_what_is_run_depends_on_the_config_alone():
  names = lambda *plugged: {s.strategy.method for s in strategies.searches(experiment(*plugged))}
  assert names('my_method', 'my_verifier') == {'beam', 'lookahead', DIVERSE}
  assert names() == {'beam', 'lookahead'}  # though it has been imported
  assert verifiers.added(experiment()) == {}
  assert methods.METHODS.mark('beam') == () == verifiers.mark_of('prm')


def test_a_sweep_is_a_strategy_each(module):
  plugins.load([module('sweep', PLUGIN.format(name='power'))])
  value = dataclasses.replace(experiment(), plugins=('sweep',))
  names = lambda *listed: {s.strategy.name for s in strategies.searches(dataclasses.replace(
      value, search=dataclasses.replace(value.search, methods=listed)))}
  assert 'power-m2-exponent1-n4' in names()  # a plugin's method is searched with anyway
  assert names('power(exponent=0.5)', 'power(beam_width=1)') == {
      'power-m1-exponent1-n1', 'power-m1-exponent1-n4', 'power-m1-exponent0.5-n1',
      *(name for name in names('power(exponent=0.5)'))}


@pytest.fixture
def module(tmp_path, monkeypatch):
  """Writes modules of one registered rule."""
  monkeypatch.syspath_prepend(tmp_path)

  def write(module, text):
    (tmp_path / f'{module}.py').write_text(text)
    return module
  yield write
  for path in tmp_path.glob('*.py'):
    sys.modules.pop(path.stem, None)


def test_a_mark_is_of_the_source(module):
  plugins.load([module('marked', PLUGIN.format(name='marked'))])
  before = methods.METHODS.mark('marked')
  module('marked', PLUGIN.format(name='marked').replace('logprob', 'score'))
  after = methods.METHODS.mark('marked')
  assert before[0] == after[0] == 'marked' and before[1] != after[1]


@pytest.mark.parametrize('name,text,message', [
    ('taken_one', PLUGIN.format(name='beam'), "taken_one registers .* 'beam'.* taken: choose"),
    ('odd_name', PLUGIN.format(name='a-b'), "'a-b': give a name of"),
    ('empty_one', 'import numpy\n', 'empty_one.* registers nothing'),
    ('broken_one', '1/0\n', 'broken_one.*cannot be imported: ZeroDivisionError'),
    ('garbled', 'def', 'garbled.*cannot be imported: SyntaxError'),
    ('judge', "from tts.runs import verifiers\n@verifiers.register('base')\nclass A: ...",
     "verifier 'base', which is a model: choose"),
    ('judge2', "from tts.runs import verifiers\n@verifiers.register('a', of='x')\nclass A: ...",
     "'a' of 'x': it reads one of"),
    ('family', "from tts.data import tasks\n@tasks.register('plan', (1,))\ndef f(r, s): ...",
     "family registers .*'plan'.*tts.data.plan has taken"),
])
def test_a_plugin_s_mistake_is_one_line(module, name, text, message):
  value = smoke_config.get_config()
  value.plugins = (module(name, text),)
  with pytest.raises(InputError, match=f'config.plugins.*{message}') as error:
    verifiers.added(config.from_config_dict(value))  # what every launcher asks first
  assert '\n' not in str(error.value)
