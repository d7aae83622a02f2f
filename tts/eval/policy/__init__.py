"""The compute-optimal policy: difficulty, what may be chosen, what is chosen, and what it gains.

The way in is `difficulty` (bins), `options` (what may be chosen), `crossfit` (chosen on one half of
the questions, scored on the other) and `compute_optimal` (rows of the results). `policy.Policy` is
what `launch.solve` reads.
"""
