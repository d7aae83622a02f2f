"""The search tree's page: what it says of a small tree, and that it trusts no text."""

import copy

import pytest

from tts.eval.report import tree_page
from tts.types import InputError


def node(id_, parent, round_, text, score, status, tokens=5):
  return {'id': id_, 'parent': parent, 'round': round_, 'slot': id_, 'text': text, 'score': score,
          'tokens': tokens, 'status': status}


TREE = {
    'problem_id': 'q1', 'prompt': 'What is 3 + 4?\n', 'answer': '7', 'strategy': 'beam',
    'theta': {'beam_width': 2, 'lookahead': None}, 'budget': 4, 'winner': '7', 'nodes': [
        node(0, None, 0, '3+4=7', 0.9, 'kept'), node(1, None, 0, '3+4=8', 0.8, 'kept'),
        node(2, None, 0, '3*4=12', 0.1, 'pruned', 6), node(3, None, 0, '<b>&', 0.05, 'pruned', 2),
        node(4, 0, 1, '#### 7', 0.95, 'finished'), node(5, 0, 1, '#### 7.0', 0.5, 'finished'),
        node(6, 1, 1, '#### 8', 0.6, 'finished'), node(7, 1, 1, '8+8+8', 0.3, 'truncated', 9)]}


def test_voters_have_the_answers_that_their_texts_end_in():
  assert [(v.node, v.answer, v.score) for v in tree_page.voters(TREE)] == [
      (4, '7', 0.95), (5, '7.0', 0.5), (6, '8', 0.6)]


def test_tokens_by_status_count_each_step_once():
  assert tree_page.token_counts(TREE) == {'kept': 10, 'finished': 15, 'truncated': 9, 'pruned': 8}


def test_path():
  assert [n['id'] for n in tree_page.path(TREE, 6)] == [1, 6]


def test_the_page_tells_the_search():
  text = tree_page.render(TREE, 'x.json')
  assert '8 steps written in 2 rounds, 2 of them pruned (8 of 42 tokens)' in text
  assert '3 candidates finished, cut off: 1. The vote chose 7: right.' in text
  body = text.split('<div class="scroll"')[1]
  for status, count in (('finished winner', 2), ('finished', 1), ('truncated', 1), ('pruned', 2),
                        ('kept way', 1), ('kept', 1)):
    assert body.count(f'class="node {status}"') == count
  assert body.count('★') == 2 and body.count('●') == 3 and body.count('■') == 1
  assert '<td>7</td><td>2</td><td>1.450</td><td>★ chosen, right</td>' in text


def test_the_page_shows_simulations():
  ahead = copy.deepcopy(TREE)
  ahead.update(strategy='lookahead', theta={'beam_width': 2, 'lookahead': 3}, budget=16)
  ahead['nodes'][0]['simulation'] = {'text': '#### <7>', 'score': 0.875, 'tokens': 4}
  text = tree_page.render(ahead, 'x.json')
  assert 'lookahead search, N = 4, M = 2, k = 3, charged 16 generations: q1' in text
  assert '4 more tokens were simulated, at temperature 0, to choose by: small print under 1' in text
  assert text.count('<small') == 1 and '0.88 #### &lt;7&gt;</small></code>' in text
  assert 'simulated' not in tree_page.render(TREE, 'x.json')
  del ahead['nodes'][0]['simulation']['score']
  with pytest.raises(InputError, match='x.json: not a search tree .*score'):
    tree_page.render(ahead, 'x.json')


def test_a_dead_end_is_not_shown_as_dropped_at_once():
  dead = copy.deepcopy(TREE)
  dead['nodes'] = dead['nodes'][:4] + [node(8, 2, 1, '12', 0.1, 'pruned')]
  body = tree_page.render({**dead, 'winner': None}, 'x.json').split('<div class="scroll"')[1]
  assert body.count('class="node dead"') == 1 and body.count('class="node pruned"') == 2


def test_a_wrong_and_a_missing_winner():
  assert 'chose 8: wrong, the answer is 7' in tree_page.render({**TREE, 'winner': '8'}, 'x')
  assert 'No candidate finished' in tree_page.render({**TREE, 'winner': None}, 'x')
  assert 'no gold answer' in tree_page.render({**TREE, 'answer': None}, 'x')


def test_the_page_groups_as_the_vote_did():
  alike = {**copy.deepcopy(TREE), 'answer': '16/3', 'winner': '7',
           'equal': [['7', '8'], ['8', '16/3']], 'voters': [6, 5, 4, 7]}
  assert [v.node for v in tree_page.voters(alike)] == [6, 5, 4]
  text = tree_page.render(alike, 'x.json')
  # All three joined the group of the 8 in the lowest slot.
  assert '<td>8</td><td>3</td><td>2.050</td><td>★ chosen, right</td>' in text
  assert 'The vote chose 7: wrong, the answer is 16/3' in text
  for broken in ([['7']], [['7', 8]], [7]):
    with pytest.raises(InputError, match='not a search tree'):
      tree_page.render({**alike, 'equal': broken}, 'x.json')


def test_text_is_escaped_everywhere():
  evil = copy.deepcopy(TREE)
  bad = '<script>alert(1)</script>"\'><img src=x>'
  evil.update(problem_id=bad, prompt=bad, winner=bad, answer=bad, strategy=bad)
  for n in evil['nodes']:
    n['text'] = f'{bad}\n#### {bad}'
  text = tree_page.render(evil, 'x.json')
  assert '<script' not in text and '<img' not in text and '&lt;script&gt;' in text


@pytest.mark.parametrize('change', [
    lambda t: t['nodes'][4].update(parent=99), lambda t: t['nodes'][0].update(parent=4),
    lambda t: t['nodes'][4].update(status='odd'), lambda t: t['nodes'][4].pop('score'),
    lambda t: t.pop('winner'), lambda t: t.update(nodes=3), lambda t: t['nodes'][7].update(id=6),
    lambda t: t['nodes'][4].pop('slot'), lambda t: t['nodes'][4].update(score='0.5'),
    lambda t: t.update(prompt=None), lambda t: t.update(budget='<b>4'), lambda t: t.pop('strategy'),
    lambda t: t['theta'].update(beam_width='<b>'), lambda t: t.pop('theta')])
def test_a_file_that_is_no_tree_is_named(change):
  bad = copy.deepcopy(TREE)
  change(bad)
  with pytest.raises(InputError, match='x.json: not a search tree.*delete it'):
    tree_page.render(bad, 'x.json')


def test_an_empty_search_still_has_a_page():
  assert '0 steps written in 0 rounds' in tree_page.render({**TREE, 'nodes': [], 'winner': None}, 'x')


def test_colours():
  assert tree_page.colour(0) == '#f6a35c' and tree_page.colour(0.5) == '#f5f3ee'
  assert tree_page.colour(1) == tree_page.colour(7.0) == '#76b2e2'
