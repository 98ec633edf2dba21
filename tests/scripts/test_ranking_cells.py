"""What the experiments of docs/ranking.md keep: finished cells, of the same data, and where pictures lie."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments" / "ranking"))

import arguments
from cached import Cells
from images import digest, load_digits

from beamtrain.base.errors import UserError

TRAIN, TEST = load_digits()


def test_finished_cells_are_kept_and_half_a_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    first = Cells(path).run({"seed": 1}, lambda: {"accuracy": 1.0})
    with path.open("a") as file:
        file.write('{"settings": {"seed": 2}, "res')
    again = Cells(path)
    assert again.run({"seed": 1}, lambda: pytest.fail("it was finished")) == first
    again.run({"seed": 2}, lambda: {"accuracy": 2.0})
    assert [settings for settings, _ in Cells(path).finished] == [{"seed": 1}, {"seed": 2}]


def test_however_much_of_a_line_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    whole = json.dumps({"settings": {"seed": 1, "task": {"rate": 1}}, "result": {"accuracy": 1.0}})
    for length in range(1, len(whole)):
        path.write_text(whole[:length])
        Cells(path).run({"seed": 2}, lambda: {"accuracy": 2.0})
        assert [settings for settings, _ in Cells(path).finished] == [{"seed": 2}]


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[1]\n", b'{"settings": {}}\n', b'{"settings": 1, "result": {}}'])
def test_a_file_of_other_things_is_no_file_of_cells(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"cells.jsonl: not a file of finished cells, .* move it away or give another"):
        Cells(path)
    assert path.read_bytes() == text


def test_cells_are_of_the_same_data(tmp_path: Path) -> None:
    path, others = tmp_path / "cells.jsonl", TRAIN._replace(labels=TRAIN.labels.roll(1))
    cells = Cells(path)
    cells.belong_to(digest(TRAIN, TEST))
    cells.run({"seed": 1}, lambda: {"accuracy": 1.0})
    kept = path.read_bytes()
    Cells(path).belong_to(digest(TRAIN, TEST))
    with pytest.raises(UserError, match=r"cells.jsonl has cells of other data; give another folder by --out"):
        Cells(path).belong_to(digest(others, TEST))
    assert path.read_bytes() == kept and [settings for settings, _ in Cells(path).finished] == [{"seed": 1}]


@pytest.mark.parametrize(
    ("options", "pictures"),
    [
        ([], "docs/images/ranking"),
        (["--out", "mine"], "mine"),
        (["--pictures", "docs/images/ranking", "--out", "mine"], "docs/images/ranking"),
        (["--out", "mine", "--pictures", "others"], "others"),
    ],
)
def test_pictures_lie_beside_cells(options: list[str], pictures: str) -> None:
    assert arguments.parser(None).parse_args(options).pictures == Path(pictures)
