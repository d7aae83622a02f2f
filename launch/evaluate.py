"""Evaluates checkpoints: greedy, pass@k, votes, searches and their cost. It trains nothing.

  python -m launch.evaluate --config=configs/quickstart.py --workdir=W \\
    --config.models.base.checkpoint=DIR --config.models.prm.checkpoint=DIR \\
    --config.data.test=F.jsonl

A model without a checkpoint is left out. Without data.test the config's own test split is used,
with the same blocks and keys as in launch.reproduce, so the same rows come out.
"""

from . import experiment
from tts.stages import reproduce

if __name__ == '__main__':
  with experiment.opened(planned=reproduce.evaluated) as (config, workdir):
    given, stages = reproduce.evaluated(config)
    reproduce.run_stages([reproduce.open_run(given, workdir)], stages, reports=True)
