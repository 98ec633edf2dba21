"""A whole text file, line by line."""

from collections.abc import Iterator
from pathlib import Path

from beamtrain.base.text_io import open_lines


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or compressed (`.gz`); only a line feed ends one, see `beamtrain.base.text_io`.

    Raises:
        UserError: the file cannot be read, is damaged, or is not UTF-8.
    """
    with open_lines(path) as lines:
        yield from lines
