"""A difficulty estimator of your own: long questions are hard.

  --config.plugins="('examples.my_estimator',)" --config.difficulty.estimator=length

It is beside the others in `compute_optimal`, `efficiency` and their figures; with the second flag
`launch.solve` goes by it. One that draws samples or reads the probe: `tts.eval.policy.estimators`.
"""

from __future__ import annotations

from tts.eval.policy import estimators


@estimators.register('length')
class Length(estimators.OfText):

  def of(self, question: str) -> float:
    return -len(question)
