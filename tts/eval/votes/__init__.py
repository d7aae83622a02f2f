"""Votes of stored samples that need no verifier: when to stop drawing, and whom to count how much.

`rules` lists them, `compared` measures each beside a majority of the same mean cost; one more is a
function in a file of its own and a line in `rules`. How an answer is chosen of a fixed number of
samples is `eval.measures.answer_choice`.
"""
