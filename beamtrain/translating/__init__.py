"""Using a run: lines in, translations out (`translator`), in several processes (`pool`), on a `device` or by another
`engine`; and what the run makes of translations that are given (`forced`).
"""
