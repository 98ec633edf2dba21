"""An imported model goes on with the search in the loop, and is its architecture's still."""

import random

import pytest
import torch
from conftest import languages
from tokenizers_of import TEXT

from beamtrain.cli import main
from beamtrain.runs.loading import load_run

SHORT = ["--trainer.max_steps", "3", "--trainer.val_check_interval", "3", "--trainer.log_every_n_steps", "1"]
SOFT = ["--config", "multi30k_ende_paper.yaml"]


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
def test_a_few_steps_with_the_search_in_the_loop(name, recipe, foreign, corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    (corpus / "one.txt").write_text("Hello\n")
    assert main(["import", str(foreign(name)), "--name", "imported", *languages(name), "--check", "one.txt"]) == 0
    config = "finetune_imported.yaml" if recipe == "minimum risk" else "multi30k_ende_paper.yaml"
    data = ["--data.source", str(corpus), "--data.source_lang", "en", "--data.target_lang", "de"]
    small = ["--data.cache_dir", "cache", "--data.batch_tokens", "120", "--trainer.precision", "32-true", *SHORT]
    start = ["--init_from", "runs/imported", "--name", "tuned", "--model.optimizer.init_args.lr", "0.01"]
    assert main(["train", "--config", config, *start, *data, *small, "--trainer.accelerator", "cpu"]) == 0
    before, after = (load_run(f"runs/{each}") for each in ("imported", "tuned"))
    assert after.tokenizer.fingerprint() == before.tokenizer.fingerprint()
    assert after.description.arguments == before.description.arguments
    state = after.network.state_dict()
    moved = {key for key, value in before.network.state_dict().items() if not torch.equal(value, state[key])}
    fixed = {key for key, _ in after.network.named_buffers()}
    assert moved and not moved & fixed
    assert all(value.isfinite().all() for value in state.values())
    assert main(["translate", "--model", "runs/tuned", "--input", "one.txt", "--output", "out.txt"]) == 0


def test_without_a_corpus_a_run_of_its_own_is_refused(foreign, corpus, monkeypatch, capsys):
    monkeypatch.chdir(corpus)
    (corpus / "one.txt").write_text("Hello\n")
    assert main(["import", str(foreign("bart")), "--name", "imported", *languages("bart"), "--check", "one.txt"]) == 0
    assert main(["train", "--config", "finetune_imported.yaml"]) == 2
    assert "data.source is empty: say what to train on" in capsys.readouterr().err
