"""Solutions of 16 thousand tokens: written by the engine, in the memory that the formula says."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import smoke
from tests import toy
from tts import config
from tts.budget_forcing_config import BudgetForcingConfig
from tts.engine import shape as shape_lib
from tts.estimates import device_programs
from tts.models.arch import decoder
from tts.roles import Roles, Thinking
from tts.sampling import budget_forcing, decode
from tts.sampling.budget_forcing import Forcing

TOKENS, PROMPT, CAP, WAITS, SAMPLES, QUESTIONS, LANES = 16384, 64, 16000, 2, 2, 2, 4
ARCH = dataclasses.replace(
    decoder(layers=1, width=16, heads=2, kv_heads=1, mlp_width=32), vocab_size=32)
BEGIN, END = 30, 31  # which are never drawn, and so is no end of a solution
ROLES = Roles(ends=(END + 1,), delimiters=(), size=BEGIN, thinking=Thinking(BEGIN, END, True))


def planned() -> int:
  """Bytes that are held between programs, at most, by the formula."""
  e = config.from_config_dict(smoke.get_config())
  models = {name: dataclasses.replace(model, enabled=False) for name, model in e.models.items()}
  models['base'] = dataclasses.replace(e.models['base'], arch=ARCH)
  e = dataclasses.replace(
      e, lanes=LANES, models=config.Models(**models),
      limits=config.LimitsConfig(PROMPT, TOKENS, max_steps=TOKENS, max_step_tokens=TOKENS),
      # No other stage has its programs, so that all are listed under it.
      search=dataclasses.replace(e.search, questions=QUESTIONS),
      budget_forcing=BudgetForcingConfig((CAP,), (WAITS,), samples=SAMPLES, questions=QUESTIONS))
  found = [p.footprint(p.rows, 1) for p in device_programs.listed(e) if p.stage == 'budget_forcing']
  return max(f.total - f.working for f in found)


@pytest.mark.slow
def test_memory_is_what_the_formula_says():
  limits, params = decode.Limits(TOKENS, TOKENS, TOKENS, ROLES), toy.decoder_params(ARCH)
  others = jax.live_arrays()  # of other tests, which may go meanwhile
  known = set(map(id, others)) - set(map(id, jax.tree.leaves(params)))
  held = lambda: sum(x.nbytes for x in jax.live_arrays() if id(x) not in known)
  generator = toy.generator(toy.writes(ARCH), params, limits, shape=shape_lib.of(ARCH, LANES))
  keys = np.asarray(jax.random.key_data(toy.slot_keys(QUESTIONS, SAMPLES)))
  begin = lambda b: lambda group: budget_forcing.samples(
      generator, group, [1, *[5] * (PROMPT - 1)], keys[b], Forcing(CAP, WAITS, (7,)))
  most = 0

  def tick(tokens, share):
    nonlocal most
    del tokens, share
    most = max(most, held())

  found = [s for of in toy.run([begin(b) for b in range(QUESTIONS)], [generator], tick=tick)
           for s in of]
  assert len({s.tokens.tobytes() for s in found}) == len(found) == QUESTIONS * SAMPLES
  for sample in found:
    assert len(sample.tokens) == TOKENS and sample.tokens[CAP - 1] == END
    assert sample.forced.spans == ((CAP - 1, CAP),)
    assert sample.entered == TOKENS - 1
  # The formula has the list of what a program moves, too, which is gone after it.
  assert 0.97 * planned() < most <= planned()
