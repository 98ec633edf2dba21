"""The text of a run: without a test split nothing is scored, and what is written down is found from anywhere."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from beamtrain.cli import main


@pytest.fixture
def without_test(words_corpus, tmp_path):
    """The corpus without its test split."""
    shutil.copytree(words_corpus, tmp_path / "text", ignore=shutil.ignore_patterns("test.*", "cache"))
    return "text"


def test_without_a_test_split_a_run_ends_well_and_scores_nothing_else(train, without_test, capsys):
    for language in ("en", "de"):
        Path(f"test.{language}").write_text("not this\n")
    assert train(f"--data.source={without_test}") == 0
    out, err = capsys.readouterr()
    assert "text has no test split: nothing is scored" in err and "BLEU" not in out
    assert not list(Path("runs/tiny").glob("report/test*"))
    assert train(f"--data.source={without_test}", "--resume") == 2
    assert "runs/tiny is already at step 8" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["text", "text/train"])
def test_a_run_is_evaluated_and_built_upon_from_any_folder(train, without_test, source, tmp_path, monkeypatch, capsys):
    settings = (f"--data.source={source}", "--data.validation_split=./text/validation", "--data.cache_dir=prepared")
    assert train(*settings, "--trainer.max_steps=2") == 0
    written = yaml.safe_load(Path("runs/tiny/config.yaml").read_text())["data"]
    assert written["source"] == str(tmp_path / source)
    assert written["validation_split"] == str(tmp_path / "text" / "validation")
    assert written["cache_dir"] == str(tmp_path / "prepared")
    assert json.loads(Path("runs/tiny/model.json").read_text())["corpus"]["source"] == str(tmp_path / source)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", "--model=../runs/tiny", "--split=validation", "--beam=1"]) == 0
    assert main(["train", "--init_from=../runs/tiny", "--trainer.max_steps=1", "--name=next"]) == 0
    assert main(["train", "--config=../runs/tiny/config.yaml", "--trainer.max_steps=1", "--name=again"]) == 0
    written = yaml.safe_load(Path("runs/next/config.yaml").read_text())
    assert written["init_from"] == written["data"]["tokenizer_from"] == str(tmp_path / "runs" / "tiny")
    capsys.readouterr()
    assert main(["evaluate", "--model=../runs/tiny", "--split=test"]) == 2
    assert "has no test split" in capsys.readouterr().err
