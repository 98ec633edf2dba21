"""The experiments of docs/ranking.md, each with a few steps on the digits; finished cells are kept."""

import gzip
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments" / "ranking"))

import arguments
import knn
import label_ranking
import medians
import report
import retrieval
import sort_numbers
import topk_classification
import trimmed_squares
from cached import Cells
from images import held_out, load_digits
from tiny import SENTENCES

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.transformer import Transformer
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Translator

TRAIN, TEST = load_digits()


SHORT = ["--methods", "NeuralSort", "--seeds", "1", "--steps", "10"]
WRONG: dict[str, tuple[ModuleType, list[str], str]] = {
    "no source": (knn, ["--source", "nowhere"], "--source nowhere: neither a folder of images nor a data set"),
    "another task's images": (sort_numbers, ["--task", "mnist", "--source", "digits"], "needs 60,000 train images of"),
    "no epochs": (knn, ["--epochs", "0"], "'0' is not a whole number of 1 or more"),
    "no seconds": (sort_numbers, ["--seconds", "-3"], "'-3' is not a whole number of 1 or more"),
    "no temperature": (knn, ["--tune", "0"], "'0' is not a number above 0"),
    "nothing to tune": (knn, ["--tune", "1", "--methods", "pixels"], "none of --methods pixels has a temperature"),
    "no such device": (medians, ["--device", "abacus"], "'abacus' cannot be used here: "),
    "no images in a set": (medians, ["--sizes", "0", *SHORT], "argument --sizes: invalid choice: "),
    "sets that no method has": (
        sort_numbers,
        ["--sizes", "3", "--methods", "SoftSort"],
        "are trained on others than 5",
    ),
    "sets beyond the table": (sort_numbers, ["--sizes", "4", *SHORT], "argument --sizes: invalid choice: "),
    "few steps": (sort_numbers, ["--steps", "9"], "'9' is not a whole number of 10 or more"),
    "level": (medians, ["--level", "2", *SHORT], "'2' is not a number from 0 to 1"),
    "beyond the classes": (topk_classification, ["--k", "11"], "'11' is not a whole number from 1 to 10"),
    "seed beyond a generator's": (knn, ["--seeds", str(2**63)], f"is not a whole number from 0 to {2**63 - 1}"),
    "a digit that is no number": (knn, ["--seeds", "²"], "'²' is not a whole number from 0"),
    "a file as --pictures": (knn, ["--pictures", __file__], f"'{__file__}' is a file; give another one"),
    "a folder in a file": (report, ["--pictures", f"{__file__}/p"], f"p' cannot be a folder: '{__file__}' is a file"),
    "negative seed": (trimmed_squares, ["--seeds", "-1"], "'-1' is not a whole number from 0 to"),
    "no folder": (label_ranking, ["--source", "nowhere"], "--source nowhere: no such folder, or no NAME.csv.gz in it"),
    "no run": (retrieval, ["--run", "nowhere", "--source", "nowhere"], "nowhere/train.en.gz"),
}


@pytest.mark.parametrize(("script", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(
    script: ModuleType,
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = [] if script is report else ["--out", str(tmp_path / "out"), "--pictures", str(tmp_path / "p")]
    monkeypatch.setattr("sys.argv", ["it", *folders, *options])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as stopped:
        arguments.run(script.main)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.png")) + [path for path in tmp_path.rglob("*.jsonl") if path.stat().st_size]


def test_an_interrupted_command_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        arguments.run(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted; what is finished is kept, and the same command goes on\n"


def test_a_page_keeps_its_tables_where_there_are_no_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- label_ranking -->\n| a table |\n<!-- / -->")
    monkeypatch.setattr("sys.argv", ["it", "--cells", str(tmp_path / "nowhere"), "--page", str(page)])
    with pytest.raises(SystemExit) as stopped:
        arguments.run(report.main)
    assert stopped.value.code == 2
    assert "nowhere: no finished cells there" in capsys.readouterr().err
    assert "| a table |" in page.read_text()


def test_a_page_keeps_the_tables_of_which_no_cell_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells(tmp_path / "label_ranking.jsonl")
    cells.run(
        {"set": "made", "method": "quadratic", "seed": 1, "steps": label_ranking.STEPS}, lambda: {"spearman": 0.75}
    )
    page = tmp_path / "page.md"
    kept = "<!-- a note -->\n<!-- note -->\n\n<!-- retrieval -->\n\n| a table |\n\n<!-- / -->\n"
    page.write_text(f"{kept}<!-- label_ranking -->\n| old |\n<!-- / -->\n<!-- knn-digits --><!-- / -->\n")
    options = ["--cells", str(tmp_path), "--pictures", str(tmp_path / "p"), "--page", str(page)]
    monkeypatch.setattr("sys.argv", ["it", *options])
    report.main()
    text = page.read_text()
    assert text.startswith(kept)
    assert "| made | 0.750 |" in text
    assert "| old |" not in text
    assert text.endswith("<!-- knn-digits -->\n\nNot run yet.\n\n<!-- / -->\n")
    page.unlink()
    (tmp_path / "p" / "label_ranking.png").unlink()
    with pytest.raises(OSError, match=r"page.md"):
        report.main()
    assert not list((tmp_path / "p").iterdir())


def test_what_was_trained_for_equal_time_is_called_so(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells.jsonl")
    result = {f"{kind} {size}": 0.5 for kind in ("all", "each") for size in sort_numbers.SIZES} | {"steps": 1000}
    for length in ({"steps": 1000}, {"seconds": 30}):
        settings = {"method": "SoftSort", "size": 5, "seed": 1, **length, "images": sort_numbers.IMAGES}
        cells.run(settings, lambda: result)
    names = [line.split("|")[1].strip() for line in sort_numbers.report(cells, 1000).splitlines()[3:]]
    assert names == ["SoftSort, trained on sets of 5", "SoftSort, trained on sets of 5 for 30 CPU seconds"]


def test_gains_are_those_of_the_same_seeds(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells.jsonl")
    for method, seed, rho in ((label_ranking.NONE, 1, 0.5), (label_ranking.NONE, 2, 0.9), ("quadratic", 2, 0.8)):
        settings = {"set": "made", "method": method, "seed": seed, "steps": label_ranking.STEPS}
        cells.run(settings, lambda: {"spearman": rho})  # noqa: B023 - called at once
    assert "| above no projection, sets |  | 0 |\n| below |  | 1 |" in label_ranking.report(cells)


BROKEN: dict[str, tuple[str, str]] = {
    "another number of lines": ("3,1,2\n0.5,1,2\n", "not 3 lines of 1 features and 2 ranks from 1 to 2"),
    "ranks from 0": ("1,1,2\n0.5,0,1\n", "not 1 lines of 1 features and 2 ranks from 1 to 2"),
    "fewer lines than folds": ("2,1,2\n0.5,1,2\n0.5,2,1\n", "10 folds of finite .*, got 2 lines of 2 labels; leave"),
    "one label": ("10,1,1\n" + 10 * "0.5,1\n", "with 2 or more labels are needed, got 10 lines of 1 labels;"),
    "no number": ("10,1,2\n" + 10 * "nan,1,2\n", "got 10 lines of 2 labels, not all finite;"),
    "no head": ("0.5,1,2\n", "not a line n,p,k and n lines"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_sets(text: str, message: str, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "made.csv.gz", "wt") as file:
        file.write(text)
    with pytest.raises(UserError, match=message):
        label_ranking.read(tmp_path, "made")
    with pytest.raises(UserError, match="there is no such set; those of the folder are made"):
        label_ranking.read(tmp_path, "other")


def test_a_step_costs_what_it_takes_beyond_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("cached.time.process_time", lambda: clock[0])

    def train(steps: int) -> None:
        clock[0] += 5.0 + 0.25 * steps

    cells = Cells(tmp_path / "cells.jsonl")
    assert cells.cost({"method": "SOFT"}) is None
    assert cells.seconds_a_step({"method": "SOFT"}, train) == 0.25
    assert Cells(tmp_path / "cells.jsonl").cost({"method": "SOFT"}) == 0.25
    cells.run({"method": "SOFT", "seed": 1}, lambda: {"accuracy": 1.0})
    assert [each["accuracy"] for each in cells.results(method="SOFT")] == [1.0]
    assert cells.results(method="SOFT", seed=None) == []


def test_knn_through_soft() -> None:
    task = knn.TASKS["digits"]._replace(epochs=4)
    assert knn.run(task, "SOFT", 0.1, 1, TRAIN, TEST)["accuracy"] > 90
    assert knn.run(task, "pixels", None, 1, TRAIN, TEST)["accuracy"] > 97


def test_what_was_tuned_is_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--out", str(tmp_path), "--pictures", str(tmp_path)]
    options = ["--methods", "SOFT", "--seeds", "1", "--epochs", "1", "--tune", "0.1", "1"]
    monkeypatch.setattr("sys.argv", ["it", *folders, *options])
    shown = []
    for _ in range(2):
        knn.main()
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("| held-out accuracy | 0.1 | 1.0 |\n|---|---:|---:|\n| SOFT | 9")


def test_numbers_are_sorted() -> None:
    result = sort_numbers.run("NeuralSort", 5, 1, 40, TRAIN, TEST)
    assert result["each 5"] > 0.3  # by chance .2
    assert result["all 3"] > result["all 5"] > result["all 15"]


@pytest.mark.parametrize("name", ["sorted SOFT", "fast soft rank"])
def test_medians(name: str) -> None:
    short, long = (medians.run(name, 5, 1, steps, 0.5, TRAIN, TEST)["R2"] for steps in (2, 60))
    assert long > short + 0.1


@pytest.mark.parametrize("name", topk_classification.LOSSES)
def test_topk_classification(name: str) -> None:
    task = {**topk_classification.TASKS["digits"], "epochs": 8}
    result = topk_classification.run(task, topk_classification.LOSSES[name], 1, 1, TRAIN, TEST)
    assert 80 < result["top-1"] < result["top-5"]
    assert len(result["curve"]) == 8


def test_the_report_leaves_out_seconds_of_steps_whose_cost_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, task = Cells(tmp_path / "cells.jsonl"), topk_classification.TASKS["digits"]
    result = {**dict.fromkeys(("top-1", "top-2", "top-3", "top-5"), 90.0), "curve": [(14, 90.0)]}
    settings = {"loss": "cross-entropy", "seed": 1, "k": 1, "task": task}
    cells.run(settings, lambda: result, "cuda")
    assert topk_classification.report(cells, 1, task).endswith("| cross-entropy | 90.00 | 90.00 | 90.00 | 90.00 |")
    shown: list[dict] = []
    monkeypatch.setattr(topk_classification, "save_plot", lambda path, panels, *labels: shown.append(panels))
    topk_classification.plot(cells, tmp_path / "plot.png", 1, task)
    assert shown == [{"k = 1": {}}]


def test_trimmed_squares_withstand_outliers() -> None:
    ridge, trimmed = (
        trimmed_squares.run("diabetes", name, 0.3, 1)["R2"] for name in ("ridge", "fast soft sort, quadratic")
    )
    assert trimmed > ridge + 0.02


def test_label_ranking(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((200, 3))
    scores = features @ random.standard_normal((3, 4))
    ranks = (-scores).argsort(1).argsort(1) + 1
    with gzip.open(tmp_path / "made.csv.gz", "wt") as file:
        file.write("200,3,4\n")
        np.savetxt(file, np.concatenate([features, ranks], 1), delimiter=",")
    data = label_ranking.read(tmp_path, "made")
    assert torch.equal(data.ranks, torch.tensor(ranks).float())
    plain, soft = (
        label_ranking.cross_validated(data, label_ranking.METHODS[name], 1, steps=60)["spearman"]
        for name in (label_ranking.NONE, "quadratic")
    )
    assert soft > plain > 0.8


def test_what_is_held_out_is_not_trained_on() -> None:
    kept, out = held_out(TRAIN, 200)
    assert len(kept.labels) == len(TRAIN.labels) - 200
    assert not (kept.pixels.flatten(1)[:, None] == out.pixels.flatten(1)[None, :20]).all(-1).any()


def test_text_whose_last_line_has_no_end(tmp_path: Path) -> None:
    for language, text in (("en", "a\nb"), ("de", "c\nd\n")):
        (tmp_path / f"test.{language}.gz").write_bytes(gzip.compress(text.encode()))
    assert retrieval.pairs(tmp_path, "test", ["en", "de"]) == [("a", "c"), ("b", "d")]


@pytest.mark.parametrize("broken", [gzip.compress(bytes(range(256)))[:-9], gzip.compress(b"\xff\n"), b"a\n"])
def test_text_that_is_broken(broken: bytes, tmp_path: Path) -> None:
    (tmp_path / "test.en.gz").write_bytes(broken)
    with pytest.raises(UserError, match=r"test.en.gz: not lines of UTF-8 packed by gzip: "):
        retrieval.pairs(tmp_path, "test", ["en", "de"])


def test_text_that_is_too_short_or_too_long(tokenizer: Tokenizer, transformer: Transformer) -> None:
    pair = (SENTENCES[0], SENTENCES[0])
    with pytest.raises(UserError, match=r"--pairs 1: they have .* states, and more than 64 are needed; give more"):
        retrieval.check_enough(retrieval.collected(transformer, tokenizer, [pair]), 1)
    with pytest.raises(UserError, match="none of 2 pairs has 1 to 100 tokens on each side"):
        retrieval.collected(transformer, tokenizer, [("", ""), (pair[0], 101 * SENTENCES[0])])


def test_retrieval_says_again_what_it_has_kept(tokenizer: Tokenizer, transformer: Transformer) -> None:
    """The network is random; its own training sentences are all that can be known, and the states find them."""
    text = [(line, SENTENCES[-1 - number]) for number, line in enumerate(SENTENCES)]
    known = retrieval.collected(transformer, tokenizer, text)
    network = retrieval.Retrieving(transformer, known, retrieval.Metric(known.outputs), share=0.99, temperature=1e-4)
    options = SearchOptions(beam_size=1, max_length=100)
    found = [each.text for each in Translator(network, tokenizer, options).translate([source for source, _ in text])]
    assert found == [target for _, target in text]
    share, _, log_probs = retrieval.tuned(network.metric, known, known)
    assert share == max(retrieval.SHARES)
    assert log_probs.mean() > known.log_probs.mean() + 1
    without, mixed = (
        retrieval.measured(name, 1, transformer, tokenizer, known, known, text[:4], 1)["BLEU"]
        for name in ("without", "kNN-MT")
    )
    assert mixed > without + 30


def test_a_metric_is_learned_that_finds_the_next_token() -> None:
    """Two of twenty dimensions tell the token, the others are louder."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(6, (3000,), generator=generator)
    outputs = torch.randn(3000, 20, generator=generator) * 3
    angle = tokens * torch.pi / 3
    outputs[:, 0], outputs[:, 1] = angle.cos() + 0.1 * outputs[:, 0], angle.sin() + 0.1 * outputs[:, 1]
    states = retrieval.States(outputs, tokens, torch.full((3000,), 1 / 6).log())
    known, tuning = (
        retrieval.States(*(column[part] for column in states)) for part in (slice(2500), slice(2500, 3000))
    )
    as_it_is = retrieval.tuned(retrieval.Metric(known.outputs), known, tuning)[2].mean()
    for weights_of in retrieval.LEARNED.values():
        metric = retrieval.learned(known, weights_of, seed=1, steps=60, rate=0.03)
        assert retrieval.tuned(metric, known, tuning)[2].mean() > as_it_is + 0.5
