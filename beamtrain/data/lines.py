"""Text files read line by line. A line is what ends in a line feed, and nothing else ends one."""

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

from beamtrain.errors import UserError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_lines(raw: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a binary stream as text, without line ending and byte order mark.

    Only a line feed ends a line (a carriage return before it goes too): form feeds, U+2028 and lone carriage
    returns stay inside their line, so that the two sides of a parallel text cannot lose step.

    Raises:
        UserError: bytes that are not UTF-8, with the line number.
    """
    for number, line in enumerate(raw, start=1):
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1});"
                " convert the file to UTF-8"
            ) from None


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, plain or compressed (`.gz`).

    Raises:
        UserError: the file cannot be read, is damaged, or is not UTF-8.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            yield from decode_lines(file, str(path))
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
