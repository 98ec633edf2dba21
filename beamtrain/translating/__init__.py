"""Using a run: lines in, translations out (`translator`), in several processes (`pool`), on a `device`; and what
probability the run gives to translations of others (`forced`)."""
