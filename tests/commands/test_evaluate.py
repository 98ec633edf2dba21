"""`beamtrain evaluate`, as a user runs it: scores with their signatures, in tables, JSON and files."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from sacrebleu.dataset import DATASETS
from tiny import SENTENCES

from beamtrain.cli import main
from beamtrain.reporting.page import page
from beamtrain.scoring.metrics import score_corpus

REFERENCES = [*SENTENCES[:4], "Etwas ganz anderes.", "Ein kleines Mädchen klettert."]


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    """The options that name a source and a reference."""
    (tmp_path / "source").write_text("\n".join(SENTENCES), encoding="utf-8")
    (tmp_path / "reference").write_text("\n".join(REFERENCES), encoding="utf-8")
    return ["--source", str(tmp_path / "source"), "--reference", str(tmp_path / "reference")]


@pytest.fixture
def model(echo_run: Path) -> list[str]:
    return ["evaluate", "--model", str(echo_run)]


def test_json_has_everything_needed_to_get_the_score_again(model, texts, echo_run: Path, capsys):
    assert (
        main([*model, *texts, "--beam", "1,3", "--length-penalty", "average", "--alpha", "0.6", "--format", "json"])
        == 0
    )
    report = json.loads(capsys.readouterr().out)

    expected = score_corpus(SENTENCES, REFERENCES)  # the echo says the source
    assert [each["search"]["beam_size"] for each in report["evaluations"]] == [1, 3]
    for each in report["evaluations"]:
        assert each["data"] == "source"
        assert each["checkpoint"] == f"{echo_run}, step 70"
        assert (each["search"]["length_penalty"], each["search"]["alpha"]) == ("average", 0.6)
        for score, wanted in zip(each["scores"], (expected.bleu, expected.chrf, expected.ter), strict=True):
            assert score == {"name": wanted.name, "value": wanted.value, "signature": wanted.signature}
        assert each["length_ratio"] == expected.length_ratio
        assert each["sentences"] == 6
        assert each["sentences_per_second"] == pytest.approx(6 / each["seconds"])
        assert each["tokens_per_second"] == pytest.approx(each["output_tokens"] / each["seconds"])


def test_table(model, texts, capsys):
    assert main([*model, *texts]) == 0
    out = capsys.readouterr().out
    header, row, *rest = out.splitlines()
    assert header.split("  ")[0] == "data"
    bleu = score_corpus(SENTENCES, REFERENCES).bleu
    assert f"{bleu.value:.2f}" in row
    assert "gnmt 1" in row
    assert f"BLEU: {bleu.signature}" in rest
    assert any(line.startswith("TER: nrefs:1|case:lc|tok:tercom") for line in rest)


def test_translations_and_report_are_kept(model, texts, tmp_path: Path):
    assert (
        main([*model, *texts, "--beam", "1,2", "--output", str(tmp_path / "kept"), "--json", str(tmp_path / "j")]) == 0
    )
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["beam1.txt", "beam2.txt", "report.json", "report.md"]
    assert (tmp_path / "kept" / "beam2.txt").read_text(encoding="utf-8").splitlines() == SENTENCES
    assert (tmp_path / "kept" / "report.json").read_text() == (tmp_path / "j").read_text()
    assert "| 6 | Ein kleines Mädchen klettert in ein" in (tmp_path / "kept" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("vectors", [False, True])
def test_page(model, texts, tmp_path: Path, vectors):
    (tmp_path / "vectors").write_text("3 2\nein 1 0\nMann 0 1\nHaus 1 1\n", encoding="utf-8")
    options = ["--vectors", str(tmp_path / "vectors")] if vectors else []
    files = ["--html", str(tmp_path / "p.html"), "--json", str(tmp_path / "j")]
    assert main([*model, *texts, "--beam", "1,2", *options, *files]) == 0
    data = json.loads((tmp_path / "p.data.json").read_text(encoding="utf-8"))
    evaluations = json.loads((tmp_path / "j").read_text(encoding="utf-8"))["evaluations"]
    assert [each["name"] for each in data["systems"]] == ["beam 1", "beam 2"]
    assert [each["scores"] for each in data["systems"]] == [each["scores"] for each in evaluations]
    names = ["BLEU", "chrF2", *(["WMD", "WRD"] if vectors else [])]
    assert [each["score"]["name"] for each in data["systems"][1]["bootstrap"]] == names
    assert [output["text"] for output in data["systems"][0]["outputs"]] == SENTENCES
    assert page(data) == (tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_source_can_be_standard_input(model, texts, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(SENTENCES).encode())))
    assert main([*model, "--source", "-", *texts[2:], "--format", "json"]) == 0
    (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert (evaluation["data"], evaluation["sentences"]) == ("standard input", 6)


def test_two_references(model, texts, capsys):
    assert main([*model, *texts, "--reference", texts[1], "--format", "json"]) == 0
    (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert evaluation["scores"][0]["value"] == pytest.approx(100)
    assert "nrefs:2" in evaluation["scores"][0]["signature"]


def test_untranslated_lines_are_named(model, tmp_path: Path, capsys):
    (tmp_path / "long").write_text("one\n" + "x" * 3000 + "\n")
    assert main([*model, "--source", str(tmp_path / "long"), "--reference", str(tmp_path / "long")]) == 0
    assert "long, line 2: source of 3,001 tokens, above the limit of 1,024; left empty" in capsys.readouterr().out


def test_split_of_the_runs_corpus(model, echo_run: Path, tmp_path: Path, capsys):
    for side in ("en", "de"):
        for split in ("train", "dev", "test"):
            (tmp_path / f"{split}.{side}").write_text("\n".join(SENTENCES), encoding="utf-8")
    info = json.loads((echo_run / "model.json").read_text())
    info["corpus"] = {"source": str(tmp_path), "config_name": None, "test_split": None}
    (echo_run / "model.json").write_text(json.dumps(info))

    assert main([*model, "--split", "test", "--format", "json"]) == 0
    (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert (evaluation["data"], evaluation["sentences"]) == ("test", 6)
    assert evaluation["scores"][0]["value"] == pytest.approx(100)

    assert main([*model, "--split", "tset"]) == 2
    assert "no split 'tset'; there are dev, test, train; did you mean 'test'?" in capsys.readouterr().err


class TestSacrebleuTestSets:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where sacrebleu keeps wmt14, of which it has nothing and which it cannot download."""
        monkeypatch.setattr(DATASETS["wmt14"], "_outdir", str(tmp_path))
        monkeypatch.setattr(DATASETS["wmt14"], "_rawdir", str(tmp_path / "raw"))
        monkeypatch.setattr("urllib.request._opener", None)
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
        return tmp_path

    def test_by_name(self, model, folder: Path, capsys):
        for side in ("src", "ref"):
            (folder / f"wmt14.en-de.{side}").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
        for field in ("docid", "genre", "origlang"):
            (folder / f"wmt14.en-de.{field}").touch()
        assert main([*model, "--test-set", "wmt14", "--format", "json"]) == 0
        (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
        assert (evaluation["data"], evaluation["sentences"]) == ("wmt14", 6)
        assert evaluation["scores"][0]["value"] == pytest.approx(100)

    def test_out_of_reach(self, model, folder: Path, capsys):
        assert main([*model, "--test-set", "wmt14"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "--test-set wmt14: cannot be downloaded (<urlopen error" in err
        assert "give its text by --source and --reference" in err


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "nothing to evaluate on was given; choose --source FILE --reference FILE, or --split test"),
            (["--source", "a"], "--source and --reference belong together: give both files"),
            (["--split", "test", "--test-set", "wmt14"], "both --split and --test-set were given; choose"),
            (["--source", "none", "--reference", "none"], "none"),
            (["--test-set", "wmt14/ful"], "sacrebleu knows no such test set; did you mean wmt14/full?"),
            (["--test-set", "iwslt17/dev2010", "--source-lang", "de"], "translates from en into de"),
            (["--test-set", "mtedx/valid"], "it has no en-de, which the model translates; it has el-en"),
            (["--split", "test"], "model.json does not name a corpus; give --source and --reference"),
            (["--source=-", "--reference=-"], "--source and --reference are both standard input"),
            (["--split=test", "--json=-"], "--json -: must be a file; for the report as JSON on standard output give"),
            (["--split=test", "--output=-"], "--output -: must be a folder; the report is printed anyway"),
            (["--beam", "0"], "--beam 0: must be a number from 1 to 1000, or several with commas, such as 1,5,10"),
            (["--beam", "1,,5"], "--beam 1,,5: must be a number"),
            (["--beam", "fünf"], "--beam fünf: must be a number"),
            (["--beem", "1"], "No such option: --beem"),
        ],
    )
    def test_one_line_and_exit_code_2(self, model, capsys, options: list[str], message: str):
        assert main([*model, *options]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1

    def test_line_counts_differ(self, model, tmp_path: Path, capsys):
        (tmp_path / "three").write_text("1\n2\n3\n")
        (tmp_path / "two").write_text("1\n2\n")
        assert main([*model, "--source", str(tmp_path / "three"), "--reference", str(tmp_path / "two")]) == 2
        assert "the source of three has 3 lines and the reference 2: line n of one" in capsys.readouterr().err

    def test_empty_files(self, model, tmp_path: Path, capsys):
        (tmp_path / "empty").touch()
        assert main([*model, "--source", str(tmp_path / "empty"), "--reference", str(tmp_path / "empty")]) == 2
        assert "nothing to score" in capsys.readouterr().err

    def test_unwritable_places(self, model, texts, tmp_path: Path, capsys):
        for option in ("--output", "--json"):
            assert main([*model, *texts, option, str(tmp_path / "source" / "x")]) == 2
            assert f"cannot write {tmp_path}/source/x" in capsys.readouterr().err
