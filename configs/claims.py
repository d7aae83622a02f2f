"""The paper's claims as contrasts, about search and about revisions. Written down before `test` was
opened.

A run keeps the claims that it was started with in `W/claims.json`, and its report says of each
whether it held there (`tts.eval.claims.claims`).
"""

from tts.eval.claims.claims import Claim, Side

_WEIGHTED = Side('best_of_n_weighted')
_BEAM = Side('beam', beam_width=4)
_LOOKAHEAD = Side('lookahead', beam_width='sqrt', lookahead=3)
_NO_VERIFIER = {'verifier': None, 'aggregation': None}
_POLICY = Side('compute_optimal', bins='oracle')
_PREDICTED = Side('compute_optimal', bins='predicted')


_ORM = {'verifier': 'revision_orm'}
_SEQUENTIAL, _PARALLEL = Side('sequential', **_ORM), Side('parallel', **_ORM)
_MAJORITY = {**_NO_VERIFIER, 'selection': 'majority'}
# Answer N of a chain, whatever came before it.
_NEWEST = {**_NO_VERIFIER, 'selection': 'newest'}
_SPLIT = Side('sequential_parallel', chain_length='sqrt', **_ORM)
_REVISIONS = {'mechanism': 'revision', **_ORM}


def _exchange(ratio: float, mechanism: str = 'search') -> dict[str, Side]:
  """The small model with the larger one's FLOPs to spend, and that one's greedy answer."""
  return {'left': Side('compute_optimal', bins='oracle', inference_ratio=ratio,
                       mechanism=mechanism),
          'right': Side('large', verifier=None, aggregation=None, inference_ratio=ratio)}


CLAIMS = (
    Claim('beam_ahead_at_small_budgets',
          'At small budgets beam search beats best-of-N weighted (5.3, Fig. 3 left)',
          _BEAM, _WEIGHTED, 'above', budgets=(4, 16)),
    Claim('beam_behind_on_easy_questions',
          'On easy questions and a large budget beam search falls behind (5.3, Fig. 3 right)',
          _BEAM, _WEIGHTED, 'below', budgets=(64,), bins=(1, 2)),
    Claim('beam_ahead_on_medium_questions',
          'On medium questions beam search stays ahead (5.3, Fig. 3 right)',
          _BEAM, _WEIGHTED, 'above', budgets=(16, 64), bins=(3, 4)),
    Claim('hardest_questions_move_little',
          'On the hardest questions a budget of 64 changes little (5.3)',
          Side('best_of_n_weighted', budget=64), Side('best_of_n_weighted', budget=1), 'level',
          budgets=(64,), bins=(5,)),
    Claim('lookahead_behind_beam',
          'At an equal charge lookahead is behind beam search (5.3)',
          _LOOKAHEAD, Side('beam', beam_width='sqrt'), 'below', budgets=(16, 64)),
    Claim('lookahead_behind_best_of_n',
          'At an equal charge lookahead is behind best-of-N weighted (5.3)',
          _LOOKAHEAD, _WEIGHTED, 'below', budgets=(16, 64)),
    Claim('prm_ahead_of_orm', 'The PRM beats the ORM (appendix F, Fig. 14)',
          _WEIGHTED, Side('best_of_n_weighted', verifier='orm'), 'above', budgets=(16, 64)),
    Claim('prm_lead_grows', 'The PRM\'s lead over the ORM grows with N (appendix F)',
          _WEIGHTED, Side('best_of_n_weighted', verifier='orm'), 'above', budgets=(64,), less=(4,)),
    Claim('last_ahead_of_min', 'The last step\'s score beats the least (appendix E, Fig. 13)',
          _WEIGHTED, Side('best_of_n_weighted', aggregation='min'), 'above', budgets=(64,)),
    Claim('min_ahead_of_prod', 'The least step score beats the product (appendix E, Fig. 13)',
          Side('best_of_n_weighted', aggregation='min'),
          Side('best_of_n_weighted', aggregation='prod'), 'above', budgets=(64,)),
    Claim('weighted_ahead_of_plain', 'The weighted vote beats the single highest score (5.1)',
          _WEIGHTED, Side('best_of_n'), 'above', budgets=(64,)),
    Claim('weighted_ahead_of_majority',
          'The vote weighted by the verifier beats the majority (5.1, Fig. 3 left)',
          _WEIGHTED, Side('majority', **_NO_VERIFIER), 'above', budgets=(16,)),
    Claim('weighted_ahead_of_logprob_vote',
          'The vote weighted by the verifier beats the one weighted by the log-probability',
          _WEIGHTED, Side('logprob_weighted', **_NO_VERIFIER), 'above', budgets=(16,)),
    Claim('policy_ahead_of_best_of_n',
          'Choosing the strategy by predicted difficulty beats best-of-N weighted (5.3, Fig. 4)',
          _PREDICTED, _WEIGHTED, 'above', budgets=(4, 16, 64)),
    Claim('policy_with_a_quarter',
          'Compute-optimal at 16 is level with best-of-N weighted at 64 (5.3, Fig. 4)',
          Side('compute_optimal', bins='oracle', budget=16),
          Side('best_of_n_weighted', budget=64), 'level', budgets=(16,), factor=2),
    Claim('predicted_near_oracle', 'Predicted bins do nearly as well as oracle bins (5.3, Fig. 4)',
          _PREDICTED, _POLICY, 'level', budgets=(16,), factor=2),
    Claim('small_ahead_on_easy_questions',
          'On easy questions and few inferences, test-time compute beats 14x the parameters (7)',
          direction='above', scheme='level', bins=(1, 2), budgets=(), **_exchange(0.16)),
    Claim('small_behind_on_hard_questions',
          'On hard questions and many inferences, the larger model wins (7, Fig. 9)',
          direction='below', scheme='level', bins=(4, 5), budgets=(), **_exchange(22.0)),
)

REVISION_CLAIMS = (
    Claim('chain_rises', 'The fourth answer of a chain is right more often than the first (6.1)',
          Side('sequential', budget=4, **_NEWEST), Side('sequential', budget=1, **_NEWEST),
          'above', budgets=(4,)),
    Claim('chain_rises_beyond',
          'Past the length that it was trained on a chain stays ahead of its first answer (6.1)',
          Side('sequential', **_NEWEST), Side('sequential', budget=1, **_NEWEST), 'above',
          budgets=(8, 16, 32, 64)),
    Claim('choice_ahead_of_newest',
          'A verifier\'s choice over a chain beats its last answer (6.1)',
          _SEQUENTIAL, Side('sequential', **_NEWEST), 'above', budgets=(4, 16, 64)),
    Claim('sequential_ahead_by_verifier',
          'Revising beats sampling again, by the verifier (6.2, Fig. 6 right)',
          _SEQUENTIAL, _PARALLEL, 'above', budgets=(4, 16, 64)),
    Claim('sequential_ahead_by_majority',
          'Revising beats sampling again, by majority (6.2, Fig. 6 right)',
          Side('sequential', **_MAJORITY), Side('parallel', **_MAJORITY), 'above',
          budgets=(4, 16, 64)),
    Claim('history_helps', 'The verifier is better with the history in its context (appendix J)',
          _SEQUENTIAL, Side('sequential', verifier='revision_orm_alone'), 'above',
          budgets=(16, 64)),
    Claim('own_orm_ahead_of_prm',
          'On revisions their own verifier beats the base\'s PRM (appendix J)',
          _SEQUENTIAL, Side('sequential', verifier='prm'), 'above', budgets=(16, 64)),
    Claim('easy_questions_want_depth',
          'On easy questions one chain beats a balanced split (6.2, Fig. 7 right)',
          _SEQUENTIAL, _SPLIT, 'above', budgets=(64,), bins=(1, 2)),
    Claim('hard_questions_want_both',
          'On hard questions a balanced split beats one chain (6.2, Fig. 7 right)',
          _SPLIT, _SEQUENTIAL, 'above', budgets=(64,), bins=(3, 4, 5)),
    Claim('revision_policy_ahead',
          'Choosing the split by predicted difficulty beats parallel best-of-N (6.2, Fig. 8)',
          Side('compute_optimal', bins='predicted', **_REVISIONS), _PARALLEL, 'above',
          budgets=(4, 16, 64)),
    Claim('revision_policy_with_a_quarter',
          'Compute-optimal revisions at 16 are level with parallel best-of-N at 64 (6.2, Fig. 8)',
          Side('compute_optimal', bins='oracle', budget=16, **_REVISIONS),
          Side('parallel', budget=64, **_ORM), 'level', budgets=(16,), factor=2),
    Claim('revisions_ahead_on_easy_questions',
          'On easy questions and few inferences, revisions beat 14x the parameters (7, Fig. 9)',
          direction='above', scheme='level', bins=(1, 2), budgets=(),
          **_exchange(0.16, 'revision')),
    Claim('revisions_behind_on_hard_questions',
          'On hard questions and many inferences, the larger model beats revisions (7, Fig. 9)',
          direction='below', scheme='level', bins=(4, 5), budgets=(),
          **_exchange(22.0, 'revision')),
)
