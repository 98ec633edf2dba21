"""`beamtrain compare`, as a user runs it: which output is better, how sure, and where."""

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from beamtrain.cli import main
from beamtrain.reporting.page import page
from beamtrain.scoring.metrics import corpus_score

REFERENCE = ["Der Zug fährt um acht ab.", "Ich möchte ein Zimmer.", "Wo ist der Bahnhof?", "Das kostet zehn Euro."] * 20
GOOD = ["Der Zug fährt um acht ab.", "Ich möchte ein Zimmer.", "Wo ist der Bahnhof?", "Es kostet zehn Euro."] * 20
COLUMNS = ["system", "score", "bootstrap mean ± 95%", "difference from 1 [95%]", "p"]
BAD = ["Der Zug fährt um neun ab.", "Zimmer.", "Wo ist der Flughafen?", "Das kostet zehn Euro."] * 20


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """compare --reference R BAD GOOD, written to files."""
    for name, lines in (("reference", REFERENCE), ("bad", BAD), ("good", GOOD)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["compare", "--reference", str(tmp_path / "reference"), str(tmp_path / "bad"), str(tmp_path / "good")]


def test_json(files: list[str], capsys):
    assert main([*files, "--format", "json", "--samples", "200", "--changed", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["baseline"] == files[3]
    baseline, good = report["systems"]
    assert baseline["system"] == files[3]
    assert [score["difference"] for score in baseline["scores"]] == [None, None]
    bleu = good["scores"][0]
    assert bleu["score"]["value"] == pytest.approx(corpus_score(GOOD, REFERENCE).value)
    assert "bs:200|seed:12345" in bleu["score"]["signature"]
    difference = bleu["difference"]
    assert difference["p_value"] < 0.05 and 0 < difference["low"] < difference["value"] < difference["high"]
    assert [score["score"]["name"] for score in good["scores"]] == ["BLEU", "chrF2"]


def test_sentences_that_changed_most(files: list[str], capsys):
    assert main([*files, "--format", "json", "--changed", "45"]) == 0
    changes = json.loads(capsys.readouterr().out)["changed_most"]
    differences = [abs(change["system_chrf"] - change["baseline_chrf"]) for change in changes]
    assert len(changes) == 45
    assert differences == sorted(differences, reverse=True)
    assert [change["line"] for change in changes[:3]] == [2, 6, 10]  # "Zimmer." for "Ich möchte ein Zimmer."
    first = changes[0]
    assert (first["baseline_text"], first["system_text"]) == ("Zimmer.", "Ich möchte ein Zimmer.")
    assert first["references"] == ["Ich möchte ein Zimmer."]
    assert first["system_chrf"] == pytest.approx(100)


def test_text(files: list[str], capsys):
    assert main([*files, "--changed", "1"]) == 0
    out = capsys.readouterr().out
    first, second, columns, bad, *_ = out.splitlines()
    assert (first, second) == (f"1  {files[3]}", f"2  {files[4]}")
    assert re.split("  +", columns.strip()) == COLUMNS
    assert bad.split()[:2] == ["BLEU", "1"]
    assert f"{corpus_score(GOOD, REFERENCE).value:.2f}" in out
    assert "0.0010*" in out
    assert "chrF2: nrefs:1|bs:1000|seed:12345|case:mixed" in out
    assert "-> 100.0 (+" in out and f"in {files[4]}" in out
    assert "  baseline   Zimmer.\n  system     Ich möchte ein Zimmer.\n" in out


def test_names_do_not_wrap_into_the_figures(files: list[str], tmp_path: Path, monkeypatch, capsys):
    """On a terminal of 80 columns, whatever the length of a name."""
    folder = tmp_path / ("a_long_name_" * 12)
    folder.mkdir()
    for place in (3, 4):
        files[place] = str(Path(files[place]).rename(folder / Path(files[place]).name))
    monkeypatch.setattr("beamtrain.scoring.reports.WIDTH_OF_A_FILE", 80)
    assert main([*files, "--changed", "0"]) == 0
    first, second, _, *rows = capsys.readouterr().out.splitlines()
    assert (first, second) == (f"1  {files[3]}", f"2  {files[4]}")
    assert [row.split()[:2] for row in rows[:3]] == [["BLEU", "1"], ["2", rows[1].split()[1]], ["chrF2", "1"]]
    assert "]" in rows[1] and "*" in rows[1] and len(rows[1]) <= 80


def test_a_name_is_text_wherever_it_is_told(files: list[str], tmp_path: Path, capsys):
    files[4] = str(Path(files[4]).rename(tmp_path / "a\x1b[31m\nb"))
    assert main([*files, "--changed", "1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and out.count("a\ufffd[31m\ufffdb\n") == 2


def test_json_file(files: list[str], tmp_path: Path, capsys):
    assert main([*files, "--json", str(tmp_path / "report"), "--format", "json"]) == 0
    assert (tmp_path / "report").read_text(encoding="utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("vectors", [False, True])
def test_page(files: list[str], tmp_path: Path, vectors):
    (tmp_path / "vectors").write_text("Zimmer 1 0\nIch 0 1\n", encoding="utf-8")
    options = ["--samples=100", *(["--vectors", str(tmp_path / "vectors")] if vectors else [])]
    assert main([*files, *options, "--html", str(tmp_path / "page.html"), "--json", str(tmp_path / "j")]) == 0
    data = json.loads((tmp_path / "page.data.json").read_text(encoding="utf-8"))
    printed = json.loads((tmp_path / "j").read_text(encoding="utf-8"))
    assert [(each["name"], each["bootstrap"]) for each in data["systems"]] == [
        (each["system"], each["scores"]) for each in printed["systems"]
    ]
    assert [output["text"] for output in data["systems"][1]["outputs"]] == GOOD
    assert page(data) == (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", [2, 3, 4])
def test_one_of_the_files_can_be_standard_input(files: list[str], tmp_path: Path, monkeypatch, capsys, place: int):
    assert main([*files, "--format", "json", "--samples=100"]) == 0
    expected = capsys.readouterr().out
    content = io.BytesIO(Path(files[place]).read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    files[place], name = "-", files[place]
    assert main([*files, "--format", "json", "--samples=100"]) == 0
    assert capsys.readouterr().out.replace('"-"', json.dumps(name)) == expected


class TestMistakes:
    def refused(self, capsys, arguments: list[str]) -> str:
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        return err

    def test_one_output(self, files: list[str], capsys):
        assert "at least 2 systems, not 1; the first one is the baseline" in self.refused(capsys, files[:-1])

    def test_no_output(self, files: list[str], capsys):
        assert "Missing argument" in self.refused(capsys, files[:-2])

    def test_same_output_twice(self, files: list[str], capsys):
        assert "a file is given twice" in self.refused(capsys, [*files, files[3]])

    def test_missing_file(self, files: list[str], capsys):
        assert "none.txt" in self.refused(capsys, [*files, "none.txt"])

    def test_line_counts_differ(self, files: list[str], tmp_path: Path, capsys):
        (tmp_path / "short").write_text("one\n")
        err = self.refused(capsys, [*files, str(tmp_path / "short")])
        assert "short has 1 lines and the reference 80: line n of one must belong to line n of the other" in err

    def test_broken_utf8(self, files: list[str], tmp_path: Path, capsys):
        (tmp_path / "broken").write_bytes(b"good\n\xff\n")
        assert "broken, line 2: not valid UTF-8" in self.refused(capsys, [*files, str(tmp_path / "broken")])

    def test_two_from_standard_input(self, files: list[str], capsys):
        assert "an output and --reference are both standard input" in self.refused(
            capsys, ["compare", "--reference=-", "-", files[3]]
        )

    def test_two_reports_to_standard_output(self, files: list[str], capsys):
        assert "--json -: must be a file; for the report as JSON" in self.refused(capsys, [*files, "--json=-"])

    def test_a_page_needs_the_name_of_one(self, files: list[str], capsys):
        assert "--html page: must be a file whose name ends in .html" in self.refused(capsys, [*files, "--html=page"])

    def test_unwritable(self, files: list[str], tmp_path: Path, capsys):
        assert f"cannot write {tmp_path}" in self.refused(capsys, [*files, "--json", str(tmp_path)])
