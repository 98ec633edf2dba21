"""What is made of the cells that scripts/experiments/corpora.py leaves: the map of gains, and long sentences."""

import json
import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import added_changes
import averaged_seeds
import corpora_map
import corpora_table
import long_sentences
from corpora_cells import CONTROL, MINIMUM_RISK, RECIPE
from corpora_results import Cell, control_of, corpora_of, empty_if_older
from figures import plain, signed
from kept import kept
from made_up_cells import CELLS

from beamtrain.base.errors import UserError

Capture = pytest.CaptureFixture[str]


def test_the_map_has_the_gains_over_the_control(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["corpora_map.py", *folders])
    corpora_map.main()
    report = Path(folders[-1]) / "map"
    (start,) = json.loads((report / "map.json").read_text())
    (recipe,) = start["recipes"]
    gain = recipe["seeds"]["1"]
    assert start["parameters"] == 15
    assert (recipe["name"], recipe["stage"], start["words"]) == (RECIPE, "steps2, tokens64", 12)
    assert start["gap"] == pytest.approx(start["train"] - start["test"], abs=0.01)
    assert gain["bleu"] == pytest.approx(100 - start["test"], abs=0.01) and gain["p_bleu"] < 0.05
    short, *longer = gain["buckets"].values()
    assert short["bleu"] > gain["bleu"] and [each["bleu"] for each in longer] == [0, 0]
    assert short["length"] == short["control_length"] == 1
    assert f"{RECIPE} | steps2, tokens64 | 1 | **{signed(gain['bleu'])}** (p .001)" in capsys.readouterr().out
    assert (report / "map.png").stat().st_size > 10_000


def test_a_map_keeps_the_starts_of_another_out(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    other = {**ELSEWHERE, "start": "docs-small", "recipes": []}
    earlier = [{**other, "start": "tatoeba"}, other]
    (report / "map.json").write_text(json.dumps(earlier))
    plotted = {**other, "recipes": [{"name": RECIPE, "seeds": {"1": {"bleu": 0.5, "p_bleu": 0.5}}}]}
    (report / "elsewhere.json").write_text(json.dumps([plotted] * len(corpora_map.MARKERS)))
    monkeypatch.setattr(sys, "argv", ["corpora_map.py", *folders, "--report", str(report)])
    corpora_map.main()
    tatoeba, docs = json.loads((report / "map.json").read_text())
    assert docs == earlier[1]
    assert (tatoeba["start"], tatoeba["parameters"]) == ("tatoeba", 15)


ELSEWHERE = {"start": "docs", "parameters": 8, "words": 9, "train": 1.0, "test": 1.0, "gap": 0.0, "sentences": {}}
NO_NUMBER = json.dumps([{**ELSEWHERE, "parameters": "many", "recipes": []}])
NO_GAIN = json.dumps([{**ELSEWHERE, "recipes": [{"name": RECIPE, "stage": "", "seeds": {"1": {"bleu": 0.5}}}]}])


def test_what_a_map_has_of_a_start_stays(folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "report"
    monkeypatch.setattr(sys, "argv", ["corpora_map.py", *folders, "--report", str(report)])
    corpora_map.main()
    (start,) = whole = json.loads((report / "map.json").read_text())
    start["recipes"][0]["seeds"]["2"] = start["recipes"][0]["seeds"]["1"]
    (report / "map.json").write_text(json.dumps(whole))
    corpora_map.main()
    assert json.loads((report / "map.json").read_text()) == whole
    start["test"] += 1
    (report / "map.json").write_text(json.dumps(whole))
    with pytest.raises(UserError, match=r"a tatoeba of .* BLEU on test, that of --out has .*: tell them"):
        corpora_map.main()
    assert json.loads((report / "map.json").read_text()) == whole


def test_two_starts_of_one_name_are_told_apart(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report"
    for called in (["--called", "another start"], []):
        monkeypatch.setattr(sys, "argv", ["corpora_map.py", *folders, "--report", str(report), *called])
        corpora_map.main()
    starts = json.loads((report / "map.json").read_text())
    assert [each["start"] for each in starts] == ["tatoeba", "tatoeba (another start)"]
    assert starts[0]["recipes"] == starts[1]["recipes"]


@pytest.mark.parametrize("name", ["map.json", "elsewhere.json"])
@pytest.mark.parametrize("text", ["[{", "3", "{}", '["docs"]', '[{"start": "docs"}]', NO_NUMBER, NO_GAIN])
def test_a_file_that_is_no_map_is_told_of(
    text: str, name: str, folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "argv", ["corpora_map.py", *folders, "--report", str(tmp_path)])
    with pytest.raises(UserError, match=f"{name} is no map of starts"):
        corpora_map.main()
    assert (tmp_path / name).read_text() == text and not (tmp_path / "map.png").exists()


def test_long_sentences_are_those_of_the_source(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["long_sentences.py", *folders, "--test_only"])
    long_sentences.main()
    printed = capsys.readouterr().out
    assert "tatoeba, test: 60 sentences of 20 words and more" in printed
    assert "| references |  |  |  |  | 1 | 0 (0.0%) |  |" in printed
    assert f"| {RECIPE} | 1 | steps2, tokens64 | 100.00 | +.00 | 1.000 | 0 (0.0%) | met |" in printed


def test_the_table_has_every_finished_cell(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["corpora_table.py", *folders])
    corpora_table.main()
    start, control, recipe = capsys.readouterr().out.splitlines()[-3:]
    assert start.split(" | ")[4:] == [*control.split(" | ")[4:-1], " |"]
    assert recipe.startswith(f"| {RECIPE} | 1 | 2 | 0.5 | 100.00 100.00 1.000 |")
    assert recipe.partition("test: +")[2].count("(p 0.001)") == 2


def test_seeds_that_kept_their_weights_are_averaged(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = Path(folders[-1]) / "cells"
    for key in CELLS.values():
        first = cells / f"tatoeba_{key}_steps2_tokens64_seed1"
        second = shutil.copytree(first, first.with_name(first.name.replace("seed1", "seed2")))
        content = json.loads((first / "result.json").read_text())
        (second / "result.json").write_text(json.dumps({**content, "seed": 2}))
        save_file({"weight": torch.tensor([1.0, 0.0])}, first / "model.safetensors")
    save_file({"weight": torch.tensor([1.0, 1.0])}, second / "model.safetensors")
    save_file({"weight": torch.zeros(2)}, cells.parent / "starts" / "tatoeba" / "model.safetensors")
    monkeypatch.setattr("sys.argv", ["averaged_seeds.py", *folders, "--seeds", "1", "2"])
    monkeypatch.setattr(averaged_seeds, "averaged", lambda _, __, group: group[1].folder)
    averaged_seeds.main()
    printed = capsys.readouterr().out.splitlines()[5:]
    (control,) = printed
    assert control.startswith(f"| {CONTROL} | 2 | .71 | test | ") and control.endswith("| +.00, +.00 |  |")
    for key in CELLS.values():
        if (other := cells / f"tatoeba_{key}_steps2_tokens64_seed2") != second:
            shutil.copy(second / "model.safetensors", other)
    averaged_seeds.main()
    _, recipe = capsys.readouterr().out.splitlines()[5:]
    assert recipe.startswith(f"| {RECIPE} | 2 | .71 | test | 100.00, 100.00 | 100.00, 100.00, 1.000 | +.00, +.00 | **+")
    assert recipe.count("(p .001)") == 2


def test_the_network_with_both_changes_is_compared_with_both(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, commands = Path(folders[-1]), list[list[str]]()
    cells = {name: out / "cells" / f"tatoeba_{key}_steps2_tokens64_seed1" for name, key in CELLS.items()}
    for folder in cells.values():
        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")

    def merge(command: list[str], log: Path, _: int) -> None:
        commands.append(command[3:])
        shutil.copytree(cells[RECIPE if command[3] == "add" else CONTROL], log.with_suffix(""))

    monkeypatch.setattr(averaged_seeds, "run", merge)
    monkeypatch.setattr("sys.argv", ["added_changes.py", *folders, "--start", "tatoeba"])
    added_changes.main()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"| {RECIPE}"))
    assert line.startswith(f"| {RECIPE} | 1 | 1 | test | 100.00, 100.00, 1.000 | **+")
    assert line.count("**") == 4 and line.count("| +.00") == 1  # ahead of the control in both figures
    both = [str(cells[CONTROL]), str(cells[RECIPE]), "--start", str(out / "starts" / "tatoeba")]
    assert [command[:5] for command in commands] == [["add", *both]]


def test_the_changes_of_averages_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(averaged_seeds, "run", lambda command, _, __: commands.append(command[3:]))
    monkeypatch.setattr(averaged_seeds, "translate", lambda *_: None)
    control, recipe = (
        [Cell(name, seed, "steps2", {}, 2, 0.5, 0, tmp_path / "cells" / f"{name}_seed{seed}") for seed in seeds]
        for name, seeds in (("control", (1, 2)), ("recipe", (1, 2, 3)))
    )
    found = added_changes.networks(Namespace(out=tmp_path, threads=1), "tatoeba", control, recipe)
    assert [command[0] for command in commands] == ["average", "average", "add"]
    assert commands[2][1:5] == [str(found[1]), str(found[2]), "--start", str(tmp_path / "starts" / "tatoeba")]
    assert [path.name for path in found[1:]] == ["control_seed1_and_2", "recipe_seed1_and_2_and_3"]


def test_the_average_of_other_seeds_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(averaged_seeds, "run", lambda command, _, __: commands.append(command))
    monkeypatch.setattr(averaged_seeds, "translate", lambda *_: None)
    for seeds in ((1, 2), (1, 3), (1, 2, 3)):
        group = [
            Cell(RECIPE, seed, "steps2", {}, 2, 0.5, 0, tmp_path / "cells" / f"recipe_seed{seed}") for seed in seeds
        ]
        averaged_seeds.averaged(Namespace(out=tmp_path, threads=1), "tatoeba", group)
    assert len({command[command.index("--name") + 1] for command in commands}) == 3


def test_gains_are_correlated_with_what_is_known_of_the_starts(capsys: pytest.CaptureFixture[str]) -> None:
    slow = f"{MINIMUM_RISK}, learning rate x 0.5"
    gains = [
        {RECIPE: [3.0, 1.0], MINIMUM_RISK: [0.0], slow: [1.0]},
        {RECIPE: [1.0], MINIMUM_RISK: [2.0]},
        {RECIPE: [0.0]},
    ]
    starts = [
        {
            "gap": gap,
            "parameters": parameters,
            "words": 6,
            "recipes": [
                {"name": name, "seeds": {seed: {"bleu": each} for seed, each in enumerate(seeds)}}
                for name, seeds in recipes.items()
            ],
        }
        for gap, parameters, recipes in zip((1.0, 2.0, 0.0), (1e6, 2e6, 3e6), gains, strict=True)
    ]
    corpora_map.print_correlations(starts)
    recipe, risk, best = capsys.readouterr().out.splitlines()[-3:]
    assert recipe == f"| {RECIPE} | 3 | +.50 (p .67) | **-1.00** (p .001) |  |"
    assert risk == f"| {MINIMUM_RISK} | 2 |  |  |  |"
    assert best == f"| {MINIMUM_RISK}, K and rate that gained most | 2 |  |  |  |"
    assert corpora_map.gains_of(starts[0], {MINIMUM_RISK, slow}) == [0.0, 1.0]


def test_the_average_of_weights_that_have_changed_is_made_anew(tmp_path: Path) -> None:
    average, cell = tmp_path / "average", tmp_path / "cell"
    for age, folder in ((0, cell), (1, average)):
        folder.mkdir()
        (folder / "model.safetensors").touch()
        os.utime(folder / "model.safetensors", (1000 + age, 1000 + age))
    empty_if_older(average, [cell])
    assert average.exists()
    os.utime(cell / "model.safetensors", (2000, 2000))
    empty_if_older(average, [cell])
    assert not average.exists() and cell.exists()
    empty_if_older(average, [cell])


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        ("a b c d e a b c d e", True),
        ("a b c d e x a b c d f", False),
        ("ja ja ja ja ja ja", True),
        ("ja ja ja ja ja", False),
        ("", False),
    ],
)
def test_five_words_in_a_row_twice(line: str, twice: bool) -> None:
    assert long_sentences.repeats(line.split()) == twice


def test_the_control_has_the_same_seed_and_stage() -> None:
    cells = [
        Cell(name, seed, stage, {}, 2, 0.5, 0, Path())
        for name in (CONTROL, RECIPE)
        for seed in (1, 2)
        for stage in ("steps2", "steps4")
    ]
    control = control_of(Cell(RECIPE, 2, "steps4", {}, 2, 0.5, 0, Path()), cells)
    assert control and control[:3] == (CONTROL, 2, "steps4")
    assert control_of(Cell(RECIPE, 3, "steps4", {}, 2, 0.5, 0, Path()), cells) is None
    assert control_of(control, cells) is None


def test_sets_belong_to_corpora() -> None:
    joined = ["docs-train", "docs-validation", "docs-test", "multi30k-train", "multi30k-validation"]
    docs, multi30k = corpora_of([*joined, "multi30k-test_2016_flickr", "docs-test_hard"])
    assert docs == ("docs", "docs-train", "docs-validation", "docs-test")
    assert multi30k.held_out == ["multi30k-test_2016_flickr", "multi30k-validation"]
    assert corpora_of(["test", "test_hard", "train", "validation"]) == [("", "train", "validation", "test")]


def test_a_result_is_kept_for_its_inputs(tmp_path: Path) -> None:
    given = iter(["first", "second"])
    results = [kept(tmp_path, lambda: next(given), "name", each) for each in (1, 1, "1")]
    assert results == ["first", "first", "second"]


def test_a_kept_result_that_is_damaged_is_computed_again(tmp_path: Path) -> None:
    assert kept(tmp_path, lambda: "first", "name") == "first"
    (path,) = tmp_path.iterdir()
    path.write_text("")
    assert kept(tmp_path, lambda: "second", "name") == "second"
    assert kept(tmp_path, lambda: "third", "name") == "second"


def test_figures_are_written_without_the_zero() -> None:
    assert [signed(each) for each in (0.154, -0.2, 1.5, -10.04, 0)] == ["+.15", "-.20", "+1.50", "-10.04", "+.00"]
    assert [plain(each, 3) for each in (0.9768, 1.02, 1)] == [".977", "1.020", "1.000"]
