"""Compares the small model's test-time compute with larger models at equal FLOPs (section 7).

  python -m launch.compare --config=configs/quickstart.py --workdir=W

It measures what is not in W yet, with the models that are trained there, and prints the
differences; W/report has every row of them.
"""

from launch import experiment
from tts.eval.figures import exchange_figures
from tts.stages import reproduce


def main(config, workdir):
  if results := reproduce.compare(config, workdir):
    print(exchange_figures.text(results))


if __name__ == '__main__':
  experiment.launch(main)
