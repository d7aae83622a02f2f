"""Forward passes over whole texts, for what is neither sampled nor searched."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from tts.models import blockwise
from tts.models.arch import Arch
from tts.models.transformer import Decoder


def forward_step(arch: Arch):
  """Program: logits and values of whole texts, for `launch.logprobs`."""

  def step(params, tokens, prompt_len):
    """tokens int32 [B, T], the first prompt_len int32 [B] of them given --> {head: float32}."""
    decoder = Decoder(arch)
    position = jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=jnp.int32), tokens.shape)
    own = position >= prompt_len[:, None]
    hidden, _ = decoder.apply(params, tokens, position, own=own)
    result = {}
    if 'lm' in arch.heads:
      def log_prob(hidden, following):
        log_probs = jax.nn.log_softmax(decoder.apply(params, hidden, method='logits'), axis=-1)
        return jnp.take_along_axis(log_probs, following[..., None], axis=-1)[..., 0]

      following = jnp.pad(tokens[:, 1:], ((0, 0), (0, 1)))
      result['logprobs'] = blockwise.over(
          log_prob, (hidden.lm, following), 1, arch.vocab_size)[:, :-1]
    if 'value' in arch.heads:
      result['values'] = jax.nn.sigmoid(decoder.apply(params, hidden.top, method='values'))
    return result

  return step
