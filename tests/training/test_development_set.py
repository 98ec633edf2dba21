"""The development BLEU of training is that of `beamtrain evaluate --split validation` on what was saved."""

import json
import shutil
from pathlib import Path

import pytest

from beamtrain.cli import main
from beamtrain.runs.loading import load_run
from beamtrain.training.development_set import DevelopmentSet

ODD = [("", "red one"), (" \u3000", "cat"), ("cat " * 1500, "dog"), ("two\u2028cats 😀", "katzen"), ("\x07", "bell")]


@pytest.fixture
def validated(monkeypatch):
    """What every validation has translated: row -> text."""
    found, translated = [], DevelopmentSet.translated

    def keep(self, *arguments):
        found.append(translated(self, *arguments))
        return found[-1]

    monkeypatch.setattr(DevelopmentSet, "translated", keep)
    return found


@pytest.fixture
def odd_corpus(words_corpus, tmp_path):
    """A corpus with lines in its development set that are left empty."""
    corpus = shutil.copytree(words_corpus, tmp_path / "odd", ignore=shutil.ignore_patterns("cache"))
    for side in (0, 1):
        path = corpus / f"validation.{('en', 'de')[side]}"
        lines = path.read_text().split("\n")[:-1]
        for place, pair in enumerate(ODD):
            lines.insert(3 * place, pair[side])
        path.write_text("".join(f"{line}\n" for line in lines))
    return corpus


AVERAGED = ["--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging", "--trainer.callbacks.decay=0.5"]


@pytest.mark.parametrize(
    "options",
    [[], ["--trainer.precision=bf16-mixed"], ["--trainer.precision=64-true"],
     ["--trainer.precision=bf16-mixed", *AVERAGED], ["--model.search.beam_size=1", "--data.eval_batch_tokens=50"],
     ["--model.scoring.metric=chrf++", "--trainer.num_sanity_val_steps=1"]],
    ids=" ".join,
)  # fmt: skip
def test_it_is_the_bleu_of_evaluate(train, odd_corpus, validated, capsys, options):
    assert train(f"--data.source={odd_corpus}", "--score_test=false", "--trainer.max_steps=60",
                 "--trainer.val_check_interval=60", "--model.optimizer.lr=0.01", *options) == 0  # fmt: skip
    said = capsys.readouterr().err
    assert said.count("validation, line 7: source of 1,5") == 1 and said.count("validation, line") == 1
    arguments = ["--split=validation", "--output=kept", "--json=report.json"]
    assert main(["evaluate", "--model=runs/tiny", *arguments]) == 0
    (report,) = json.loads(Path("report.json").read_text())["evaluations"]
    (hypotheses,) = (path.read_text(encoding="utf-8").split("\n")[:-1] for path in Path("kept").glob("beam*.txt"))
    (translations,) = validated
    assert [translations[row] for row in range(25)] == hypotheses and len(set(hypotheses)) > 5
    assert [hypotheses[3 * place] for place in range(3)] == ["", "", ""]
    assert load_run("runs/tiny").weights["dev_score"] in report["scores"]


def test_fewer_batches_can_be_looked_at(train, validated):
    assert train("--score_test=false", "--data.eval_batch_tokens=40", "--trainer.limit_val_batches=2") == 0
    assert {len(translations) for translations in validated} == {6}
