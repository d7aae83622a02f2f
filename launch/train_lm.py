"""Prepares the data and trains the language models.

  python -m launch.train_lm --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  reproduce.run_launcher(config, workdir, 'train_lm')


if __name__ == '__main__':
  experiment.launch(main)
