"""What a run is validated and its best checkpoint chosen by, and that its scores say how they were computed."""

import csv
import json
import re
from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU
from words import WORDS

from beamtrain.cli import main
from beamtrain.runs.loading import load_run

FEW = ("--trainer.max_steps=30", "--trainer.val_check_interval=5", "--model.optimizer.lr=0.02",
       "--model.schedule.warmup_steps=5", "--score_test=false")  # fmt: skip


def validations(run="tiny"):
    with open(f"runs/{run}/logs/metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["dev/nll"]]


@pytest.mark.parametrize(("metric", "name", "best"), [("ter", "TER", min), ("chrf++", r"chrF2\+\+", max)])
def test_the_best_checkpoint_is_that_of_the_metric(train, capsys, metric, name, best):
    assert train(f"--model.scoring.metric={metric}", *FEW) == 0
    said = capsys.readouterr().err
    assert len(re.findall(rf"^dev {name}: nrefs:1\|.*version", said, re.M)) == 1
    lines = re.findall(rf"^step (\d+) \| dev {name} ([\d.]+) \(best ([\d.]+) at step (\d+)\)", said, re.M)
    rows = validations()
    scores = {int(row["step"]): float(row[f"dev_{metric}"]) for row in rows}
    assert len(scores) == 6 and "dev_bleu" not in rows[0]
    assert [(int(step), float(score)) for step, score, *_ in lines] == [
        (step, pytest.approx(score, abs=5e-3)) for step, score in scores.items()
    ]
    chosen = load_run("runs/tiny").weights
    assert scores[chosen["step"]] == best(scores.values()) == pytest.approx(chosen["dev_score"]["value"])
    assert int(lines[-1][3]) == chosen["step"] and float(lines[-1][2]) == pytest.approx(best(scores.values()), abs=5e-3)
    assert len(set(scores.values())) > 2


def test_a_run_does_not_go_on_by_another_metric(train, capsys):
    assert train(*FEW, "--trainer.max_steps=5") == 0
    assert train(*FEW, "--resume", "--model.scoring.metric=ter") == 2
    assert r"cannot go on with this: model.scoring metric ter (there bleu)" in capsys.readouterr().err


@pytest.fixture
def chinese(tmp_path):
    """The words of the corpus, each a Chinese character, and no spaces between them."""
    letters = {word: chr(0x4E00 + 7 * place) for place, word in enumerate(WORDS)}

    def translated(corpus):
        (tmp_path / "text").mkdir()
        for path in corpus.glob("*.en"):
            lines = path.read_text().splitlines()
            (tmp_path / "text" / path.name).write_text("".join(f"{line}\n" for line in lines))
            (tmp_path / "text" / f"{path.stem}.zh").write_text(
                "".join("".join(letters[word] for word in line.split()) + "。\n" for line in lines)
            )
        return f"--data.source={tmp_path}/text"

    return translated


def test_a_chinese_run_is_scored_as_chinese_everywhere(train, chinese, words_corpus, capsys):
    settings = ("--data.target_lang=zh", "--data.vocab_size=60", "--trainer.max_steps=120", *FEW[1:4])
    assert train(chinese(words_corpus), *settings, "--trainer.val_check_interval=60") == 0
    out, err = capsys.readouterr()
    assert "dev BLEU: nrefs:1|case:mixed|eff:no|tok:zh|" in err and "|tok:zh|" in out and "|asian:yes|" in out
    hypotheses = Path("runs/tiny/report/test.hyp").read_text().splitlines()
    references = Path("text/test.zh").read_text().splitlines()
    expected = BLEU(trg_lang="zh").corpus_score(hypotheses, [references]).score
    assert "," not in "".join(hypotheses) and expected > 1
    report = json.loads(Path("runs/tiny/report/report.json").read_text())["evaluations"][0]
    assert report["scores"][0]["value"] == pytest.approx(expected)
    assert main(["evaluate", "--model=runs/tiny", "--split=test", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluations"][0]["scores"] == report["scores"]
    assert main(["evaluate", "--model=runs/tiny", "--split=test", "--tokenizer=char"]) == 0
    assert "|tok:char|" in capsys.readouterr().out
    outputs = ["runs/tiny/report/test.hyp", "text/test.zh", "--reference=text/test.zh"]
    for option, tokenizer in (("--target-lang=zh", "zh"), ("--tokenizer=char", "char"), ("--changed=0", "13a")):
        assert main(["compare", *outputs, option, "--samples=100"]) == 0
        assert f"|tok:{tokenizer}|" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.scoring.metric=blue"], r"model\.scoring\.metric"),
        (["--data.target_lang=de", "--model.scoring.tokenizer=ja-mecab"], "ja-mecab: it needs more packages"),
        (["EarlyStopping", "monitor=dev_bleu"], "EarlyStopping has monitor: dev_bleu and mode: min, .* is the max"),
        (["EarlyStopping", "monitor=dev/nll", "mode=max"], "monitor: dev/nll and mode: max, but its best is the min"),
        (["EarlyStopping", "monitor=dev_ter", "mode=min"], "dev_ter, which is not measured; dev_bleu, dev/nll, train"),
        (["ModelCheckpoint", "monitor=bleu", "mode=max"], "ModelCheckpoint has monitor: bleu, which is not measured"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(train, capsys, monkeypatch, arguments, message):
    def without_mecab(*_, tokenize=None, **__):
        if tokenize == "ja-mecab":
            raise RuntimeError("no MeCab")

    monkeypatch.setattr("beamtrain.scoring.metrics.BLEU", without_mecab)
    if not arguments[0].startswith("--"):
        name, *settings = arguments
        arguments = [f"--trainer.callbacks+={name}", *(f"--trainer.callbacks.{each}" for each in settings)]
    assert train(*arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert re.search(message, line), line
    assert not Path("runs").exists()


def test_the_right_end_of_what_is_measured_is_watched(train):
    watch = ("--model.scoring.metric=ter", "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=dev_ter")
    assert train(*watch, "--trainer.max_steps=1", "--score_test=false") == 0
