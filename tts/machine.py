"""What this process has of its machine, on Linux and macOS."""

from __future__ import annotations

import os
import platform
import resource


def cores() -> int:
  """Processors that this process may run on; all there are where the system keeps no such list."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def peak_rss_bytes() -> int:
  """The most memory that it has had."""
  unit = 1 if platform.system() == 'Darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
