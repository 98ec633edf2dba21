"""The comparison of training speed is fair: both toolkits get the same batches and the same learning rates."""

import json
import sys
from pathlib import Path

import pytest

from beamtrain.data.datamodule import TranslationData
from beamtrain.data.tokenizer import EOS
from beamtrain.training.schedule import InverseSquareRoot

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.training import OURS, Recipe, Toolkit, Turn, joeynmt_config, table, write_ids

RECIPE = Recipe(vocab_size=280, width=64, heads=4, layers=1, dropout=0.1, batch_tokens=100)


@pytest.fixture
def corpus(tmp_path: Path) -> TranslationData:
    text = tmp_path / "text"
    text.mkdir()
    for split, pairs in (("train", 90), ("val", 2)):
        for language, word in (("en", "word"), ("de", "ein Wort")):
            lines = (f"{f'{word} ' * (1 + number % 7)}{number}" for number in range(pairs))
            (text / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    settings = {"vocab_size": RECIPE.vocab_size, "batch_tokens": RECIPE.batch_tokens, "max_length": 64}
    return TranslationData(str(text), cache_dir=str(tmp_path / "cache"), **settings)


def test_the_plan_for_joeynmt_is_our_batches_over_more_than_one_epoch(corpus, tmp_path):
    epoch = len(list(corpus.train_dataloader()))
    write_ids(corpus, epoch + 1, tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    source, target = ((tmp_path / f"train.{side}").read_text().splitlines() for side in ("source", "target"))
    loader = corpus.train_dataloader()
    ours = [*loader, *loader]
    assert len(plan) == len(ours) == 2 * epoch
    for lines, batch in zip(plan, ours, strict=True):
        assert len(lines) == len(batch)
        for line, ids, gold in zip(lines, batch.source.tolist(), batch.target_out.tolist(), strict=True):
            assert [int(word) for word in source[line].split()] == ids[: ids.index(EOS)]
            assert [int(word) for word in target[line].split()] == gold[: gold.index(EOS)]


def test_joeynmt_has_our_learning_rates():
    training = joeynmt_config(RECIPE, Path("corpus"), Path("run"))["training"]
    ours = InverseSquareRoot(RECIPE.warmup_steps)
    assert training["learning_rate"] == pytest.approx(RECIPE.learning_rate * ours(0))
    for step in (2, 500, 1000, 4000):  # JoeyNMT counts from 1
        shape = min(step**-0.5, step * training["learning_rate_warmup"] ** -1.5)
        theirs = training["learning_rate_factor"] * RECIPE.width**-0.5 * shape
        assert theirs == pytest.approx(RECIPE.learning_rate * ours(step - 1))


def test_the_ratio_is_the_median_over_rounds():
    def toolkit(name: str, seconds: list[float]) -> Toolkit:
        made = object.__new__(Toolkit)
        made.name, made.precision, made.batches, made.facts = name, "float32", "ours", {"parameters": 1}
        made.turns = [Turn(100, each, 2.0, 500.0) for each in seconds]
        return made

    rows = table([toolkit(OURS, [1.0, 2.0, 1.0]), toolkit("peer", [3.0, 4.0, 9.0])]).splitlines()
    assert "| 100 (50 to 100) | 1.00 | 1.00 | 5.00 |" in rows[2]
    assert "| 25 (11 to 33) | 3.00 | 1.00 | 5.00 |" in rows[3]
