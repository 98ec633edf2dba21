"""Several corpora become one, in whatever layout they are."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "join_corpora.py"


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    for split, count in {"train": 3, "val": 2, "test_2016": 1}.items():
        for language in ("en", "de"):
            with gzip.open(one / f"{split}.{language}.gz", "wt", encoding="utf-8") as file:
                file.writelines(f"one {split} {language} {number}\n" for number in range(count))
    for split in ("train", "validation"):
        rows = [{"en": "two\nlines", "de": f"zwei {split} \u2028"}] * 2
        (two / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [str(one), str(two)]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_text_stands_one_after_another(folders: list[str], tmp_path: Path):
    out = tmp_path / "out"
    assert run(str(out), *folders, "--validation", "1").returncode == 0
    read = {path.name: path.read_text(encoding="utf-8").split("\n")[:-1] for path in out.iterdir()}
    assert read["train.en"] == [*(f"one train en {number}" for number in range(3)), "two lines", "two lines"]
    assert read["train.de"] == [*(f"one train de {number}" for number in range(3)), *["zwei train \u2028"] * 2]
    assert read["validation.de"] == ["one val de 0", "zwei validation \u2028"]
    assert read["test.en"] == read["test_one.en"] == ["one test_2016 en 0"]
    assert set(read) == {
        f"{name}.{each}" for name in ("train", "validation", "test", "test_one") for each in ("en", "de")
    }


def test_a_folder_has_its_name_however_it_is_given(folders: list[str], tmp_path: Path):
    command = [sys.executable, SCRIPT, str(tmp_path / "out"), ".", "../two"]
    assert subprocess.run(command, cwd=folders[0]).returncode == 0
    assert (tmp_path / "out" / "test_one.en").exists()


def test_no_text_is_written_over(folders: list[str], tmp_path: Path):
    out = tmp_path / "out"
    for given in (folders, [*folders, "--validation", "0"]):
        found = run(*given)  # the first corpus in place of OUT
        assert found.returncode == 2 and found.stderr == (
            f"error: {folders[0]} exists and is not an empty folder; give another one, or remove it first\n"
        )
    assert len(list(Path(folders[0]).iterdir())) == 6
    found = run(str(out), *folders, "--validation", "0")
    assert found.returncode == 2 and found.stderr.startswith("error: --validation 0: must be 1") and not out.exists()


def test_what_cannot_be_joined_is_refused(folders: list[str], tmp_path: Path):
    out = tmp_path / "out"
    for path in Path(folders[1]).glob("val*"):
        path.unlink()
    for given, message in (
        (folders, f"error: {folders[1]}: no validation text"),
        ([folders[0]] * 2, "error: two corpora are called one: "),
        ([folders[0], str(tmp_path / "three")], f"error: {tmp_path}/three: no folder"),
    ):
        found = run(str(out), *given)
        assert found.returncode == 2 and found.stderr.startswith(message) and not out.exists(), found.stderr
