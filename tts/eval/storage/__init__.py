"""A run's files: records read and written, as arrays. The way in is `runfiles.RunFiles`."""
