"""Samples, scores and searches the reported questions.

  python -m launch.search --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  run = reproduce.open_run(config, workdir)
  for stage in ('search', 'difficulty'):
    reproduce.run_stage(run, stage)


if __name__ == '__main__':
  experiment.launch(main)
