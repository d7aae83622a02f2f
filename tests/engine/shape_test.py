"""How many lanes there are for how many rows."""

import pytest

from tts.engine.shape import Shape


def test_sizes_are_halves_that_leave_no_rows_over():
  of = lambda lanes, least: Shape(lanes, 2, 8, 4, least=least).sizes
  assert of(32, 8) == [8, 16, 32]
  assert of(24, 8) == [24]  # half of it is none of eight
  assert of(48, 8) == [24, 48]
  assert of(32, 0) == [32]


@pytest.mark.parametrize('rows, lanes', [
    (0, 8), (1, 8), (8, 8), (10, 8), (11, 16), (20, 16), (21, 32), (400, 32)])
def test_few_rows_have_few_lanes(rows, lanes):
  assert Shape(32, 2, 8, 4, least=8).fitting(rows) == lanes


def test_questions_of_few_rows_are_not_begun_by_the_hundred():
  """Each has texts that take memory, and waits for few rows of its own."""
  wide = Shape(lanes=32, write=2, readers=8, tile=4, begun=8)
  assert [wide.in_flight(rows) for rows in (1, 4, 8, 16, 64, 1000)] == [64, 64, 32, 16, 4, 2]
