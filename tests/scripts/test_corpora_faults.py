"""What scripts/experiments/corpora.py and the scripts of its results do with wrong input and damaged files."""

import gzip
import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import added_changes
import averaged_seeds
import corpora
import corpora_map
import corpora_table
import long_sentences
import training_processes
from child_processes import Ended
from command_line import run_script
from corpora_cells import CONTROL
from made_up_cells import REFERENCES, SOURCES, WORSE, write
from training_processes import Record, digest_of_weights

from beamtrain.base.errors import UserError

Capture = pytest.CaptureFixture[str]


WRONG = [
    (corpora, ["cells", "--only", "none"], "--only 'none': there is no such cell; the nearest are "),
    (corpora, ["cells", "--start", "docs"], "--data {data}: no docs_en_de/train.en.gz there"),
    (
        corpora,
        ["cells", "--start", "tatoeba"],
        "--start tatoeba: none in {out} is trained to its end; the stage `starts` trains it",
    ),
    (
        corpora,
        ["starts", "--start", "tatoeba", "--start_from", "/none"],
        "--start_from /none: no run tatoeba there that is trained to its end",
    ),
    (averaged_seeds, ["--seeds", "1"], "--seeds 1: must be two or more that differ"),
    (averaged_seeds, ["--seeds", "1", "2", "1"], "--seeds 1 2 1: must be two or more that differ"),
    (corpora_map, ["--start", "docs"], "--out {out}: none of these starts is translated there: docs"),
    (corpora_map, ["--called", "one, two"], "--called 'one, two': must have no comma"),
    (corpora_map, ["--data", "/none"], "--data /none: no tatoeba_en_de/train.en.gz there"),
    (corpora_table, ["--out", "/none"], "--out /none: none of these starts is translated there: tatoeba, docs"),
    (averaged_seeds, ["--start", "docs"], "--out {out}: none of these starts is translated there: docs"),
]


@pytest.mark.parametrize(("script", "given", "said"), WRONG)
def test_a_wrong_input_gets_a_line_and_nothing_is_written(
    script: Any, given: list[str], said: str, folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    before = sorted(Path(folders[-1]).rglob("*"))
    assert refused(script, [*given[:1], *folders, *given[1:]] if script is corpora else [*folders, *given], monkeypatch)
    error = capfd.readouterr().err
    assert error.startswith("error: " + said.format(data=folders[1], out=folders[-1])) and error.count("\n") == 1
    assert sorted(Path(folders[-1]).rglob("*")) == before


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many"])
def test_numbers_are_whole_and_positive(number: str, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    for option in ("--steps", "--validations", "--jobs", "--control_steps", "--tokens"):
        assert refused(corpora, ["cells", "--data", "d", "--out", "o", option, number], monkeypatch)
        assert f"argument {option}: {number}: must be a whole number from 1 on" in capfd.readouterr().err


def test_a_finished_cell_is_not_taken_for_one_of_other_steps(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    out = Path(folders[-1])
    (out / "starts" / "tatoeba" / "model.json").touch()
    (out / "cells" / "tatoeba_control_steps2_tokens64_seed1").rename(
        out / "cells" / "tatoeba_teacher-forcing_steps2_tokens64_seed1"
    )
    cell = ["cells", *folders, "--start", "tatoeba", "--only", CONTROL, "--steps", "2", "--tokens", "64"]
    assert not refused(corpora, cell, monkeypatch)
    assert refused(corpora, [*cell, "--control_steps", "16"], monkeypatch)
    assert "seed1 is finished with 2 steps, not 16: " in capfd.readouterr().err
    (out / "cells" / "tatoeba_teacher-forcing_steps2_tokens64_seed1.yaml").write_text("trainer: {max_steps: 2}")
    assert refused(corpora, cell, monkeypatch)
    assert "seed1 was begun from random weights, not from " in capfd.readouterr().err


@pytest.mark.parametrize("cut", [False, True])
def test_translations_of_a_finished_cell_that_were_removed_or_cut_are_made_again(
    cut: bool, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(folders[-1])
    (out / "starts" / "tatoeba" / "model.json").touch()
    control = out / "cells" / "tatoeba_teacher-forcing_steps2_tokens64_seed1"
    (out / "cells" / "tatoeba_control_steps2_tokens64_seed1").rename(control)
    lost = control / "translations" / "test.txt"
    before = lost.read_text()
    if cut:
        write(lost, WORSE)
    else:
        lost.unlink()

    def translated(command: list[str], _: Path, __: int) -> float:
        sources = (control / "sources.txt").read_text().splitlines()
        answers = dict(zip(SOURCES, WORSE, strict=True))
        write(Path(command[command.index("--output") + 1]), [answers[line] for line in sources])
        return 1.0

    monkeypatch.setattr(corpora, "run", translated)
    assert not refused(
        corpora,
        ["cells", *folders, "--start", "tatoeba", "--only", CONTROL, "--steps", "2", "--tokens", "64"],
        monkeypatch,
    )
    assert lost.read_text() == before


def test_translations_that_were_cut_are_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    cell = Path(folders[-1]) / "cells" / "tatoeba_recipe_steps2_tokens64_seed1"
    write(cell / "translations" / "test.txt", WORSE)
    for script in (corpora_map, corpora_table, long_sentences, averaged_seeds):
        assert refused(script, folders, monkeypatch)
        assert capfd.readouterr().err.startswith(f"error: {cell}/translations/test.txt has 3 lines, not 180: ")
    assert not (Path(folders[-1]) / "map" / "map.json").exists()


def test_cells_of_another_start_are_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    start = Path(folders[-1]) / "starts" / "tatoeba"
    cell = Path(folders[-1]) / "cells" / "tatoeba_recipe_steps2_tokens64_seed1"
    Record(1.0, True, digest_of_weights(start)).save(cell)
    assert not refused(corpora_table, folders, monkeypatch)
    for weights in (b"before", b"after"):
        (start / "model.safetensors").write_bytes(weights)
        if weights == b"before":
            Record(1.0, True, digest_of_weights(start)).save(cell)
            assert not refused(corpora_table, folders, monkeypatch)
    capfd.readouterr()
    for script in (corpora_map, corpora_table, long_sentences, averaged_seeds, added_changes):
        assert refused(script, folders, monkeypatch)
        assert capfd.readouterr().err.startswith(f"error: {cell} was begun from other weights than {start} has now: ")


def test_translations_that_are_no_text_are_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    path = Path(folders[-1]) / "cells" / "tatoeba_recipe_steps2_tokens64_seed1" / "translations" / "test.txt"
    path.write_bytes(b"\xff\n")
    for script in (corpora_map, corpora_table, long_sentences, averaged_seeds):
        assert refused(script, folders, monkeypatch)
        error = capfd.readouterr().err
        assert str(path) in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": 1, "seed": "one", "steps": 2, "seconds": 1}'])
def test_a_result_that_is_damaged_is_told_of(
    content: str, folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    path = Path(folders[-1]) / "cells" / "tatoeba_recipe_steps2_tokens64_seed1" / "result.json"
    path.write_text(content)
    for script in (corpora_map, corpora_table, long_sentences, averaged_seeds, added_changes):
        assert refused(script, folders, monkeypatch)
        assert capfd.readouterr().err == (
            f"error: {path} is no result of a cell: remove that file, and corpora.py makes it again\n"
        )


def test_a_folder_that_is_no_cell_is_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    cell = Path(folders[-1]) / "cells" / "tatoeba_recipe_steps2_tokens64_seed1"
    stray = shutil.copytree(cell, cell.with_name("tatoeba_x"))
    assert refused(corpora_map, folders, monkeypatch)
    assert capfd.readouterr().err == f"error: {stray} is not called as a cell: move it out of there\n"


def test_translations_of_other_text_are_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    start = Path(folders[-1]) / "starts" / "tatoeba"
    write(start / "sources.txt", ["something else"])
    for script in (corpora_map, corpora_table, long_sentences):
        assert refused(script, folders, monkeypatch)
        assert capfd.readouterr().err.startswith(f"error: {start} has translated other text than that of --data: ")


@pytest.mark.parametrize("content", [b"", gzip.compress(b""), gzip.compress(b"a\n")[:-9], gzip.compress(b"\xff\n")])
def test_text_that_cannot_be_read_is_told_of(
    content: bytes, folders: list[str], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    path = Path(folders[1]) / "tatoeba_en_de" / "test.en.gz"
    path.write_bytes(content)
    assert refused(corpora_map, folders, monkeypatch)
    error = capfd.readouterr().err
    assert str(path) in error and error.startswith("error: ") and error.count("\n") == 1


def test_few_training_sentences_are_enough(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for language, lines in (("en", SOURCES), ("de", REFERENCES)):
        write(Path(folders[1]) / "tatoeba_en_de" / f"train.{language}.gz", lines)
    for path in Path(folders[-1]).rglob("translations/train.txt"):
        write(path, REFERENCES)
    monkeypatch.setattr("sys.argv", ["corpora_table.py", *folders])
    corpora_table.main()
    assert "100.00 100.00 1.000" in capsys.readouterr().out


def test_seeds_without_cells_are_told_of(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["averaged_seeds.py", *folders, "--seeds", "1", "7"])
    averaged_seeds.main()
    assert "No recipe has cells of all seeds 1, 7 that are finished and have weights." in capsys.readouterr().out


def test_text_that_was_joined_of_other_pairs_is_told_of(folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options = Namespace(data=Path(folders[1]), out=Path(folders[-1]))
    for _ in range(2):
        corpora.joined_corpus(options, "tatoeba")
    joined = options.out / "text" / "tatoeba"
    for language, lines in (("en", SOURCES), ("de", REFERENCES)):
        write(options.data / "tatoeba_en_de" / f"train.{language}.gz", lines[::-1] * 334)
    with pytest.raises(UserError, match=f"1,002 lines of train.en, which are not the 1,002 that {joined} was made of"):
        corpora.joined_corpus(options, "tatoeba")


def test_a_probe_has_the_same_cost_when_it_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def steps(command: list[str], log: Path, _: int) -> Ended:
        folder = tmp_path / "probes" / command[command.index("--name") + 1]
        assert not folder.exists()
        folder.mkdir(parents=True)
        (folder / "model.json").touch()
        probes.append(int(folder.name.rpartition("-")[2]))
        return Ended(0, probes[-1] / 4, "", log)

    probes: list[int] = []
    monkeypatch.setattr(training_processes, "ended_process", steps)
    options = Namespace(out=tmp_path, start=["tatoeba"], only=[CONTROL], steps=2, tokens=64, threads=1)
    corpora.print_costs(options)
    assert "0.250 s a step" in capsys.readouterr().out
    corpora.print_costs(options)
    assert "0.250 s a step" in capsys.readouterr().out and len(probes) == 2
    (first, *_) = (tmp_path / "probes").glob("*/training.json")
    first.write_text('{"seconds": 9, "finished": false}')
    corpora.print_costs(options)
    assert "0.250 s a step" in capsys.readouterr().out and len(probes) == 3
    monkeypatch.setattr(training_processes, "ended_process", lambda *_: Ended(0, 1.0, "", tmp_path))
    shutil.rmtree(tmp_path / "probes")
    with pytest.raises(UserError, match=r"25 steps took 1\.0 s, 5 steps 1\.0: too little to tell what one costs"):
        corpora.print_costs(options)


def refused(script: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the script ends with exit code 2."""
    monkeypatch.setattr("sys.argv", [f"{script.__name__}.py", *arguments])
    try:
        run_script(script.main)
    except SystemExit as end:
        return end.code == 2
    return False
