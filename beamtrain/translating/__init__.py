"""Using a run: lines in, translations out (`translator`), in several processes (`pool`), by another `engine`."""
