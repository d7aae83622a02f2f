"""Runs an experiment from nothing to its report; started again, goes on where it stopped.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart
"""

from configs.claims import CLAIMS, REVISION_CLAIMS
from launch import experiment
from tts.stages import graph, reproduce

if __name__ == '__main__':
  with experiment.opened() as (config, workdir):
    runs = reproduce.begin(config, workdir, CLAIMS, REVISION_CLAIMS)
    reproduce.run_stages(runs, graph.stages(config), reports=True)
