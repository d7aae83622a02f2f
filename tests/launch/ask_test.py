"""`launch.ask`: a typed question, a model, a tree."""

import re

import pytest


@pytest.mark.slow
def test_a_question_is_answered_with_its_tree(launcher, smoke):
  flags = [f'--model={smoke / "models" / "base"}', '--prompts=plain', '--question=3;+4',
           '--max_tokens=40']
  done = launcher.ok('ask', *flags, '--method=dvts(beam_width=2)', '--budget=4')
  first, *tree, answer, cost = done.stdout.splitlines()
  assert first == '3;+4' and answer.startswith('answer ')
  assert tree and all(re.fullmatch(r' +[01]\.\d{3}  .*  \(\w+\)', line) for line in tree)
  assert re.match(r'\d+ tokens written, 0 read by the verifier, [\d.e+]+ FLOPs; ', cost)
  judged = launcher.ok('ask', *flags, f'--verifier={smoke / "models" / "prm"}')
  assert ', 0 read by' not in judged.stdout
  assert launcher.ok('ask', *flags, '--method=dvts(beam_width=2)', '--budget=4').stdout.split(
      'FLOPs')[0] == done.stdout.split('FLOPs')[0]


@pytest.mark.slow
def test_a_method_of_ones_own_answers(launcher, smoke):
  done = launcher.ok(
      'ask', f'--model={smoke / "models" / "base"}', '--prompts=plain', '--question=3;+4',
      '--max_tokens=40', '--config.plugins=("examples.my_method",)', '--method=diverse(penalty=0.1)')
  assert 'answer ' in done.stdout


@pytest.mark.parametrize('flags,why', [
    ((), '--question is missing'),
    (('--question=1', '--method=bream'), "--method: no search method 'bream'"),
    (('--question=1', '--method=diverse'), "--method: no search method 'diverse'"),
    (('--question=1', '--config.plugins=("examples.my_methd",)'), "'examples.my_methd', which can"),
    (('--question=1', '--config.plugins=(1,)'), 'config.plugins is 1: it takes str'),
    (('--question=1', '--config.plugin=("examples.my_method",)'), 'config.plugin'),
    (('--question=1', '--model=/nowhere'), '/nowhere')])
def test_a_mistake_is_one_line(launcher, flags, why):
  assert why in launcher.error('ask', *flags)
