"""The report's first screen: its sentences and table on results made by hand."""

import pytest

from tts.eval.report import compared, findings, headline, run_tables, small_bins

NOTHING = {'config': None, 'models': {}, 'verifier': {'main': 'prm', 'prm': None}, 'curves': [],
           'contrasts': [], 'reasons': {}, 'pooled': []}


def row(strategy, budget, accuracy, half=0.02, *, n=400, bin_=None, flops=1e6, **more):
  """A row of `curves`; `half` is half of its interval's width, None where there is none."""
  return {'strategy': strategy, 'budget': budget, 'accuracy': accuracy, 'n': n, 'bin': bin_,
          'ci95': None if half is None else [accuracy - half, accuracy + half], 'beam_width': None,
          'lookahead': None, 'theta': {}, 'chains': None, 'chain_length': None,
          'guided': strategy == 'beam', 'flops': flops, 'generated_tokens': 30.0 * budget,
          'verifier_tokens': 0.0, **more}


def results(*curves, **more):
  return {**NOTHING, 'curves': list(curves), **more}


ONE, MANY = row('majority', 1, 0.5), row('majority', 16, 0.6, flops=16e6)
WEIGHTED = row('best_of_n_weighted', 16, 0.70, flops=200e6, verifier_tokens=9.0)
BEAM = row('beam', 16, 0.71, beam_width=4, flops=210e6, verifier_tokens=9.0)


def test_what_is_told_apart_is_a_gain_and_what_is_not_is_called_so():
  much, which, _ = headline.sentences(results(ONE, MANY, WEIGHTED, BEAM))
  assert much == ('With 16 generations a question beam search (M = 4) is right on 0.710 [0.690, '
                  '0.730] of 400 questions, one sample on 0.500 [0.480, 0.520]: a gain of +0.210 '
                  '[0.180, 0.238].')
  assert 'not told apart from best-of-N weighted (+0.010 [-0.019, 0.039]) (n = 400)' in which
  assert 'ahead of majority by +0.110' in which and 'best-of-N weighted by' not in which
  assert which.endswith("it costs 210 times the FLOPs of one sample, its verifier's included.")
  much, *_ = headline.sentences(results(
      row('majority', 1, 0.5, 0.1), row('majority', 4, 0.52, 0.1)))
  assert 'the two are not told apart (+0.020 [' in much and 'n = 400).' in much
  assert 'gain' not in much
  much, *_ = headline.sentences(results(ONE, row('majority', 4, 0.4)))
  assert 'a loss of -0.100' in much


def test_the_runs_own_paired_differences_are_taken_where_it_has_them():
  paired = {'id': 'beam_m_4_minus_weighted_n16_all', 'n': 400, 'difference': 0.01,
            'ci95': [0.004, 0.016]}
  made = results(ONE, MANY, WEIGHTED, BEAM, contrasts=[paired])
  found = compared.difference(made, BEAM, WEIGHTED)
  assert (found.sign, found.paired, found.text()) == (1, True, '+0.010 [0.004, 0.016]')
  turned = compared.difference(made, WEIGHTED, BEAM)
  assert (turned.sign, turned.text()) == (-1, '-0.010 [-0.016, -0.004]')
  assert 'not told apart' not in headline.sentences(made)[1]
  paired['n'] = 100  # of other questions
  assert not compared.difference(made, BEAM, WEIGHTED).paired


def test_without_pairs_the_interval_is_as_wide_as_of_different_questions():
  found = compared.difference(results(), row('a', 2, 0.6, 0.03), row('b', 2, 0.5, 0.04))
  assert found.interval == pytest.approx([0.05, 0.15], abs=0.003) and not found.paired
  few = compared.difference(results(), row('a', 2, 1.0, 0.0, n=3), row('b', 2, 0.0, 0.0, n=3))
  assert few.sign == 0  # three questions whose resamples all agree say nothing
  none = compared.difference(results(), row('a', 2, 1.0, None, n=1), row('b', 2, 0.0, None, n=1))
  assert none.sign == 0 and none.text() == '+1.000'
  assert compared.difference(results(), row('a', 2, 0.6, n=10), row('b', 2, 0.5)) is None


def test_where_says_in_which_bins():
  def bins(strategy, budget, accuracies, **more):
    return [row(strategy, budget, a, 0.05, n=80, bin_=i + 1, **more)
            for i, a in enumerate(accuracies)]
  made = results(ONE, BEAM, *bins('majority', 1, (0.99, 0.6, 0.3, 0.2)),
                 *bins('beam', 16, (0.99, 0.8, 0.8, 0.05), beam_width=4),
                 *bins('beam', 16, (0.1, 0.1, 0.1, 0.1), beam_width=2))
  where = headline.sentences(made)[2]
  assert where == ('By difficulty (bin 1 = easiest of 4), over one sample: the gain is largest '
                   'in bin 3 (+0.500 [0.412, 0.564], n = 80); it is there in bin 2 too; in bin 4 '
                   'it is a loss; in bin 1 the two are not told apart (n = 80).')
  level = results(ONE, BEAM, *bins('majority', 1, (0.9, 0.6)),
                  *bins('beam', 16, (0.91, 0.62), beam_width=4))
  assert headline.sentences(level)[2].endswith(
      'over one sample: in every bin the two are not told apart (n = 80).')
  bare = results(ONE, BEAM, reasons={'curves.bin': 'no difficulty pool yet, so no bins'})
  assert headline.sentences(bare)[2] == (
      'Which questions gain is not known: no difficulty pool yet, so no bins.')


def test_missing_parts_do_not_make_sentences_wrong():
  empty = headline.sentences(results())
  assert len(empty) == 3 and all('not known' in line for line in empty)
  assert headline.table(results()) == headline.note(results()) == ''
  single = headline.sentences(results(ONE))
  assert 'single samples alone. One sample is right on 0.500' in single[0]
  assert 'more than one generation' in single[1] and headline.table(results(ONE)) == ''
  greedy = headline.sentences(results(row('greedy', 1, 0.4)))
  assert 'The greedy answer is right on 0.400' in greedy[0]
  only = headline.sentences(results(ONE, {**MANY, 'flops': None}))
  assert only[1] == ('No other method was run at that budget; majority costs 16 times the written '
                     'tokens of one sample.')
  bare = {**MANY, 'flops': None, 'generated_tokens': None}
  assert 'tokens and FLOPs not counted' in headline.sentences(results(ONE, bare))[1]


def test_methods_are_compared_where_most_of_them_ran_on_all_questions():
  curves = [ONE, MANY, WEIGHTED, BEAM, row('majority', 64, 0.65), row('oracle', 64, 0.99),
            row('beam', 256, 0.9, beam_width=4, n=50), row('best_of_n_weighted', 256, 0.9, n=50)]
  found = headline.compared(results(*curves))
  assert found.budget == 16 and found.best is BEAM
  assert [r['strategy'] for r in found.methods] == ['beam', 'best_of_n_weighted', 'majority']
  both = headline.compared(results(*curves, row('best_of_n_weighted', 64, 0.8),
                                   row('beam', 64, 0.9, beam_width=4)))
  assert both.budget == 64  # of equal ones the larger


def test_the_table_has_at_most_ten_rows_and_always_the_majority():
  curves = [ONE, MANY, *(row(f'method{i}', 16, 0.9 - i / 100) for i in range(20))]
  model = {'greedy': 0.55, 'greedy_ci95': [0.5, 0.6], 'greedy_n': 400}
  made = results(*curves, models=dict.fromkeys(('base', 'mid', 'large', 'b', 'c', 'd'), model)
                 | {'none': None})
  text = headline.table(made)
  body = text.split('<tbody>')[1]
  assert body.count('<tr>') == headline.MOST_ROWS == 10
  assert '<td>majority</td>' in body and '<td>one sample</td>' in body and 'greedy, base' in body
  assert '<td>method0</td><td>0.900 [0.880, 0.920]</td>' in body
  assert body.count('>highest at N = 16<') == 1 and 'not told apart (-0.010)' in body
  assert 'Not shown here: 16 of the methods.' in headline.note(made)
  few = headline.table(results(ONE, MANY, models={'base': {**model, 'greedy_n': 30}}))
  assert few.count('other questions') == 2


def test_the_table_goes_by_accuracy_and_puts_the_cheaper_of_equal_ones_first():
  model = {'greedy': 0.71, 'greedy_ci95': [0.67, 0.75], 'greedy_n': 400}
  made = results(ONE, MANY, WEIGHTED, BEAM, models={'base': model})
  _, body = headline.table(made).split('<tbody>')
  names = [line.partition('</td>')[0] for line in body.split('<tr><td>')[1:]]
  assert names == ['greedy, base model', 'beam search (M = 4)', 'best-of-N weighted', 'majority',
                   'one sample']


@pytest.mark.parametrize('n, told', [(9, True), (10, False)])
def test_bins_of_few_questions_are_a_sentence(n, told):
  def bins(strategy, budget, accuracy, **more):
    return [row(strategy, budget, accuracy, 0.05, n=n - (b == 5), bin_=b, **more)
            for b in range(1, 6)]
  made = results(
      ONE, BEAM, *bins('majority', 1, 0.4), *bins('beam', 16, 0.6, beam_width=4), ablations=[],
      flops_matched=[{'bin': None}, {'bin': 2}], break_even=[], revisions=None,
      logprob={'auc_by_bin': [[1, 0.5, None, 9]]})
  shown = small_bins.left_out(made)
  where = headline.sentences(shown)[2]
  assert (shown is made) != told and ('small_bins' in shown) == told
  if told:
    assert where == ('Which questions gain cannot be said: a bin of difficulty holds 9 questions '
                     'at most, and of fewer than 10 nothing is told apart, so nothing is shown '
                     'by bin.')
    assert [r['bin'] for r in shown['curves']] == [None, None]
    assert shown['flops_matched'] == [{'bin': None}] and shown['logprob']['auc_by_bin'] == []
    assert len(made['curves']) == 12  # the results keep theirs
  else:
    assert where.startswith('By difficulty (bin 1 = easiest of 5)')


@pytest.mark.parametrize('gain, beside', [(0.0, None), (1e-5, None), (-0.05, 'summed')])
def test_the_log_probability_is_not_compared_with_itself(gain, beside):
  about = {'auc_within': 0.6, 'auc_within_ci95': [0.5, 0.7], 'auc_within_n': 30,
           'auc_gain_within': gain, 'auc_gain_within_ci95': [gain, gain],
           'auc_logprob_within': 0.65, 'prefix_auc_within': None, 'auc_pooled': None,
           'gap_closed': None, 'gap_closed_ci95': None, 'auc_question_only': None}
  made = results(ONE, MANY, WEIGHTED, config={'verifier': 'logprob'},
                 verifier={'main': 'logprob', 'logprob': about})
  said, table = findings.verifier(made), run_tables.key_numbers(made)
  assert 'the mean log-probability\'s AUC is 0.600' in said
  assert ('beside' in said) == ('gain over' in table) == (beside is not None)
  if beside:
    assert 'beside the model\'s own summed log-probability: behind, -0.050' in said
    assert 'summed log-probability: AUC within' in table
  assert 'is the mean log-probability a token, and the log-probability vote goes by the sum' in (
      headline.note(made))


def test_the_cheapest_answer_is_not_set_beside_itself():
  greedy = row('greedy', 1, 0.6, flops=1e6)
  assert findings.cost(results(greedy, {**MANY, 'accuracy': 0.5})).endswith(
      'is greedy at N = 1 for 1e+06 FLOPs a question, which is the cheapest answer too.')
  assert 'the cheapest answer, greedy at N = 1' in findings.cost(results(
      greedy, {**MANY, 'accuracy': 0.7}))


def test_a_run_without_a_plan_is_not_told_to_have_kept_it():
  stage = {'stage': 'search', 'wall_seconds': 5.0, 'budget_seconds': None}
  said = lambda *stages: findings.spent({'ledger': {}, 'stages': stages})
  assert said(stage).endswith('the run took 5 s.')
  assert said({**stage, 'budget_seconds': 9}).endswith('no stage over its plan.')
  assert said(stage, {**stage, 'budget_seconds': 2}).endswith('longer than planned in search.')


def finding(value, interval):
  policy = {'mechanism': 'search', 'bins': 'oracle', 'estimator': 'pool', 'budget': 16, 'n': 400,
            'best_fixed_difference': value, 'best_fixed_difference_ci95': interval}
  return findings.policy({'compute_optimal': [policy]})


def test_findings_say_ahead_behind_or_not_told_apart():
  assert finding(0.05, [0.01, 0.09]).endswith('ahead, +0.050 [0.010, 0.090].')
  assert finding(-0.05, [-0.09, -0.01]).endswith('behind, -0.050 [-0.090, -0.010].')
  assert finding(0.05, [-0.01, 0.11]).endswith(
      'not told apart (+0.050 [-0.010, 0.110], n = 400).')
  assert findings.policy({'compute_optimal': []}).startswith('No policy')


def test_a_loss_that_spent_less_than_it_may_is_no_verdict():
  lost = {'mechanism': 'search', 'accounting': 'paper', 'larger_strategy': 'greedy', 'bin': None,
          'larger': 'large', 'bins': 'oracle', 'R': 0.16, 'm': 14.0, 'difference': -0.1,
          'ci95': [-0.15, -0.05], 'n': 400, 'underspent': True}
  said = findings.exchange({'flops_matched': [lost, {**lost, 'R': 22.0, 'underspent': False}]})
  assert 'undecided, less than half was spent (-0.100 [-0.150, -0.050]) at R = 0.16' in said
  assert 'behind, -0.100 [-0.150, -0.050] at R = 22' in said
