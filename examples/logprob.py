"""A verifier without training: how likely the base model found its own solution.

  --config.plugins="('examples.logprob',)" --config.verifier=logprob

A solution so far has the value sigmoid(SLOPE * its tokens' mean log-probability), at temperature 1
and in nats, whoever wrote it. It orders solutions as that mean does; the slope says how much more a
likelier one counts in a weighted vote. It reads what was written with the base model once more, and
is charged for that.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from tts.models import latent
from tts.models.transformer import Decoder
from tts.runs import verifiers

SLOPE = 10.0


@verifiers.register('logprob', of='base')
class MeanLogprob(latent.Verifier):
  """A latent verifier that reads no state: every token counts the same, by its log-probability."""

  def __init__(self, decoder: Decoder, params: Any):
    head = latent.Head((decoder.arch.num_layers,), ('logprob',))
    own = latent.zeros(head, decoder.arch.width) | {'beside': jnp.array([[0.0, SLOPE]])}
    super().__init__(decoder, {**params, latent.NAME: own}, head)
