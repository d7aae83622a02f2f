"""Trains the process and the outcome reward model on the labels.

  python -m launch.train_verifier --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  reproduce.run_launcher(config, workdir, 'train_verifier')


if __name__ == '__main__':
  experiment.launch(main)
