"""scripts/experiments/rounds.py: each round begins where the one before has ended, and is compared with its time."""

import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from made_up_cells import REFERENCES, WORSE, write

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import averaged_seeds
import rounds
from command_line import run_script
from corpora import cell_folder, text_of
from corpora_cells import CONTROL, CONTROLS, RECIPE, SLOWER

Lines = list[str]


class Done(NamedTuple):
    """What the script had others do."""

    rounds: list[tuple[str, int, Path]]
    """A cell, its seed and where it began."""
    merged: list[Lines]
    """The commands."""


@pytest.fixture
def done(folders: Lines, monkeypatch: pytest.MonkeyPatch) -> Done:
    """A control says what is worse, a recipe what the references say."""
    out, found = Path(folders[-1]), Done([], [])
    (out / "starts" / "tatoeba" / "model.json").touch()
    (out / "starts" / "tatoeba" / "model.safetensors").touch()

    def run_cell(options: Namespace, start: str, name: str, seed: int) -> None:
        whole = options.out.parent.parent if options.out.parent.name == "rounds" else options.out
        assert text_of(options, start) == (whole / "text" / start).resolve()
        folder = cell_folder(options, start, name, seed)
        if not folder.exists():
            found.rounds.append((name, seed, (options.out / "starts" / start).resolve()))
            told(folder, WORSE if name in CONTROLS else REFERENCES)

    def told(folder: Path, lines: Lines) -> None:
        write(folder / "translations" / "test.txt", lines * 60)
        write(folder / "translations" / "validation.txt", lines * 60)
        write(folder / "translations" / "train.txt", (lines * 334)[:1000])
        (folder / "model.safetensors").touch()

    def merge(command: Lines, log: Path, _: int) -> None:
        found.merged.append(command[3:])
        told(log.with_suffix(""), REFERENCES if command[3] == "add" or "gleu" in command[4] else WORSE)

    monkeypatch.setattr(rounds, "run_cell", run_cell)
    monkeypatch.setattr(averaged_seeds, "run", merge)
    return found


def printed(folders: Lines, monkeypatch: pytest.MonkeyPatch, capsys: Any, *options: str) -> Lines:
    given = [*folders, "--start", "tatoeba", "--recipe", RECIPE, "--steps", "2", "--tokens", "64", *options]
    monkeypatch.setattr("sys.argv", ["rounds.py", *given])
    rounds.main()
    lines: Lines = capsys.readouterr().out.splitlines()
    return lines[2:]


def test_a_round_begins_where_the_one_before_has_ended(
    done: Done, folders: Lines, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    printed(folders, monkeypatch, capsys, "--seeds", "1", "2", "--control_rounds", "3")
    out = Path(folders[-1])
    options = Namespace(out=out, steps=2, tokens=64)
    for name, number in ((RECIPE, 2), (CONTROL, 3)):
        for seed in (1, 2):
            mine = [
                (its_seed, start)
                for each, its_seed, start in done.rounds
                if each == name and (its_seed - seed) % 3 == 0
            ]
            assert [its_seed for its_seed, _ in mine] == [seed + 3 * each for each in range(number)]
            first = cell_folder(options, "tatoeba", name, seed)
            assert [start for _, start in mine[:2]] == [(out / "starts" / "tatoeba").resolve(), first.resolve()]
    before = len(done.rounds)
    printed(folders, monkeypatch, capsys, "--seeds", "1", "2", "--control_rounds", "3")
    assert len(done.rounds) == before == 10


def test_a_round_goes_on_where_the_folder_was_moved_to(
    done: Done, folders: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    printed(folders, monkeypatch, capsys, "--seeds", "1")
    out = Path(folders[-1]).rename(tmp_path / "moved")
    second = cell_folder(Namespace(out=out, steps=2, tokens=64), "tatoeba", RECIPE, 1)
    again = out / "rounds" / f"{second.name}_round2"
    shutil.rmtree(next((again / "cells").iterdir()))
    done.rounds.clear()
    printed([*folders[:-1], str(out)], monkeypatch, capsys, "--seeds", "1")
    assert done.rounds == [(RECIPE, 4, second.resolve())]


def test_a_link_to_another_place_is_renewed(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        rounds.link(tmp_path / "deep" / "link", tmp_path / place)
        assert (tmp_path / "deep" / "link").resolve() == tmp_path / place


def test_a_sum_is_compared_with_a_control_of_its_time(
    done: Done, folders: Lines, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    found = printed(folders, monkeypatch, capsys, "--seeds", "1", "2", "--rounds", "1", "--control_rounds", "2")
    assert [line.split(" | ")[1] for line in found] == [
        "seed 1, less the control",
        "seed 2, less the control",
        "average of the seeds",
        "less that of the control",
        "that and a round of the control, added up",
        "less 2 rounds of the control",
    ]
    assert all("**+" in found[place] for place in (0, 1, 3, 5))
    assert found[2].endswith("| average of the seeds | 100.00, 100.00, 1.000 |")
    _, _, second, both = done.merged
    assert [each[0] for each in done.merged] == ["average", "average", "average", "add"]
    assert [Path(run).name.rpartition("_")[2] for run in second[1:3]] == ["seed4", "seed5"]
    starts = str(Path(folders[-1]) / "starts" / "tatoeba")
    assert both[3:5] == ["--start", starts] and "seed1_and_2" in both[1] and "gleu" in both[2]


def test_the_control_may_have_other_seeds_and_another_rate(
    done: Done, folders: Lines, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    options = ["--seeds", "11", "12", "--rounds", "1", "--control", SLOWER, "--control_seeds", "1", "2"]
    found = printed(folders, monkeypatch, capsys, *options)
    assert [line.split(" | ")[1] for line in found[:2]] == [
        "seed 11, less the control of seed 1",
        "seed 12, less the control of seed 2",
    ]
    assert {(name, seed) for name, seed, _ in done.rounds} == {(RECIPE, 11), (RECIPE, 12), (SLOWER, 1), (SLOWER, 2)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--control_seeds", "1", "2"], "--control_seeds: 2; there must be as many as --seeds 3"),
        (["--recipe", "none"], "--recipe 'none': there is no such cell; all are in corpora_cells.py"),
        (["--rounds", "3", "--control_rounds", "2"], "--control_rounds 2: the control must have as many as --rounds 3"),
        ([], "--start tatoeba: none in "),
        (["--start", "none"], "argument --start: invalid choice: 'none' (choose from "),
    ],
)
def test_a_wrong_input_gets_a_line(
    given: Lines, said: str, folders: Lines, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rounds.py", *folders, "--start", "tatoeba", *given])
    with pytest.raises(SystemExit) as end:
        run_script(rounds.main)
    assert end.value.code == 2 and capfd.readouterr().err.startswith("error: " + said)
