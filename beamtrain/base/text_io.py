"""Lines of text, in and out: strictly UTF-8, ended by a line feed alone, as they come and in bounded memory.

A carriage return before the line feed and a byte order mark before the first line belong to the file, not to the text,
and are taken off. Nothing else ends or changes a line: not U+2028, not NUL, not a form feed.
"""

import errno
import gzip
import io
import os
import select
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from beamtrain.base import streams
from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path

READ_BYTES = 1 << 16  # asked from the operating system at a time
WINDOW_BYTES = 1 << 20  # read for one window at most, whatever its number of lines
LINE_BYTES = 1 << 24  # a longer line is no line of text
_OTHER_PACKINGS = {".bz2", ".xz", ".zst", ".lz4", ".zip"}
_MOST_LINKS = 40  # as the system follows of one name
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


def is_standard(path: Path | None) -> bool:
    """Whether standard input or output is meant: where no path is given, and by `-`."""
    return path is None or str(path) == "-"


def check_one_standard(inputs: Iterable[tuple[str, Path | None]]) -> None:
    """Raises UserError when more than one of the inputs, each with the option that names it, is standard input."""
    names = [option for option, path in inputs if is_standard(path)]
    if len(names) > 1:
        raise UserError(f"{' and '.join(names)} are both standard input, which can be read once; give a file for one")


@contextmanager
def open_lines(path: Path | None) -> Iterator[LineReader]:
    """The lines of a file, unpacked if its name ends in .gz, or of standard input.

    Raises UserError when the file cannot be opened.
    """
    if path is None or is_standard(path):
        yield LineReader(streams.standard_input(), "standard input")
        return
    try:
        stream = gzip.open(path, "rb") if _is_packed(path) else open(path, "rb")  # noqa: SIM115
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


def check_output(path: Path | None) -> None:
    """Check, before the work whose result it is to hold, that a file can be written; nothing is made.

    Raises:
        UserError: there is no folder for it, it is a folder, it may not be written, or its name promises a packing
            that there is not.
    """
    if path is None or is_standard(path):
        return
    with _told(str(path)):
        _check_packing(path)
        if (descriptor := _descriptor(path)) is not None:
            os.fstat(descriptor)
            return
        file = Path(os.path.realpath(path))
        if file.is_dir():
            raise _fault(errno.EISDIR)
        if file.exists() and not file.is_file():  # a device or a named pipe
            return
        if not file.parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {_missing_folder(path, file)}; make it first")
        if not os.access(file.parent, os.W_OK):
            raise _fault(errno.EACCES)


def check_output_folder(path: Path) -> None:
    """Check, before the work, that a folder is there to be written into or can be made; nothing is made.

    Raises:
        UserError: it cannot.
    """
    with _told(str(path)):
        nearest = next(each for each in (path.absolute(), *path.absolute().parents) if os.path.lexists(each))
        if not nearest.is_dir():
            raise _fault(errno.ENOTDIR)
        if not os.access(nearest, os.W_OK):
            raise _fault(errno.EACCES)


def make_output_folder(path: Path) -> None:
    """Make a folder, and those that it lies in, unless it is there.

    Raises:
        UserError: it cannot be made.
    """
    with _told(str(path)):
        path.mkdir(parents=True, exist_ok=True)


class ByteWriter:
    """Bytes on their way to a file, whose faults are told by its name."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name

    def write(self, data: bytes) -> None:
        """Raises UserError when there is no room, or whatever else is wrong."""
        with _told(self._name):
            self._file.write(data)

    def flush(self) -> None:
        """Raises UserError as `write` does."""
        with _told(self._name):
            self._file.flush()


@contextmanager
def open_output(path: Path | None) -> Iterator[ByteWriter]:
    """Where output bytes go: standard output, or a file that appears when it is whole, packed if its name ends in .gz.

    Raises UserError when the file cannot be written, or there is no folder for it.
    """
    check_output(path)
    if path is None or is_standard(path):
        output = ByteWriter(streams.standard_output(), streams.STANDARD_OUTPUT)
        yield output
        output.flush()
        return
    with ExitStack() as stack:
        with _told(str(path)):
            file = _open(path, stack)
        yield ByteWriter(file, str(path))
        with _told(str(path)):
            stack.close()


def _open(path: Path, stack: ExitStack) -> IO[bytes]:
    """The file to write, which `stack` closes."""
    target: Path | int
    if (descriptor := _descriptor(path)) is not None:
        target = os.dup(descriptor)  # which is written where it stands: nothing that went there before is lost
    elif path.exists() and not path.is_file():  # a device or a named pipe; a folder is refused
        target = path
    else:
        target = stack.enter_context(atomic_path(path))
    file = open(target, "wb")  # noqa: SIM115 (the stack closes it)
    stack.callback(_close, file, str(path))
    if not _is_packed(path):
        return file
    packed = cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    stack.callback(_close, packed, str(path))
    return packed


def _descriptor(path: Path) -> int | None:
    """The number of the open file of this process that a path stands for, such as /dev/stdout or /dev/fd/3.

    What that leads to is seldom what its name says, but a file that others write too.
    """
    own = f"/proc/{os.getpid()}/fd"
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == own:
            return int(path.name) if path.name.isdecimal() else None
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(path))
    return None


def _missing_folder(path: Path, file: Path) -> Path:
    """The folder of the file that `path` leads to, as it was typed unless a link leads elsewhere."""
    return file.parent if path.is_symlink() else path.parent


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _check_packing(path: Path) -> None:
    if path.suffix.lower() in _OTHER_PACKINGS:
        raise UserError(f"cannot write {path}: only .gz is packed here; give another name, or - and a pipe")


def _close(file: IO[bytes], name: str) -> None:
    with _told(name):
        file.close()


def write_output(path: Path | None, text: str) -> None:
    """Write a whole text as UTF-8 to a file, or to standard output whatever the terminal's encoding.

    What is no letter, as in the name of a file that is not UTF-8, is written as JSON's escape.
    """
    with open_output(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _fault(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raises UserError for what goes wrong in writing, but not when nobody reads on."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write {name}: {error.strerror or error}") from error
