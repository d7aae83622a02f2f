"""One file, one experiment. One that is made of another reads it by `tts.presets.module`."""
