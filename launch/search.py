"""Samples, scores and searches the reported questions.

  python -m launch.search --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  reproduce.run_launcher(config, workdir, 'search')


if __name__ == '__main__':
  experiment.launch(main)
