"""An imported model goes on with the search in the loop, and is its architecture's still."""

import random

import pytest
import torch
from tokenizers_of import TEXT

from beamtrain.cli import main
from beamtrain.runs.loading import load_run

SHORT = ["--trainer.max_steps", "3", "--trainer.val_check_interval", "3", "--trainer.log_every_n_steps", "1"]


@pytest.fixture
def corpus(tmp_path):
    words = sorted({word for line in TEXT for word in line.split()})
    draw = random.Random(3)
    for split, rows in (("train", 12), ("validation", 3)):
        for language in ("en", "de"):
            lines = [" ".join(draw.choices(words, k=draw.randint(1, 3))) for _ in range(rows)]
            (tmp_path / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


@pytest.mark.parametrize("recipe", ["minimum risk", "soft mixing"])
@pytest.mark.parametrize("name", ["marian", "m2m_100", "mbart"])
def test_a_few_steps_with_the_search_in_the_loop(name, recipe, imported, corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    origin = imported(name).run
    config = "finetune_imported.yaml" if recipe == "minimum risk" else "multi30k_ende_paper.yaml"
    data = ["--data.source", str(corpus), "--data.source_lang", "en", "--data.target_lang", "de"]
    small = ["--data.cache_dir", "cache", "--data.batch_tokens", "120", "--trainer.precision", "32-true", *SHORT]
    start = ["--init_from", str(origin), "--name", "tuned", "--model.optimizer.init_args.lr", "0.01"]
    assert main(["train", "--config", config, *start, *data, *small, "--trainer.accelerator", "cpu"]) == 0
    before, after = load_run(origin), load_run("runs/tuned")
    assert after.tokenizer.fingerprint() == before.tokenizer.fingerprint()
    assert before.description.arguments.items() <= after.description.arguments.items()
    state = after.network.state_dict()
    moved = {key for key, value in before.network.state_dict().items() if not torch.equal(value, state[key])}
    fixed = {key for key, _ in after.network.named_buffers()}
    assert moved and not moved & fixed
    assert all(value.isfinite().all() for value in state.values())


def test_without_a_corpus_a_run_of_its_own_is_refused(imported, corpus, monkeypatch, capsys):
    monkeypatch.chdir(corpus)
    assert main(["train", "--config", "finetune_imported.yaml", "--init_from", str(imported("bart").run)]) == 2
    assert "data.source is empty: say what to train on" in capsys.readouterr().err


def test_a_sentence_without_positions_is_told_before_training(imported, corpus, monkeypatch, capsys):
    monkeypatch.chdir(corpus)
    with open("validation.en", "a") as source, open("validation.de", "a") as target:
        source.write("a b " * 60 + "\n")
        target.write("c\n")
    given = ["--init_from", str(imported("bart").run), "--data.source", str(corpus), "--data.cache_dir", "cache"]
    assert main(["train", "--config", "finetune_imported.yaml", "--name", "tuned", *given]) == 2
    said = capsys.readouterr().err
    assert "of the validation split has" in said and "positions for 100: leave that sentence out" in said
    assert not (corpus / "runs").exists()
