"""What the experiments of docs/ranking.md keep: finished cells, of the same data, and where pictures lie."""

import gzip
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments" / "ranking"))

import arguments
import label_ranking
from cached import Cells, digest, table
from images import load_digits

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
    cells.belong_to(digest(*TRAIN, *TEST))
    cells.belong_to(digest("a text"), "iris")
    cells.run({"seed": 1}, lambda: {"accuracy": 1.0})
    kept = path.read_bytes()
    Cells(path).belong_to(digest(*TRAIN, *TEST))
    Cells(path).belong_to(digest("a text"), "iris")
    with pytest.raises(UserError, match=r"cells.jsonl has cells of other data; give another folder by --out"):
        Cells(path).belong_to(digest(*others, *TEST))
    with pytest.raises(UserError, match=r"cells.jsonl has cells of other data named iris; give another folder"):
        Cells(path).belong_to(digest("another"), "iris")
    assert path.read_bytes() == kept and [settings for settings, _ in Cells(path).finished] == [{"seed": 1}]


def test_sets_of_labels_changed_since_are_not_mixed_with_kept_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(*names: str) -> None:
        options = ["--sets", *names, "--methods", "no projection", "--seeds", "1", "--source", str(tmp_path)]
        options += ["--out", str(tmp_path / "out"), "--pictures", str(tmp_path / "pictures")]
        monkeypatch.setattr("sys.argv", ["it", *options])
        arguments.run(label_ranking.main)

    for name, label in ("one", "1,2"), ("other", "2,1"):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt") as file:
            file.write("12,1,2\n" + "".join(f"{each},{label}\n" for each in range(12)))
    measure("one")
    measure("other", "one")
    (tmp_path / "one.csv.gz").write_bytes((tmp_path / "other.csv.gz").read_bytes())
    measure("other")
    with pytest.raises(SystemExit):
        measure("other", "one")
    assert "label_ranking.jsonl has cells of other data named one; give another folder" in capsys.readouterr().err


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


def test_a_table_has_no_column_without_a_figure() -> None:
    rows = [["SOFT", "", "99.4"], ["pixels", "", ""]]
    assert table(["method", "seconds", "accuracy"], rows) == (
        "| method | accuracy |\n|---|---:|\n| SOFT | 99.4 |\n| pixels |  |"
    )
    assert table(["method", "accuracy"], []) == "| method | accuracy |\n|---|---:|"
