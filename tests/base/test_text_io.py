"""Lines are what ends in a line feed; windows do not wait; faults are named; output files are whole or absent."""

import gzip
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beamtrain.base import text_io
from beamtrain.base.errors import UserError
from beamtrain.base.text_io import LineReader, check_output, open_lines, open_output, write_output


def lines_of(content: bytes) -> list[str]:
    return list(LineReader(io.BytesIO(content), "text"))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\n\nb\n", ["a", "", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\n\rb\n", ["a\r", "\rb"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        (b"a\x00b\x0c\x1c\n", ["a\x00b\x0c\x1c"]),
        ("a\u2028b\u2029c\u0085d\n".encode(), ["a\u2028b\u2029c\u0085d"]),
        ("مرحبا\n😀\n".encode(), ["مرحبا", "😀"]),
    ],
)
def test_what_a_line_is(content: bytes, lines: list[str]):
    assert lines_of(content) == lines


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"))))
def test_any_lines_come_back(lines: list[str]):
    assert lines_of("".join(line + "\n" for line in lines).encode()) == lines


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 7])
def test_lines_cut_anywhere_by_reading(monkeypatch: pytest.MonkeyPatch, read_bytes: int):
    monkeypatch.setattr(text_io, "READ_BYTES", read_bytes)
    assert lines_of("äöü\r\n\n😀 b\nend".encode()) == ["äöü", "", "😀 b", "end"]


def test_windows_have_at_most_what_was_asked():
    reader = LineReader(io.BytesIO(b"1\n2\n3\n4\n5\n"), "text")
    assert [reader.window(2) for _ in range(4)] == [["1", "2"], ["3", "4"], ["5"], []]


def test_a_window_ends_where_the_input_pauses():
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as stream:
        reader = LineReader(stream, "pipe")
        os.write(write_end, b"one\ntwo\nthr")
        assert reader.window(100) == ["one", "two"]
        os.write(write_end, b"ee\n")
        assert reader.window(100) == ["three"]
        os.close(write_end)
        assert reader.window(100) == []


def test_a_window_of_long_lines_stays_small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_io, "READ_BYTES", 1000)
    monkeypatch.setattr(text_io, "WINDOW_BYTES", 5000)
    reader = LineReader(io.BytesIO((b"x" * 999 + b"\n") * 100), "text")
    assert len(reader.window(100)) == 5


class TestFaults:
    def test_broken_utf8_is_named_after_the_lines_before_it(self):
        reader = LineReader(io.BytesIO(b"good\nalso good\nb\xe4d\nnever seen\n"), "in.txt")
        assert reader.window(10) == ["good", "also good"]
        with pytest.raises(UserError, match=r"in\.txt, line 3: not valid UTF-8 \(byte 0xe4 at position 2\)"):
            reader.window(10)

    def test_utf16_is_broken_utf8(self):
        with pytest.raises(UserError, match=r"line 1: not valid UTF-8"):
            lines_of("text".encode("utf-16"))

    def test_endless_line(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(text_io, "LINE_BYTES", 1 << 20)
        with pytest.raises(UserError, match=r"text, line 2: over 1 MiB long; is this a text file?"):
            lines_of(b"short\n" + b"\0" * (1 << 21))

    def test_missing_file(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"cannot read .*/none: No such file"), open_lines(tmp_path / "none"):
            pass

    def test_folder(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"cannot read .*: Is a directory"), open_lines(tmp_path):
            pass

    @pytest.mark.parametrize("damage", [lambda z: z[:-12], lambda z: b"no gzip", lambda z: z[:15] + b"\0\xff" + z[17:]])
    def test_damaged_gzip(self, tmp_path: Path, damage):
        path = tmp_path / "in.gz"
        path.write_bytes(damage(gzip.compress(b"many different words\n" * 50)))
        with pytest.raises(UserError, match=r"cannot read .*in\.gz after line \d+"), open_lines(path) as lines:
            list(lines)


def test_gzip_is_unpacked(tmp_path: Path):
    (tmp_path / "in.gz").write_bytes(gzip.compress(b"a\nb\n"))
    with open_lines(tmp_path / "in.gz") as lines:
        assert list(lines) == ["a", "b"]


class TestOutput:
    def test_file_appears_when_whole(self, tmp_path: Path):
        with open_output(tmp_path / "out") as file:
            file.write(b"text\n")
            assert not (tmp_path / "out").exists()
        assert (tmp_path / "out").read_bytes() == b"text\n"

    def test_failure_leaves_the_old_file(self, tmp_path: Path):
        (tmp_path / "out").write_bytes(b"old")
        with pytest.raises(ValueError), open_output(tmp_path / "out") as file:
            file.write(b"new")
            raise ValueError
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out", b"old")]

    def test_a_name_in_gz_is_packed_the_same_way_every_time(self, tmp_path: Path):
        for name in ("one.gz", "other.gz"):
            with open_output(tmp_path / name) as file:
                file.write("größe\n".encode())
                file.flush()
                file.write(b"\n")
                assert not (tmp_path / name).exists()
        packed = (tmp_path / "one.gz").read_bytes()
        assert gzip.decompress(packed).decode() == "größe\n\n" and packed == (tmp_path / "other.gz").read_bytes()
        with open_lines(tmp_path / "one.gz") as lines:
            assert list(lines) == ["größe", ""]

    @pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
    def test_an_open_file_is_written_where_it_stands(self, tmp_path: Path, name: str):
        with open(tmp_path / "out", "wb") as out:
            out.write(b"before\n")
            out.flush()
            (tmp_path / "link").symlink_to(f"/dev/fd/{out.fileno()}")
            path = tmp_path / name.format(out.fileno())
            check_output(path)
            write_output(path, "text\n")
            out.write(b"after\n")
        assert (tmp_path / "out").read_bytes() == b"before\ntext\nafter\n"
        with pytest.raises(UserError, match=r"cannot write .*: Bad file descriptor"):
            check_output(Path("/dev/fd/999"))

    def test_a_name_promises_what_is_in_it(self, tmp_path: Path):
        write_output(tmp_path / "OUT.GZ", "text\n")
        assert gzip.decompress((tmp_path / "OUT.GZ").read_bytes()) == b"text\n"
        with pytest.raises(UserError, match=r"cannot write .*out.bz2: only .gz is packed here"):
            check_output(tmp_path / "out.bz2")

    def test_the_folder_that_is_missing_is_named(self, tmp_path: Path):
        (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "out")
        with pytest.raises(UserError, match=r"there is no folder .*nowhere; make it first"):
            check_output(tmp_path / "link")

    @pytest.mark.parametrize("name", ["out", "out.gz"])
    def test_a_fault_in_writing_is_told_and_others_are_not_taken_for_one(self, tmp_path: Path, name: str):
        with pytest.raises(UserError, match=r"cannot write /dev/full: No space left on device"):
            write_output(Path("/dev/full"), "text")
        (tmp_path / "full.gz").symlink_to("/dev/full")
        with pytest.raises(UserError, match=r"cannot write .*full.gz: No space left on device"):
            write_output(tmp_path / "full.gz", "text")
        with pytest.raises(OSError, match="something else") as error, open_output(tmp_path / name):
            raise OSError("something else")
        assert not isinstance(error.value, UserError) and not (tmp_path / name).exists()

    def test_device_is_written_to_not_replaced(self):
        with open_output(Path("/dev/null")) as file:
            file.write(b"text")
        assert not Path("/dev/null").is_file()

    def test_folder_is_refused(self, tmp_path: Path):
        with pytest.raises(UserError, match=r"cannot write .*: Is a directory"):
            write_output(tmp_path, "text")

    def test_no_such_place(self, tmp_path: Path):
        (tmp_path / "file").touch()
        for folder in ("file", "missing"):
            with pytest.raises(
                UserError, match=rf"cannot write .*{folder}/out: there is no folder .*{folder}; make it"
            ):
                write_output(tmp_path / folder / "out", "text")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
