"""What every stage stands on: the workdir, blocks of questions, models at work, rows of records.

The way in is `run.Run`, one seed of one experiment in one workdir, and `blocks.Work`, a list of
blocks that is computed and resumed. What a stage does is in `tts.stages`.
"""
