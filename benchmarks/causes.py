"""Why a claim failed: its contrast again with the suspected cause taken away.

  python -m benchmarks.causes --workdir=W

Reads a run of configs/arithmetic.py. These contrasts were thought of after `test` was seen: they
explain, they claim nothing. On each line the claim's id, what was taken away, left minus right with
its 95% interval, and the number of questions.
"""

from __future__ import annotations

import dataclasses

from absl import flags

from configs.claims import CLAIMS
from launch import common
from tts.eval.claims import claim_sides, claims
from tts.eval.claims.claims import Claim, Side
from tts.eval.exchange import exchange_sides
from tts.eval.measures import outcomes as outcomes_lib
from tts.eval.policy import difficulty
from tts.eval.report import results
from tts.eval.storage import runfiles
from tts.types import InputError

_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of a finished run.')
_BY = {claim.id: claim for claim in CLAIMS}


def _plain(side: Side) -> Side:
  return dataclasses.replace(side, verifier='prm_plain')


def _weaker(name: str) -> Claim:
  """The claim with the paper's verifier, a value head on the base model, on both sides."""
  claim = _BY[name]
  return dataclasses.replace(claim, left=_plain(claim.left), right=_plain(claim.right))


def _uncharged(name: str) -> Claim:
  """The claim with as many candidates on both sides: k = 3 charges 64 for 16."""
  claim = _BY[name]
  return dataclasses.replace(claim, budgets=(16,),
                             left=dataclasses.replace(claim.left, budget=64))


_PERFECT = Side('oracle', verifier=None, aggregation=None, budget=256)
# Claim, what is taken away, the contrast.
CAUSES = (
    *((name, 'the strong verifier: both sides by the plain PRM', _weaker(name)) for name in (
        'beam_ahead_at_small_budgets', 'beam_behind_on_easy_questions',
        'beam_ahead_on_medium_questions', 'weighted_ahead_of_plain')),
    ('hardest_questions_move_little', 'questions that the difficulty pool ever got right',
     dataclasses.replace(_BY['hardest_questions_move_little'], scheme='ever', bins=(0,))),
    *((name, 'the charge for simulations: 16 candidates against 16', _uncharged(name)) for name in (
        'lookahead_behind_best_of_n', 'lookahead_behind_beam')),
    ('small_ahead_on_easy_questions', 'the verifier\'s mistakes: a perfect one picks of 256',
     dataclasses.replace(_BY['small_ahead_on_easy_questions'], left=_PERFECT)),
    ('small_ahead_on_easy_questions',
     'the questions that the large model finds easy: levels 3 to 5',
     dataclasses.replace(_BY['small_ahead_on_easy_questions'], bins=(3, 4, 5))),
)


def main(argv: list[str]) -> None:
  del argv
  if not _WORKDIR.value:
    raise InputError('--workdir is missing: give the folder of a run')
  run = runfiles.load(_WORKDIR.value)
  found = outcomes_lib.every(run)
  schemes = results.schemes_of(run)
  pool = run.difficulty_pool
  schemes['ever'] = dict(zip(pool.ids, (difficulty.oracle_estimate(pool) > 0).astype(int).tolist()))
  look = claim_sides.look(found, results.trials_of(run, found),
                          list(exchange_sides.larger_sides(run)), schemes)
  for name, taken, contrast in CAUSES:
    values = claims.difference(contrast, look)
    if values is None:
      print(f'{name}, without {taken}: not measured')
      continue
    low, high = values.interval() or (float('nan'),) * 2
    print(f'{name}, without {taken}: {values.mean:+.3f} [{low:+.3f}, {high:+.3f}], '
          f'{len(values.values)} questions')


if __name__ == '__main__':
  with common.started() as argv:
    main(argv)
