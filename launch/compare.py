"""Compares the small model's test-time compute with larger models at equal FLOPs (section 7).

  python -m launch.compare --config=configs/quickstart.py --workdir=W

It measures what is not in W yet, with the models that are trained there, and prints the
differences; W/report has every row of them.
"""

from . import experiment

if __name__ == '__main__':
  with experiment.opened() as (config, workdir):
    from tts.eval.figures import exchange_figures
    from tts.stages import graph, reproduce
    run = reproduce.open_run(config, workdir)
    reproduce.run_stages([run], graph.launched(config, 'search'))
    if results := reproduce.write_report(run):
      print(exchange_figures.text(results))
