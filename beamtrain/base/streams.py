"""Standard input, output and error as a process may find them: closed, full, or of an encoding with few letters."""

import io
import os
import sys
from contextlib import suppress
from typing import Any, BinaryIO, cast

from beamtrain.base.errors import UserError

STANDARD_OUTPUT = "standard output"


class _Output(io.FileIO):
    """Standard output, which its errors call by its name."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


class _Messages(io.FileIO):
    """Standard error, whose loss is no reason to stop: what cannot be written is dropped."""

    def write(self, data: Any) -> int:
        written: int | None = None  # as it is when a reader that is late must not be waited for
        with suppress(OSError):
            written = super().write(data)
        return len(data) if written is None else written


class _Closed(io.TextIOWrapper):
    """What stands for standard output when it is closed: takes what libraries print."""


def prepare() -> None:
    """Make standard streams that nothing breaks on; to be called first of all.

    - A descriptor that is closed leads to the null device, so that no file that is opened gets its number, and with it
      what libraries print; `standard_input` and `standard_output` say that it is closed.
    - Messages are lost when standard error is closed, full or not read, and nothing else is.
    - A letter that an output's encoding does not know is written as its escape.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it has the lowest number that is free
    if sys.stdout is None:
        sys.stdout = _Closed(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "backslashreplace")
    elif sys.__stdout__ and sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.__stdout__.encoding, sys.__stdout__.isatty())
    if sys.stderr is sys.__stderr__:
        encoding = sys.__stderr__.encoding if sys.__stderr__ else "utf-8"
        sys.stderr = _text(_Messages(2, "w", closefd=False), encoding, by_line=True)


def _text(file: io.FileIO, encoding: str, by_line: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, "backslashreplace", line_buffering=by_line)


def finish() -> None:
    """Write what standard output still holds.

    Raises:
        OSError: it cannot be written. It is dropped then, so that the end of the process does not fail again.
    """
    try:
        sys.stdout.flush()
        if buffer := getattr(sys.stdout, "buffer", None):  # click's own wrapper says nothing of a reader that is gone
            buffer.flush()
    except OSError:
        drop_output()
        raise


def drop_output() -> None:
    """Let what standard output still holds go nowhere."""
    if isinstance(getattr(getattr(sys.stdout, "buffer", None), "raw", None), _Output):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def standard_input() -> io.BufferedIOBase:
    """The bytes of standard input.

    Raises:
        UserError: it is closed.
    """
    if sys.stdin is None:
        raise UserError("standard input is closed; give a file to read, such as --input FILE")
    return cast(io.BufferedIOBase, sys.stdin.buffer)


def standard_output() -> BinaryIO:
    """Where bytes go to standard output.

    Raises:
        UserError: it is closed.
    """
    if output_is_closed():
        raise UserError("standard output is closed; give a file to write, such as --output FILE")
    return sys.stdout.buffer


def output_is_closed() -> bool:
    """Whether nothing can be printed."""
    return isinstance(sys.stdout, _Closed)


def encodable(text: str) -> str:
    """The text in letters that standard output's encoding knows: `+-` for `±`, escapes for others."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace("±", "+-").encode(encoding, "backslashreplace").decode(encoding)
    return text
