"""Every published number again, from per-question data: numpy and the standard library alone.

Nothing here is the software's: definitions are written a second time, so that a mistake in one of
the two shows. `python results/recompute.py` compares.

  votes      which answer each way to choose gives
  drawing    samples drawn one after the other, and rules that end it
  confident  votes by how sure the model was
  replayed   these votes beside a majority of the same cost
  study      a published folder: what was measured of every strategy, question by question
  intervals  means, intervals, tests
  menu       what a compute-optimal policy may choose from, and what it costs
  policy     choosing on some questions and scoring on others; how much less a policy spends
  parts      what each part of a policy is worth
  exchange   the small model against larger ones
  claims     the paper's claims
  numbers    a field of a page -> its number
  text       how numbers are printed
  pages      the pages, their fields, and what is printed there
"""
