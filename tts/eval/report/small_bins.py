"""What a page leaves out: results by bins of difficulty that hold too few questions to say much.

`results.json` has them all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts.eval.report.compared import Row

# Of 10 questions the 95% interval of an accuracy is up to 0.6 wide, and two methods have to differ
# on more than half of them before that is told apart from chance (6 of 6: p = 0.03, 5 of 5: 0.06).
LEAST = 10


def _overall(rows: Sequence[Row] | None) -> Sequence[Row] | None:
  """Those of all questions; None, or nothing, as it is."""
  return rows and [r for r in rows if r['bin'] is None]


def left_out(results: Mapping[str, Any]) -> Mapping[str, Any]:
  """The same results, without rows by bin where no bin has `LEAST` questions.

  `small_bins`, which results do not have, then says so in a sentence.
  """
  sizes = [r['n'] for r in results['curves'] if r['bin'] is not None]
  if not sizes or max(sizes) >= LEAST:
    return results
  without = lambda about: about and {**about, 'auc_by_bin': []}
  verifiers = {name: about if name == 'main' else without(about)
               for name, about in results['verifier'].items()}
  revisions = results['revisions'] and {
      **results['revisions'], 'pass_at_1': _overall(results['revisions']['pass_at_1'])}
  most = max(sizes)
  return {**results, 'verifier': verifiers, 'logprob': without(results['logprob']),
          'revisions': revisions,
          **{name: _overall(results[name]) for name in (
              'curves', 'ablations', 'flops_matched', 'break_even')},
          'small_bins': 'Which questions gain cannot be said: a bin of difficulty holds '
                        f'{most} question{"s" if most > 1 else ""} at most, and of fewer than '
                        f'{LEAST} nothing is told apart, so nothing is shown by bin.'}
