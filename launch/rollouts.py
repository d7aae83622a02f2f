"""Labels the steps of sampled solutions by Monte-Carlo rollouts.

  python -m launch.rollouts --config=configs/quickstart.py --workdir=W
"""

from launch import experiment
from tts.stages import reproduce


def main(config, workdir):
  reproduce.run_launcher(config, workdir, 'rollouts')


if __name__ == '__main__':
  experiment.launch(main)
