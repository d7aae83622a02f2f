"""Trains the process and the outcome reward model on the labels.

  python -m launch.train_verifier --config=configs/quickstart.py --workdir=W
"""

from . import experiment

if __name__ == '__main__':
  with experiment.opened() as (config, workdir):
    from tts.stages import graph, reproduce
    reproduce.run_stages(
        reproduce.open_runs(config, workdir), graph.launched(config, 'train_verifier'))
