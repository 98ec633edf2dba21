"""The progress bar is seen on a terminal and nowhere else, and never changes what passes through it."""

import io
import sys

import pytest

from beamtrain.base.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "stderr", "to_file", "shown"),
    [
        (io.StringIO, Terminal, False, True),
        (Terminal, Terminal, True, True),
        (Terminal, Terminal, False, False),  # it would run through the output
        (Terminal, io.StringIO, False, False),
        (io.StringIO, io.StringIO, True, False),
    ],
)
@pytest.mark.parametrize("total", [3, None])
def test_shown_on_a_terminal_of_its_own(
    monkeypatch: pytest.MonkeyPatch, stdout: type, stderr: type, to_file: bool, shown: bool, total: int | None
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setattr(sys, "stderr", stderr())
    assert list(progress(iter("abc"), total, to_file)) == ["a", "b", "c"]
    assert sys.stdout.getvalue() == ""
    assert ("3/3" if total else "3/?") in sys.stderr.getvalue() if shown else sys.stderr.getvalue() == ""
