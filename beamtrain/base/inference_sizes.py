"""What bounds the memory of inference unless the user says otherwise."""

BATCH_TOKENS = 16384
"""Source tokens in a batch, padding included, times beams."""
MAX_SOURCE_TOKENS = 1024
"""Subwords of a line; a longer line is left untranslated and reported."""
