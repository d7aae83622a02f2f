"""What an experiment would take, before it is run: memory, FLOPs, seconds, a compiler's word.

The ways in are `dry_run` (`--dry_run`), `compile_all` (`launch.compile`) and `device_programs`, the
list of all programs that an experiment's stages run. Nothing here is needed to run one.
"""
