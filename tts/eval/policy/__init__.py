"""The compute-optimal policy: difficulty, what may be chosen, what is chosen, and what it gains.

The way in is `difficulty` (bins), `options` (what may be chosen), `crossfit` (chosen on some of
the questions, scored on the others) and `compute_optimal` (rows of the results); `decomposition`
says what each part of a policy is worth. `policy.Policy` is what `launch.solve` reads.
"""
