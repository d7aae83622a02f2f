"""Every command of README and docs is one that its program would take; nothing is run."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.pages import pages, shell

# What stands between flags.
ARGUMENTS = {'launch.diff': 2}
LANGUAGES = {'bash', 'python', 'json', 'text'}


def test_every_block_says_its_language():
  assert [b.where for b in pages.blocks() if b.language not in LANGUAGES] == []
  assert len(pages.blocks('bash')) > 20 and len(pages.blocks('python')) > 10


def verdicts(asked):
  """Of each (module, arguments) what is no flag, or what was wrong."""
  done = subprocess.run([sys.executable, '-m', 'tests.pages.shell'], input=json.dumps(asked),
                        cwd=pages.ROOT, text=True, capture_output=True,
                        env=os.environ | {'PYTHONPATH': str(pages.ROOT), 'JAX_PLATFORMS': 'cpu'})
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def test_programs_are_known():
  for where, words in shell.every():
    found = shell.module(words)
    if found is not None:
      assert (pages.ROOT / f'{found[0].replace(".", "/")}.py').is_file(), f'{where}: {found[0]}'
    elif words[0] in ('python', 'python3') and words[1].endswith('.py'):
      assert (pages.ROOT / words[1]).is_file(), where
    else:
      assert words[0] in shell.OTHERS or words[:3] == ['python3', '-m', 'venv'], f'{where}: {words}'


def test_every_command_is_taken_by_its_own_flags():
  ours = [(where, *found) for where, words in shell.every() if (found := shell.module(words))
          and found[1] and '--help' not in found[1]]
  assert len(ours) > 30
  wrong = [f'{where}: {name}: {rest}' for (where, name, _), rest in zip(
      ours, verdicts([x[1:] for x in ours])) if isinstance(rest, str) or
      len(rest) != ARGUMENTS.get(name, 0)]
  assert wrong == []


def test_a_wrong_flag_or_field_is_found():
  wrong = ('--config=configs/none.py', '--no_such_flag=1', '--config.search.bugdets=(1, 4)',
           '--config.search.questions=many', '--config.models.base.lanes=4')
  right = '--config.search.budgets=(1, 4)'
  found = verdicts([('launch.search', ['--config=configs/smoke.py', flag])
                    for flag in (*wrong, right)])
  assert all(isinstance(x, str) for x in found[:-1]) and found[-1] == []


def test_what_is_installed_are_extras():
  said = {extra for page in pages.PAGES for listed in
          re.findall(r'pip install -e "\.\[([\w,]+)\]"', page.read_text('utf-8'))
          for extra in listed.split(',')}
  setup = ''.join((pages.ROOT / name).read_text('utf-8') for name in ('setup.py', 'pyproject.toml')
                  if (pages.ROOT / name).exists())
  assert {'open', 'math', 'test'} <= said
  named = lambda extra: re.search(rf'^\W*{extra}\W{{0,2}}\s*[:=]\s*\[', setup, re.MULTILINE)
  assert [extra for extra in said if not named(extra)] == []


@pytest.mark.parametrize('where, flag', [
    (f'{pages.name(p)}:{n}', flag) for p in pages.PAGES if p.name != 'results.md'
    for n, line in enumerate(p.read_text('utf-8').splitlines(), 1)
    for span in re.findall(r'`([^`]+)`', line) for flag in re.findall(r'--config\.[\w.]*\w', span)])
def test_a_field_that_a_sentence_names_is_one(where, flag):
  from tts import config
  known = {name for name, *_ in config.describe(config.Experiment())}
  assert any(f'{flag.removeprefix("--")}' == name or name.startswith(f'{flag.removeprefix("--")}.')
             for name in known), f'{where}: {flag} is no field of the config'
