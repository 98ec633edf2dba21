"""Lines of text, in and out: strictly UTF-8, ended by a line feed alone, as they come and in bounded memory.

A carriage return before the line feed and a byte order mark before the first line belong to the file, not to the text,
and are taken off. Nothing else ends or changes a line: not U+2028, not NUL, not a form feed.
"""

import gzip
import io
import select
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path

READ_BYTES = 1 << 16  # asked from the operating system at a time
WINDOW_BYTES = 1 << 20  # read for one window at most, whatever its number of lines
LINE_BYTES = 1 << 24  # a longer line is no line of text
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineReader:
    """The lines of a byte stream, handed out in windows."""

    def __init__(self, stream: io.BufferedIOBase, name: str):
        self._stream = stream
        self._name = name
        self._lines: deque[str] = deque()
        self._unfinished = bytearray()
        self._number = 0  # of the last line decoded
        self._ended = False
        self._error: UserError | None = None

    def window(self, most: int) -> list[str]:
        """The next lines, at most `most`; empty at the end of the input.

        Waits for one line only: more are taken if they can be read at once, so that a person or a program that writes a
        line and waits for its answer gets it.

        Raises UserError, once the lines before it are handed out, for a line that is not valid UTF-8.
        """
        budget = WINDOW_BYTES
        while len(self._lines) < most and not self._ended and (not self._lines or (budget > 0 and self._readable())):
            budget -= self._read()
        if not self._lines and self._error:
            raise self._error
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]

    def ready(self) -> bool:
        """Whether there is something to read, so that `window` need not wait; of an unfinished line it may have to."""
        return bool(self._lines) or self._ended or self._readable()

    def __iter__(self) -> Iterator[str]:
        while window := self.window(most=4096):
            yield from window

    def _readable(self) -> bool:
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:  # a stream in memory
            return True
        return bool(select.select([descriptor], [], [], 0)[0])

    def _read(self) -> int:
        try:
            chunk = self._stream.read1(READ_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            self._fail(f"cannot read {self._name} after line {self._number}: {error}")
            return 0
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            self._take(bytes(self._unfinished) + line)
            self._unfinished.clear()
        self._unfinished += rest
        if len(self._unfinished) > LINE_BYTES:
            self._fail(f"{self._name}, line {self._number + 1}: over {LINE_BYTES >> 20} MiB long; is this a text file?")
        if not chunk:
            if self._unfinished:  # the last line has no line feed
                self._take(bytes(self._unfinished))
            self._ended = True
        return len(chunk)

    def _take(self, line: bytes) -> None:
        if self._error:
            return
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            self._lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            self._fail(
                f"{self._name}, line {self._number}: not valid UTF-8 "
                f"(byte 0x{line[error.start]:02x} at position {error.start + 1}); convert the text to UTF-8 first"
            )

    def _fail(self, message: str) -> None:
        self._error = UserError(message)
        self._ended = True


@contextmanager
def open_lines(path: Path | None) -> Iterator[LineReader]:
    """The lines of a file, unpacked if its name ends in .gz, or of standard input.

    Raises UserError when the file cannot be opened.
    """
    if path is None:
        yield LineReader(cast(io.BufferedIOBase, sys.stdin.buffer), "standard input")
        return
    try:
        stream = gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    with stream:
        yield LineReader(stream, str(path))


def count_lines(path: Path) -> int:
    """The number of lines of a file, each of which is known to be readable then.

    Raises UserError for a file that cannot be read and a line that is not valid UTF-8.
    """
    with open_lines(path) as lines:
        return sum(1 for _ in lines)


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Where output bytes go: standard output, or a file that appears when it is whole.

    Raises UserError when the file cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():  # a device or a named pipe is written to, a folder refused
        with _writable(path, path) as file:
            yield file
    else:
        try:
            with atomic_path(path) as temporary, _writable(temporary, path) as file:
                yield file
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error


def write_output(path: Path | None, text: str) -> None:
    """Write a whole text as UTF-8 to a file, or to standard output whatever the terminal's encoding."""
    with open_output(path) as file:
        file.write(text.encode("utf-8"))


def _writable(path: Path, shown: Path) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise UserError(f"cannot write {shown}: {error.strerror}") from error
