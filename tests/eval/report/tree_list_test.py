"""The list of search trees: questions where methods differ stand first, texts are escaped."""

import numpy as np

from tests.eval.measures.contrasts_test import outcome
from tts.eval.report import tree_list


def tree(question, winner, answer='7', strategy='beam'):
  return f'tree-{question}-{strategy}.html', {
      'problem_id': question, 'strategy': strategy, 'answer': answer, 'winner': winner,
      'theta': {'beam_width': 2, 'lookahead': None}, 'budget': 4, 'nodes': []}


def test_questions_where_methods_differ_stand_first():
  trees = [tree('all right', '7'), tree('wrong alike', '8'), tree('wrong otherwise', '8'),
           tree('apart', '7'), tree('vote apart', '7.0'), tree('all right', '7.0', strategy='dvts'),
           tree('wrong alike', '8', strategy='dvts'), tree('wrong otherwise', '9', strategy='dvts'),
           tree('apart', None, strategy='dvts')]
  voted = {'vote apart': {'majority': 0.0}, 'all right': {'majority': 1.0},
           'wrong alike': {'majority': 0.0}}
  found = tree_list.by_question(trees, voted)
  assert [(name, differ) for name, differ, _ in found] == [
      ('apart', 2), ('vote apart', 2), ('all right', 1), ('wrong otherwise', 1), ('wrong alike', 0)]
  assert tree_list.finding(found) == (
      'Of 5 questions whose trees were kept, methods differ in being right on 2; those stand '
      'first.')
  text = ''.join(tree_list.render(found, voted))
  assert text.index('vote apart') < text.index('wrong alike')
  assert text.count('<li>majority: wrong</li>') == 2 and 'chose 7, right' in text
  assert 'no answer' in text and 'tree-apart-dvts.html' in text


def test_without_gold_answers_nothing_is_right_or_wrong():
  trees = [tree('q', '7', None), tree('q', '8', None, 'dvts')]
  found = tree_list.by_question(trees, {'q': {'majority': 0.0}})
  text = ''.join(tree_list.render(found, {'q': {'majority': 0.0}}))
  assert found[0][1] == 1 and 'right' not in text and 'wrong' not in text


def test_votes_are_those_over_the_most_samples_on_the_shown_questions():
  found = [outcome(('a', 'b'), np.array(right), budget=n, main='prm')
           for n, right in ((4, [0.0, 0.0]), (16, [1.0, 0.0]), (8, [0.0, 1.0]))]
  assert tree_list.votes(found, [tree('a', '7')]) == {'a': {'majority': 1.0}}
  assert tree_list.votes(found, []) == {}


def test_a_list_trusts_no_text():
  bad = '<img src=x>&"'
  text = ''.join(tree_list.render(tree_list.by_question([tree(bad, bad, bad)], {}), {}))
  assert '<img' not in text and '&lt;img' in text and 'href="tree-%3Cimg' in text
