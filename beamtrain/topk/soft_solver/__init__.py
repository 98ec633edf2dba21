"""The exact solver of the SOFT operator: no iteration count to choose, no error to tolerate.

thresholds.py  the plan as a function of its k thresholds, and Newton's method on them
pruning.py     the scores that cannot matter, lumped, with a bound on what they would have had
implicit.py    derivatives by the implicit function theorem, backward and forward
solve.py       the whole as functions with derivatives of every order
"""
