"""What a file that is replaced keeps: its links, its mode, its second names; and what a new one gets."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest
import torch

from beamtrain.base.files import atomic_path, write_text
from beamtrain.base.text_io import write_output
from beamtrain.runs.checkpoints import save_checkpoint
from beamtrain.runs.weights import save_weights

WRITERS = {  # everything that writes a file into a run's folder, or for a user, by the name of that file
    "text": lambda folder, _: write_text(folder / "text", "x"),
    "out.txt": lambda folder, _: write_output(folder / "out.txt", "x"),
    "out.gz": lambda folder, _: write_output(folder / "out.gz", "x"),
    "model.safetensors": lambda folder, _: save_weights(folder, {"a": torch.ones(2)}),
    "tokenizer.model": lambda folder, tokenizer: tokenizer.save(folder),
    "last.ckpt": lambda folder, _: save_checkpoint({}, folder / "last.ckpt"),
}


@pytest.fixture
def umask():
    """Sets the umask, for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, tokenizer, umask, name):
    for mask in (0o022, 0o077, 0o002):
        umask(mask)
        folder = tmp_path / f"{mask}"
        folder.mkdir()
        WRITERS[name](folder, tokenizer)
        assert mode(folder / name) == 0o666 & ~mask
        assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_there_was_keeps_its_mode_and_its_links(tmp_path, tokenizer, umask, name):
    real, folder = tmp_path / "real", tmp_path / "folder"
    for place in (real, folder):
        place.mkdir()
    for before in (0o600, 0o666, 0o755):
        (real / "file").write_text("before")
        (real / "file").chmod(before)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to("../real/file")
        WRITERS[name](folder, tokenizer)
        assert (folder / name).is_symlink() and os.readlink(folder / name) == "../real/file"
        assert (real / "file").read_bytes() != b"before" and mode(real / "file") == before
        assert [path.name for path in real.iterdir()] == ["file"] and [path.name for path in folder.iterdir()] == [name]


def test_a_link_that_leads_nowhere_yet_gets_its_file_there(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "elsewhere" / "file").read_text() == "text"


@pytest.mark.parametrize("target", ["link", "missing/file"])
def test_a_link_that_leads_nowhere_at_all_is_an_error_and_stays(tmp_path, target):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError, match=r"Too many levels of symbolic links|No such file"):
        write_text(tmp_path / "link", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["link"] and os.readlink(tmp_path / "link") == target


def test_what_is_written_over_a_private_file_is_private_from_its_first_byte(tmp_path, umask):
    (tmp_path / "secret").touch(0o600)
    with atomic_path(tmp_path / "secret") as temporary:
        temporary.write_text("text")
        assert mode(temporary) == 0o600


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_the_file_before_goes_on_elsewhere_also_where_it_cannot_be_linked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another file system")))
    write_text(tmp_path / "file", "first")
    with atomic_path(tmp_path / "file", tmp_path / "before") as temporary:
        temporary.write_text("second")
    assert (tmp_path / "file").read_text() == "second" and (tmp_path / "before").read_text() == "first"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_of_somebody_else_stays_theirs(tmp_path):
    (tmp_path / "file").write_text("theirs")
    os.chown(tmp_path / "file", 12345, 23456)
    write_text(tmp_path / "file", "ours")
    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@pytest.mark.parametrize("name", ["text", "model.safetensors", "last.ckpt"])
def test_a_file_that_finds_no_room_is_named_and_the_old_one_stays(tmp_path, name):
    WRITERS[name](tmp_path, None)
    before = (tmp_path / name).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            WRITERS[name](tmp_path, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [name]
