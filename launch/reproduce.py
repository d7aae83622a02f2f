"""Runs an experiment from nothing to its report; started again, goes on where it stopped.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart
"""

from . import experiment
from tts import presets

if __name__ == '__main__':
  with experiment.opened() as (config, workdir):
    from tts.stages import graph, reproduce
    claims = presets.module('claims')
    runs = reproduce.begin(config, workdir, claims.CLAIMS, claims.REVISION_CLAIMS)
    reproduce.run_stages(runs, graph.stages(config), reports=True)
