"""Bounds of config values: what is out of them is named, what a config file has is within."""

import fnmatch
import importlib
import itertools
import math
import re

import pytest

from launch import common
from tests.config_test import NAMES, changed
from tts import config, config_bounds
from tts.types import InputError

FORMS = [(name, ()) for name in NAMES] + [
    ('open', ('few_shot',)), ('pod', ('4',)), ('reference', ('short',)), ('reference', ('tiny',)),
    ('smoke', ('revisions',)), ('words', ('small',)), ('gsm8k', ('small',))]


@pytest.mark.parametrize('name,args', FORMS)
def test_config_files_are_within(name, args):
  made = importlib.import_module(f'configs.{name}').get_config(*args)
  config_bounds.check(config.from_config_dict(made))


@pytest.mark.parametrize('path,value,wanted', [
    ('sampling.temperature', -1.0, '0 or more'), ('sampling.temperature', math.nan, 'finite'),
    ('sampling.temperature', math.inf, 'finite'), ('sampling.top_k', -1, '0 or more'),
    ('sampling.top_p', 0.0, 'above 0 and at most 1'), ('sampling.top_p', 1.5, 'at most 1'),
    ('limits.max_prompt_tokens', 0, '1 or more'), ('limits.max_tokens', -3, '1 or more'),
    ('limits.max_steps', 0, '1 or more'), ('limits.max_step_tokens', 2**31, 'at most 2147483647'),
    ('search.questions', 0, '1 or more'), ('search.pool', 0, '1 or more'),
    ('search.block', 0, '1 or more'), ('search.max_rows', 0, '1 or more'),
    ('search.budgets', (4, 0), 'each is to be 1 or more'), ('search.budgets', (-1,), '1 or more'),
    ('search.beam_widths', (0, 'sqrt'), '1 or more'), ('search.deep_budgets', (0,), '1 or more'),
    ('search.lookahead_budgets', (0,), '1 or more'),
    ('search.lookahead', ((1, 0),), '1 or more'),
    ('search.trees', -1, '0 or more'), ('search.large_samples', -1, '0 or more'),
    ('search.deep_questions', -1, '0 or more'),
    ('search.lookahead_questions', -1, '0 or more'),
    ('labels.questions', 0, '1 or more'), ('labels.samples', 0, '1 or more'),
    ('labels.rollouts', -1, '0 or more'), ('labels.block', 0, '1 or more'),
    ('labels.in_flight', 0, '1 or more'), ('labels.temperature', -0.5, '0 or more'),
    ('revision.temperature', math.inf, 'finite'),
    ('difficulty.samples', 0, '1 or more'), ('difficulty.block', 0, '1 or more'),
    ('mesh.data', 0, '1 or more and at most 4096, or -1'), ('mesh.data', -2, 'or -1'),
    ('mesh.model', 0, '1 or more'), ('mesh.train', -2, '-1 or more'),
    ('mesh.cpu_devices', -1, '0 or more'), ('mesh.cpu_devices', 4097, 'at most 4096'),
    ('tokenizer.vocab_size', 0, '1 or more'), ('seeds', (0, 2**32), 'at most 4294967295'),
    ('lanes', -1, '0 or more'), ('lanes', 4097, 'at most 4096'),
    ('models.base.train.learning_rate', math.inf, 'finite'),
    ('models.prm.train.clip', math.inf, 'finite'),
    ('models.base.train.final_lr_fraction', -0.1, '0 or more'),
    ('models.base.train.seed', -1, '0 or more'),
    ('models.base.arch.num_layers', -1, '0 or more'), ('models.orm.arch.width', 0, '1 or more'),
    ('models.base.arch.num_heads', 0, '1 or more'), ('models.mid.arch.num_kv_heads', 3, 'divide'),
    ('models.base.arch.num_kv_heads', 0, '1 or more'), ('models.base.arch.head_size', 7, 'even'),
    ('models.base.arch.mlp_width', -1, '1 or more'), ('models.base.arch.vocab_size', -1, '0 or'),
    ('models.base.arch.norm_eps', 0.0, 'above 0'), ('models.base.arch.rope_theta', -1.0, 'above 0'),
    ('models.base.arch.final_softcap', 0.0, 'above 0'),
    ('models.base.arch.rope_scaling', (8.0, 1.0), '0, 1 or 4'),
    ('models.base.dtype', 'float16', 'float32 or bfloat16'),
    ('models.base.dtype', 'bfloat16', 'and is missing'),
    ('models.base.arch.windows', (4,), 'each of 2 layers'),
    ('models.revision_orm.arch.surprise_layer', 4, 'at most num_layers, 3'),
    ('models.prm.init', 'bse', 'scratch or one of base, mid'), ('models.prm.init', '', 'scratch'),
])
def test_a_value_out_of_bounds_names_the_field(path, value, wanted):
  with pytest.raises(InputError) as error:
    config.from_config_dict(changed(path, value))
  message = str(error.value)
  assert re.match(rf'config\.{re.escape(path)} is .*: .* is to ', message), message
  assert wanted in message and '\n' not in message


def test_a_shape_of_no_layers_is_that_of_where_it_starts():
  made = changed('models.prm.arch.num_layers', 0)
  made.models.prm.arch.width = 0
  config.from_config_dict(made)
  made.models.prm.init = 'prm'
  with pytest.raises(InputError, match='config.models.prm.init is .prm.: .* leads back'):
    config.from_config_dict(made)


def test_special_values_are_within():
  for path, value in (('mesh.data', -1), ('mesh.train', -1), ('search.trees', 0),
                      ('sampling.temperature', 0), ('seeds', (0, 2**32 - 1))):
    config.from_config_dict(changed(path, value))


def test_bounds_are_of_fields_that_there_are():
  paths = [path.removeprefix('config.') for path, *_ in config.describe(config.Experiment())]
  for pattern in itertools.chain(config_bounds.BOUNDS, config_bounds.SHAPE):
    assert fnmatch.filter(paths, pattern), pattern


@pytest.mark.parametrize('code,expected', [
    ('1 / 0', 'division by zero'), ('assert False', 'AssertionError'),
    ('raise RuntimeError("two\\nlines")', 'two lines')])
def test_whatever_a_config_file_raises_is_one_line_with_its_name(
    monkeypatch, tmp_path, code, expected):
  def fail(argv):
    exec(code)

  (tmp_path / 'my.py').write_text('')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(common.flags, 'FLAGS', fail)
  for flag in (['--config=my.py:short'], ['--config', 'my.py:short']):
    with pytest.raises(InputError, match=f'^cannot read the config my.py:short: .*{expected}$'):
      common._parse(['reproduce', *flag, '--workdir=w'], ())
