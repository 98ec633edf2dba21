"""scripts/experiments/objectives.py: what it refuses before anything is trained or written over."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import objectives
from command_line import run_script

CELL = "teacher_forcing-seed1"
RESULT = {"name": "teacher forcing", "seed": 1, "minutes": 10.0, "curve": []}


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """A start, an OUT that began from it and has one translated cell, and a report with that cell."""
    start, out, report = (tmp_path / name for name in ("start", "out", "report"))
    for folder in (start, out / f"{CELL}.test", report):
        folder.mkdir(parents=True)
    (start / "model.safetensors").write_bytes(b"weights")
    (out / f"{CELL}.test" / "beam5.txt").write_text("a line\n")
    (out / objectives.BEGUN).write_text(objectives.digest_of_weights(start) + "\n")
    (report / f"{CELL}.json").write_text(json.dumps(RESULT))
    return ["--init_from", str(start), "--out", str(out), "--report", str(report)]


def other_start(folder: Path) -> None:
    (folder / "start" / "model.safetensors").write_bytes(b"others")


def no_translations(folder: Path) -> None:
    (folder / "out" / f"{CELL}.test" / "beam5.txt").unlink()


def other_minutes(folder: Path) -> None:
    (folder / "report" / f"{CELL}.json").write_text(json.dumps({**RESULT, "minutes": 5}))


def half_a_file(folder: Path) -> None:
    (folder / "report" / f"{CELL}.json").write_text(json.dumps(RESULT)[:20])


def unknown_name(folder: Path) -> None:
    (folder / "report" / f"{CELL}.json").write_text(json.dumps({**RESULT, "name": "zzz"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_start, "{folder}/out has cells that began from other weights than --init_from {folder}/start has"),
        (no_translations, "{folder}/report/{cell}.json: --out {folder}/out has no translations of it: give its --out"),
        (other_minutes, "{folder}/report/{cell}.json had 5 minutes, not 10: give as many, or another --report"),
        (half_a_file, "{folder}/report/{cell}.json is no result of a cell: remove that file"),
        (unknown_name, "{folder}/report/{cell}.json is no result of a cell: remove that file"),
    ],
)
def test_cells_of_something_else_are_not_mixed_in(change, said, given, tmp_path, monkeypatch, capsys):
    change(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr("sys.argv", ["objectives.py", *given])
    with pytest.raises(SystemExit) as ended:
        run_script(objectives.main)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.count("\n") == 1
    assert error.startswith("error: " + said.format(folder=tmp_path, cell=CELL))
    assert files == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_what_is_as_it_was_goes_on(given, monkeypatch):
    begun = []
    monkeypatch.setattr(objectives, "translate", lambda *words: begun.append(words[2]))
    monkeypatch.setattr(objectives, "report", lambda _: begun.append("report"))
    monkeypatch.setattr("sys.argv", ["objectives.py", *given, "--only", "teacher forcing"])
    objectives.main()
    assert begun == ["start", "start", "report"]
