"""Prepares the data and trains the language models.

  python -m launch.train_lm --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  reproduce.run_stages(config, workdir, ('data', 'base', 'mid', 'large'))


if __name__ == '__main__':
  experiment.launch(main)
