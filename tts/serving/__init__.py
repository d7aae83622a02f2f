"""Work beside the study, on models that are there: new questions by a run's policy, scores of texts
from elsewhere, checkpoints in and out.

From Python one uses `tts.library`; this is behind `launch.solve`, `launch.logprobs`,
`launch.import_checkpoint` and `launch.export_checkpoint`.
"""
