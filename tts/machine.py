"""What this process has of its machine, on Linux and macOS."""

from __future__ import annotations

import functools
import os
import platform
import resource


def cores() -> int:
  """Processors that this process may run on; all there are where the system keeps no such list."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


@functools.cache
def processor() -> str:
  """The kind of processor, by its name where the system says it."""
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      for line in file:
        if line.startswith('model name'):
          return line.partition(':')[2].strip()
  except OSError:  # not Linux
    pass
  return platform.processor() or platform.machine()


def peak_rss_bytes() -> int:
  """The most memory that it has had."""
  unit = 1 if platform.system() == 'Darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
