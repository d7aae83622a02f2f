"""Step ends and solution ends of a text, by hand; the device does the same in decode_test."""

import numpy as np
import pytest

from tts.roles import Roles
from tts.types import EOS_ID

D = 4
ONE = Roles((EOS_ID,), (D,))
OPEN = Roles((EOS_ID, 9), (D, 6), (7, 8), (7,), ())  # 7 = a newline, 8 = text and a newline
SHOTS = Roles((EOS_ID, 6), (D, 6, 7), blank_ends=(7,))


@pytest.mark.parametrize('tokens,ends', [
    ([5, D, 3, 7, EOS_ID], [2, 5]), ([5, D, 3, D], [2, 4]), ([EOS_ID], [1]), ([D], [1]),
    ([5, 6], [2]), ([D, D, EOS_ID], [1, 2, 3])])
def test_step_ends_of_one_delimiter(tokens, ends):
  assert ONE.step_ends(np.array(tokens)) == ends == ONE.step_ends(tokens)


@pytest.mark.parametrize('tokens,ends', [
    ([5, D, 5, 6, 5], [2, 4, 5]),            # either delimiter
    ([5, 7, 7, 5], [3, 4]),                  # two halves
    ([5, 8, 7, 5, 9], [3, 5]),
    ([5, 7, 8, 5], [4]),                     # the second half does not begin with it
    ([5, 7, 5, 7, 5], [5]),                  # halves that are apart
    ([5, 7, 7, 7, 5], [3, 5]),               # a half serves once
    ([5, 7, 7, 7, 7, 5], [3, 5, 6]),
    ([7, 7], [2]), ([7], [1]), ([5, D, 7, 5], [2, 4]),
    ([5, D, 7, 7, 2000], [2, 4, 5])])        # ids beyond all that have a role
def test_step_ends_of_delimiters_in_two_tokens(tokens, ends):
  assert OPEN.step_ends(tokens) == ends


@pytest.mark.parametrize('roles,tokens,finished', [
    (ONE, [5, EOS_ID], True), (ONE, [5, D], False), (ONE, [EOS_ID], True),
    (ONE, [EOS_ID, 5], False),
    (OPEN, [5, 9], True), (OPEN, [7, 7], False),
    (SHOTS, [5, D, 7], True), (SHOTS, [5, 7], False), (SHOTS, [7], True), (SHOTS, [5, 7, 7], True),
    (SHOTS, [5, 6], True)])
def test_finished(roles, tokens, finished):
  assert roles.finished(np.array(tokens)) is finished
