"""Search for translations with a trained network: what users run, and in `unroll/` the same search, differentiable.

options.py      what users can set
length.py       length penalties, and how long a translation may get
constraints.py  which tokens are not allowed: length bounds, forced prefix, repeated n-grams
step.py         one step: the best candidates of K slots, shared by every beam search
beams.py        the hypotheses that a search holds
stop.py         when the result of a beam search is final, and what it is
hypothesis.py   what a search returns
decode.py       the loop that every search runs
beam.py         beam search, the decoder that users run
exact.py        exact search, by branch and bound: what a beam search would find if it were wide enough
sampling.py     random translations
"""
