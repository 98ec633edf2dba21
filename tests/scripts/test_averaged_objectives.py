"""scripts/experiments/averaged_objectives.py: what is averaged and what is compared with what."""

import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_up_cells import REFERENCES, WORSE, write

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import averaged_objectives
from command_line import run_script

SOFT, HARD, CONTROL = "expected GLEU, straight-through", "minimum risk, hard", "teacher forcing"
Lines = list[str]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    """Cells of two seeds of each objective, of the searches of two more; the control says what is worse."""
    found: list[Lines] = []

    def translations(cell: str, lines: Lines) -> None:
        write(tmp_path / f"{cell}.test" / "beam5.txt", lines * 60)

    def average(command: Lines, log: Path, _: int) -> None:
        found.append(command[3:])
        (log.with_suffix("")).mkdir()
        (log.with_suffix("") / "model.safetensors").touch()

    def translate(options: Namespace, folder: Path, cell: str, split: str) -> None:
        translations(cell, WORSE if "teacher" in cell else REFERENCES)

    for seed in (1, 2, 3, 4):
        for name in (SOFT, HARD) if seed > 2 else (SOFT, HARD, CONTROL):
            translations(averaged_objectives.cell_of(name, seed), WORSE if name == CONTROL else REFERENCES)
    monkeypatch.setattr(averaged_objectives, "run", average)
    monkeypatch.setattr(averaged_objectives, "translate", translate)
    monkeypatch.setattr(averaged_objectives, "load_run", lambda _: None)
    references = SimpleNamespace(references=[REFERENCES * 60])
    monkeypatch.setattr(averaged_objectives, "from_split", lambda *_: references)
    return found


def printed(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, *seeds: str) -> list[Lines]:
    """The rows of both tables, without their heads."""
    given = [
        "--init_from",
        "start",
        "--out",
        str(out),
        *(word for each in seeds for word in ["--seeds", *each.split()]),
    ]
    monkeypatch.setattr("sys.argv", ["averaged_objectives.py", *given])
    averaged_objectives.main()
    tables = capsys.readouterr().out.split("\n\n")
    return [line.strip("| ").split(" | ") for table in tables for line in table.strip().splitlines()[2:]]


def test_groups_are_averaged_once_and_the_control_is_taken_from_all(
    commands: list[Lines], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = printed(tmp_path, monkeypatch, capsys, "1 2")
    assert [row[:2] for row in rows[:3]] == [[SOFT, "1 2"], [HARD, "1 2"], [CONTROL, "1 2"]]
    assert rows[0][2:] == ["100.00, 100.00", "100.00, 100.00, 1.000"]
    assert [row[:3] for row in rows[3:]] == [[SOFT, HARD, "1 2"], [SOFT, CONTROL, "1 2"], [HARD, CONTROL, "1 2"]]
    assert rows[3][3] == "+.00 (p 1.00), +.00 (p 1.00); +.00 (p 1.00), +.00 (p 1.00)"
    assert rows[4][4].startswith("**+") and rows[4][3].count("**+") == 4
    cells = [str(tmp_path / averaged_objectives.cell_of(SOFT, seed)) for seed in (1, 2)]
    assert commands[0][:3] == ["average", *cells] and len(commands) == 3
    printed(tmp_path, monkeypatch, capsys, "1 2")
    assert len(commands) == 3


def test_a_control_of_other_seeds_stands_in_where_there_is_none(
    commands: list[Lines], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = printed(tmp_path, monkeypatch, capsys, "1 2", "3 4")
    assert [row[:2] for row in rows[:5]] == [
        [SOFT, "1 2"],
        [SOFT, "3 4"],
        [HARD, "1 2"],
        [HARD, "3 4"],
        [CONTROL, "1 2"],
    ]
    assert [(row[0][:8], row[1][:7], row[2]) for row in rows[5:]] == [
        ("expected", "minimum", "1 2"),
        ("expected", "teacher", "1 2"),
        ("expected", "minimum", "3 4"),
        ("expected", "teacher", "3 4; 1 2"),
        ("minimum ", "teacher", "1 2"),
        ("minimum ", "teacher", "3 4; 1 2"),
    ]
    assert rows[8][3] == "" and rows[8][4].startswith("**+")


def test_a_folder_without_cells_is_told_of(
    commands: list[Lines], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given = ["--init_from", "start", "--out", str(tmp_path), "--seeds", "1", "9"]
    monkeypatch.setattr("sys.argv", ["averaged_objectives.py", *given])
    with pytest.raises(SystemExit) as ended:
        run_script(averaged_objectives.main)
    assert ended.value.code == 2
    said = f"--out {tmp_path}: no objective has finished cells of --seeds; objectives.py makes them"
    assert capsys.readouterr() == ("", f"error: {said}\n")


@pytest.mark.parametrize("seeds", ["1", "2 2"])
def test_a_group_is_two_seeds_that_differ(
    seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given = ["--init_from", "start", "--out", str(tmp_path), "--seeds", *seeds.split()]
    monkeypatch.setattr("sys.argv", ["averaged_objectives.py", *given])
    with pytest.raises(SystemExit) as ended:
        run_script(averaged_objectives.main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: --seeds {seeds}: must be two or more that differ\n"
