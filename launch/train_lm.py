"""Prepares the data and trains the language models.

  python -m launch.train_lm --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  run = reproduce.open_run(config, workdir)
  for stage in ('data', 'base', 'mid', 'large'):
    reproduce.run_stage(run, stage)


if __name__ == '__main__':
  experiment.launch(main)
