"""What is measured of strategies, verifiers and tokens, question by question, with intervals.

The way in is `outcomes.Outcome`: how one strategy did on each question and what it cost. Choosing
between strategies is in `tts.eval.policy`.
"""
