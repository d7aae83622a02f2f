"""Trains the process and the outcome reward model on the labels.

  python -m launch.train_verifier --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  run = reproduce.open_run(config, workdir)
  for stage in ('verifiers',):
    reproduce.run_stage(run, stage)


if __name__ == '__main__':
  experiment.launch(main)
