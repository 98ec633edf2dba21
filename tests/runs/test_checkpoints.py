"""Checkpoints: what is damaged is known, what is good is found, and a failed write changes nothing."""

import random
import re
import resource

import pytest
import torch

from beamtrain.base.errors import UserError
from beamtrain.runs.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint


def checkpoint(step):
    return {"state_dict": {"w": torch.arange(5.0) + step}, "global_step": step, "epochs": (1, [2])}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(checkpoint(7), tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_it_comes_back_and_any_program_can_read_it(path):
    for read in (load_checkpoint(path), torch.load(path, weights_only=True)):
        assert read["global_step"] == 7 and read["epochs"] == (1, [2])
        assert torch.equal(read["state_dict"]["w"], torch.arange(5.0) + 7)
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


DAMAGED = r"last\.ckpt is (damaged|not a (training )?checkpoint)"


def same(one, two):
    return str(one) == str(two)  # these tensors are short enough to be printed whole


def test_a_changed_bit_is_found_or_changes_nothing(path):
    content, random_bits = path.read_bytes(), random.Random(1)
    places = [*range(0, len(content), 11), *range(len(content) - 150, len(content))]
    for place in places:
        changed = content[place] ^ 1 << random_bits.randrange(8)
        path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
        try:
            read = load_checkpoint(path)
        except UserError as error:
            assert re.search(DAMAGED, str(error))
        else:
            assert same(read, checkpoint(7)), place


def test_a_file_that_was_cut_off_is_found(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), 7), *range(len(content) - 50, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=DAMAGED):
            load_checkpoint(path)


@pytest.mark.parametrize(
    "content, message",
    [
        (lambda good: b"", "is damaged: it is empty"),
        (lambda good: good[:1000], "is not a checkpoint that can be read: its end is missing, or it never was one"),
        (
            lambda good: good.replace(b"global_step", b"global-step"),
            "is damaged: .*/data.pkl does not fit its checksum",
        ),
    ],
)
def test_the_damage_is_named(path, content, message):
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        load_checkpoint(path)


def test_a_folder_or_a_file_without_permission_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_checkpoint(tmp_path)


def test_the_newest_good_one_is_found(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for name, step in (("best", 4), ("previous", 8), ("last", 12)):
        save_checkpoint(checkpoint(step), tmp_path / f"{name}.ckpt")
    assert newest_checkpoint(tmp_path) == (tmp_path / "last.ckpt", 12)
    (tmp_path / "last.ckpt").write_bytes(b"")
    assert newest_checkpoint(tmp_path) == (tmp_path / "previous.ckpt", 8)


def test_the_file_before_goes_on_under_another_name(path):
    previous = path.with_name("previous.ckpt")
    for step in (8, 9):
        save_checkpoint(checkpoint(step), path, previous)
        assert [load_checkpoint(each)["global_step"] for each in (path, previous)] == [step, step - 1]


def test_where_there_are_no_links_it_does_so_too(path, monkeypatch):
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    save_checkpoint(checkpoint(8), path, path.with_name("previous.ckpt"))
    assert [load_checkpoint(each)["global_step"] for each in sorted(path.parent.iterdir())] == [8, 7]


@pytest.mark.parametrize("limit", [0, 100, 1000, 1500])
def test_a_write_that_fails_leaves_the_files_before_and_no_other(path, limit):
    content = path.read_bytes()
    assert len(content) > 1500
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(checkpoint(8), path, path.with_name("previous.ckpt"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]
    assert path.read_bytes() == content
