"""The stages of a run, a file each: what `launch.reproduce` does, in its order (`reproduce.py`).

A stage reads what earlier stages wrote, computes its blocks, and writes records or a checkpoint.
How blocks are computed and kept is in `tts.runs`; what a stage would cost is in `tts.estimates`;
sampling, search and training themselves are in `tts.sampling`, `tts.searching` and `tts.train`.
"""
