"""`beamtrain report`: a page whose figures are those of `evaluate`, on what was decoded once."""

import gzip
import json
import shutil
from itertools import cycle
from pathlib import Path

import pytest
from tiny import SENTENCES

from beamtrain.cli import main
from beamtrain.model.transformer import Transformer

SHALLOW = ["--sweep", "1,3", "--exact-tokens", "12", "--exact-prefixes", "400", "--max-length", "2"]


@pytest.fixture(scope="module")
def made(transformer_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A report on two copies of a run, and its arguments."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("first", "second"):
        shutil.copytree(transformer_run, folder / name)
    (folder / "source").write_text("\n".join([*SENTENCES[:3], "A man.", "cat"]), encoding="utf-8")
    (folder / "reference").write_text("\n".join([*SENTENCES[3:], "Ein Mann.", "a"]), encoding="utf-8")
    texts = ["--source", str(folder / "source"), "--reference", str(folder / "reference")]
    assert (
        main(["report", str(folder / "first"), str(folder / "second"), *texts, *SHALLOW, "--out", str(folder / "out")])
        == 0
    )
    return folder, texts


def data_of(folder: Path) -> dict:
    return json.loads((folder / "out" / "report.data.json").read_text(encoding="utf-8"))


def test_figures_are_those_of_evaluate_to_the_last_digit(made, tmp_path: Path):
    folder, texts = made
    command = ["evaluate", "--model", str(folder / "first"), *texts, "--max-length", "2"]
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    for options in ([], ["--length-penalty", "none"]):
        assert main([*command, "--beam", "1,2,3", *options, "--json", str(tmp_path / "j")]) == 0
        for each in json.loads((tmp_path / "j").read_text())["evaluations"]:
            search = each["search"]
            system = data_of(folder)["systems"][0]
            (swept,) = [
                beam
                for beam in system["beam_sweep"]
                if (beam["beam_size"], beam["length_penalty"]) == (search["beam_size"], search["length_penalty"])
            ]
            assert [score["value"] for score in swept["scores"]] == [score["value"] for score in each["scores"][:2]]
            assert swept["length_ratio"] == each["length_ratio"]
            if search["beam_size"] == 2 and not options:  # the run's own
                assert (system["scores"], system["length_ratio"]) == (each["scores"], each["length_ratio"])
                assert f'<data value="{each["scores"][0]["value"]}">' in page


def test_every_sentence_has_its_candidates_its_attention_and_its_optimum(made):
    folder, _ = made
    first, second = data_of(folder)["systems"]
    assert first["name"] == "first" and first["outputs"] == second["outputs"]
    for output in first["outputs"]:
        assert output["n_best"][0]["text"] == output["text"] and len(output["n_best"]) == 2
        assert len(output["attention"]) == len(output["tokens"]) + 1
        assert {len(row) for row in output["attention"]} == {len(output["source_tokens"])}
    *long, short = [(output["verdict"], output["reference_score"]) for output in first["outputs"]]
    assert set(long) == {(None, None)}  # of more tokens than --max-length allows
    assert short[0] in ("search error", "model error") and short[1] < 0
    assert [each["of"] for each in first["errors"]] == [1, 1, 1]
    for criterion, exact in enumerate(first["exact_search"]):
        optima = [output["exact"][criterion] for output in first["outputs"]]
        assert sum(best is not None for best in optima) == exact["decided"] <= exact["sentences"]
    assert first["exact_search"][1]["length_penalty"] == "none" and first["exact_search"][1]["decided"] > 0
    assert [each["n"] for each in first["oracle"]] == [1, 2]
    assert (
        first["by_word_frequency"] is None and "does not name a corpus" in data_of(folder)["text"]["words_counted_in"]
    )


def test_nothing_is_decoded_twice_unless_the_weights_or_the_options_change(made, tmp_path: Path, monkeypatch, capsys):
    folder, texts = made
    (tmp_path / "out").mkdir()
    before = data_of(folder)
    steps = []
    monkeypatch.setattr(Transformer, "encode", lambda *_: steps.append(1) or pytest.fail("decoded again"))
    again = ["report", str(folder / "first"), str(folder / "second"), *texts, *SHALLOW, "--out", str(tmp_path / "out")]
    assert main(again) == 0
    assert json.loads((tmp_path / "out" / "report.data.json").read_text(encoding="utf-8")) == before
    with pytest.raises(pytest.fail.Exception):
        main([*again, "--no-repeat-ngram", "2"])
    (damaged, *_) = sorted((folder / "second" / "decoded").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(pytest.fail.Exception):
        main(again)
    monkeypatch.undo()
    assert main(again) == 0
    assert json.loads((tmp_path / "out" / "report.data.json").read_text(encoding="utf-8")) == before


@pytest.mark.parametrize("kept", [["[]"], ["null", "{}", "[1, 2]", '[{"candidates": []}]', "[[7, 8, 9]]"]])
def test_what_is_kept_and_is_something_else_is_decoded_again(made, tmp_path: Path, kept: list[str]):
    folder, texts = made
    run = tmp_path / "run"
    shutil.copytree(folder / "first", run)
    for path, content in zip(sorted((run / "decoded").iterdir()), cycle(kept), strict=False):
        path.write_bytes(gzip.compress(content.encode()))
    assert main(["report", str(run), *texts, *SHALLOW, "--out", str(tmp_path / "out")]) == 0
    assert data_of(tmp_path)["systems"][0]["outputs"] == data_of(folder)["systems"][0]["outputs"]


def test_a_run_that_cannot_be_written_is_reported_on(made, tmp_path: Path, capsys):
    folder, texts = made
    shutil.copytree(folder / "first", tmp_path / "run", ignore=shutil.ignore_patterns("decoded"))
    (tmp_path / "run" / "decoded").write_text("no folder")
    command = ["report", str(tmp_path / "run"), *texts, *SHALLOW, "--exact-tokens", "0", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert capsys.readouterr().err.count("the next report decodes again") == 1
    (system,) = data_of(tmp_path)["systems"]
    assert system["exact_search"] == [] and system["outputs"] == [
        {**output, "exact": []} for output in data_of(folder)["systems"][0]["outputs"]
    ]


def test_texts_that_do_not_belong_together_are_refused_before_anything_is_decoded(made, tmp_path: Path, capsys):
    folder, texts = made
    (tmp_path / "short").write_text("one\n")
    kept = sorted((folder / "first" / "decoded").iterdir())
    command = ["report", str(folder / "first"), *texts[:3], str(tmp_path / "short"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "the source of source has 5 lines and the reference 1" in capsys.readouterr().err
    assert sorted((folder / "first" / "decoded").iterdir()) == kept and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "0"], "--sweep 0: must be a number from 1 to 1000, or several with commas"),
        (["--source", "x"], "--source and --reference belong together"),
        (["--out", "-"], "--out -: must be a folder, which gets report.html"),
        (["{run}"], "a run is given twice"),
        (["no_run"], "beamtrain: no_run: there is no such folder"),
        ([], "--split test: {run}/model.json does not name a corpus; give --source and --reference"),
    ],
)
def test_mistakes(transformer_run: Path, tmp_path: Path, capsys, options: list[str], message: str):
    options = [option.format(run=transformer_run) for option in options]
    assert main(["report", str(transformer_run), "--out", str(tmp_path / "out"), *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message.format(run=transformer_run) in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
