"""Every search method at the same budgets, on `dev` of one task family a run.

  python -m launch.reproduce --config=configs/methods.py --workdir=/tmp/tts-methods-arith
  python -m launch.reproduce --config=configs/methods.py --config.data.family=plan \
    --workdir=/tmp/tts-methods-plan

Models as in configs/arithmetic.py, trained once for it. What to expect: results/methods/.
"""

from tts import config, presets


def get_config():
  found = presets.module('arithmetic').get_config()
  found.name, found.verifier, found.seeds = 'methods', 'prm', (0,)
  found.revision.enabled = False
  for name in ('mid', 'orm', 'latent', 'logprob', 'prm_plain'):
    found.models[name].enabled = False
  found.search.update(config.to_config_dict(config.Experiment(search=config.SearchConfig(
      split='dev', questions=500, pool=64, large_samples=1,
      methods=('beam', 'lookahead(beam_width=4, lookahead=1)', 'dvts', 'rebase', 'particle_filter',
               'particle_filter_entropic'),
      budgets=(4, 16, 64), beam_widths=(4,), lookahead_budgets=(4, 16, 64),
      lookahead_questions=500))).search)
  found.difficulty.samples = 16
  return found
