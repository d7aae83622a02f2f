"""Answers the reported questions in chains of revisions, and by the control, with every verifier.

  python -m launch.revise --config=configs/quickstart.py --workdir=W \\
    --config.revision.enabled=True
"""

from . import experiment
from tts.types import InputError

if __name__ == '__main__':
  with experiment.opened() as (config, workdir):
    from tts.stages import graph, reproduce
    if not config.revision.enabled:
      raise InputError('this config has no revisions: give --config.revision.enabled=True')
    reproduce.run_stages(reproduce.open_runs(config, workdir), graph.launched(config, 'revise'))
