"""What this process has of its machine, where the system says it in one way or another."""

import os

import pytest

from tts import machine


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='Linux has it')
def test_cores_are_those_that_it_may_run_on():
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, [min(before)])
  try:
    assert machine.cores() == 1
  finally:
    os.sched_setaffinity(0, before)
  assert machine.cores() == len(before)


def test_without_a_list_all_cores_are_its_own(monkeypatch):
  """As on macOS."""
  monkeypatch.delattr(os, 'sched_getaffinity', raising=False)
  monkeypatch.setattr(os, 'cpu_count', lambda: 12)
  assert machine.cores() == 12


def test_memory_is_in_bytes(monkeypatch):
  held = b'x' * (64 << 20)
  assert len(held) < machine.peak_rss_bytes() < 64 << 30
  linux = machine.peak_rss_bytes()
  monkeypatch.setattr(machine.platform, 'system', lambda: 'Darwin')
  assert machine.peak_rss_bytes() == linux // 1024
