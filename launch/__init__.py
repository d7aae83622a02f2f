"""Launchers. `configs`, which they read, lies beside this package, wherever they are started."""

import pathlib
import sys

# Last, so that modules of the user's come first.
sys.path.append(str(pathlib.Path(__file__).parents[1]))
