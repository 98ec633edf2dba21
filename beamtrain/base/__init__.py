"""What anything may use.

errors.py        the one exception for a user's mistake
files.py         files that are either whole or absent
text_io.py       lines of text, in and out; streams.py, the standard ones as a process may find them
script_parser.py options of the scripts beside the package
progress.py      a progress bar on standard error
typed_values.py  values that were read from a file, against the types that they must have
assets.py        where the shipped configs and the bundled corpus lie
plugins.py       modules of a user's own; extras.py, packages that only some commands need
inference_sizes.py   what bounds the memory of inference
waits.py         when the host may read what a device computes; torch only
recomputing.py   intermediate results that are computed again for the gradient; torch only
memory.py        what a process on a CPU keeps for speed
"""
