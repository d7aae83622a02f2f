"""Mistakes that need no model to be seen: one line, and nothing is there that was not before."""

import dataclasses
import importlib
import json

import pytest

from tests.config_bounds_test import FORMS
from tests.config_test import changed
from tts import config
from tts.data import problems
from tts.serving import open_checkpoint
from tts.stages import checks, reproduce
from tts.types import InputError


@pytest.mark.parametrize('name,args', FORMS)
def test_config_files_ask_for_what_there_is(name, args):
  e = config.from_config_dict(importlib.import_module(f'configs.{name}').get_config(*args))
  if e.data.family not in ('arith', 'plan', 'words'):  # whose files are not here
    e = dataclasses.replace(e, data=dataclasses.replace(e.data, family='arith'))
    e = dataclasses.replace(e, search=dataclasses.replace(e.search, questions=1),
                            labels=dataclasses.replace(e.labels, questions=1))
  checks.check(e)


@pytest.mark.parametrize('path,value,said', [
    ('search.methods', ('bream',), "config.search.methods: no search method 'bream'"),
    ('search.methods', ('beam(width=2)',), "beam has no parameter 'width'"),
    ('search.methods', ('best_of_n',), 'computed from the pool'),
    ('search.beam_widths', ('cube',), "config.search.beam_widths has 'cube'"),
    ('search.split', 'tset', "arith has no split 'tset': choose of"),
    ('search.split', 'grader', "arith has no split 'grader': choose of"),
    ('search.questions', 10**6, 'set --config.search.questions='),
    ('labels.questions', 10**6, 'set --config.labels.questions='),
    ('verifier', 'prn', "config.verifier is 'prn': one of prm, "),
    ('difficulty.estimator', 'guess', "config.difficulty.estimator is 'guess': one of"),
    ('budget_forcing.thinking_tokens', (8,), 'needs a model that thinks'),
    ('models.base.checkpoint', '/nowhere.gguf',
     'config.models.base.checkpoint: there is no /nowhere.gguf'),
    ('models.prm.checkpoint', '/nowhere', 'config.models.prm.checkpoint: there is no /nowhere')])
def test_a_mistake_is_refused_before_anything_is_there(tmp_path, path, value, said):
  e = config.from_config_dict(changed(path, value))
  with pytest.raises(InputError) as error:
    reproduce.open_run(e, str(tmp_path / 'w'))
  assert said in str(error.value) and '\n' not in str(error.value)
  assert not (tmp_path / 'w').exists()


def test_a_file_with_too_few_questions_is_refused_before_the_import(tmp_path, monkeypatch):
  def imported(*args):
    raise AssertionError('the checkpoint was imported')

  monkeypatch.setattr(open_checkpoint, 'imported', imported)
  made = changed('models.base.checkpoint', str(tmp_path))
  made.data.test = str(tmp_path / 'f.jsonl')
  (tmp_path / 'f.jsonl').write_text(json.dumps({'problem': '1;+1', 'answer': '2'}) + '\n')
  e, _ = reproduce.evaluated(config.from_config_dict(made))
  with pytest.raises(InputError, match='split test has 1 problems, .*search.questions=1 or less'):
    reproduce.open_run(e, str(tmp_path / 'w'))
  assert not (tmp_path / 'w').exists()


def test_revisions_that_learn_ask_for_theirs():
  made = changed('revision.enabled', True)
  made.revision.orm_questions = 10**6
  with pytest.raises(InputError, match='set --config.revision.orm_questions='):
    checks.check(config.from_config_dict(made))


def test_counts_are_of_what_is_loaded(tmp_path):
  data = problems.DataConfig(arith=dataclasses.replace(
      problems.DataConfig().arith, sizes=(('lm', 5), ('test', 3))))
  assert problems.count(data, 'test') == len(problems.load_split(data, 'test', tmp_path)) == 3
