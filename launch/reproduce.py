"""Runs an experiment from nothing to its report; started again, goes on where it stopped.

  python -m launch.reproduce --config=configs/quickstart.py --workdir=/tmp/tts-quickstart
"""

from configs.claims import CLAIMS, REVISION_CLAIMS
from launch import experiment
from tts.stages import reproduce

if __name__ == '__main__':
  experiment.launch(lambda config, workdir: reproduce.reproduce(
      config, workdir, CLAIMS, REVISION_CLAIMS))
