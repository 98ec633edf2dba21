"""The main job on real text, from files to report. Slow, and only where the text is.

BEAMTRAIN_WMT14=FOLDER   parquet files in the hub's layout: train-*.parquet, validation-*, test-*, de-en rows
BEAMTRAIN_MULTI30K=FOLDER   train.en.gz, train.de.gz, val.*, test_2016_flickr.*
"""

import json
import os
from pathlib import Path

import pytest

from beamtrain.cli import main

pytestmark = pytest.mark.slow


def corpus(variable):
    if variable not in os.environ:
        pytest.skip(f"{variable} does not say where the text is")
    return os.environ[variable]


def trained(config, *settings):
    """The report that `train` leaves, after scaling the config down by `settings`."""
    assert main(["train", "--config", config, "--name", "scaled", *settings]) == 0
    return json.loads(Path("runs/scaled/report/report.json").read_text())["evaluations"][0]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


SMALL = [
    "--model.network.width=128",
    "--model.network.inner_width=256",
    "--model.network.heads=4",
    "--model.network.encoder_layers=2",
    "--model.network.decoder_layers=2",
    "--model.schedule.warmup_steps=100",
    "--data.eval_batch_tokens=4096",
    "--data.batch_tokens=4096",
    "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=20",
]


def test_wmt14_scaled_down_from_parquet_to_report():
    evaluation = trained(
        "wmt14_ende.yaml",
        f"--data.source={corpus('BEAMTRAIN_WMT14')}",
        "--data.vocab_size=4000",
        "--trainer.accumulate_grad_batches=2",
        "--trainer.max_steps=120",
        "--trainer.val_check_interval=120",
        "--model.objective.init_args.start_step=114",
        "--model.search.beam_size=2",
        "--model.search.max_length_ratio=1.2",
        *SMALL,
    )
    assert len(Path("runs/scaled/report/test.hyp").read_text().splitlines()) == evaluation["sentences"] > 2000
    assert "tok:13a" in json.dumps(evaluation)
    assert "train/reward" in Path("runs/scaled/logs/metrics.csv").read_text()  # the search was in the loop at the end
    translated = Path("out.txt")
    Path("in.txt").write_text("The committee will meet again on Thursday.\n")
    assert main(["translate", "--model", "runs/scaled", "--input", "in.txt", "--output", str(translated)]) == 0
    assert len(translated.read_text().splitlines()) == 1


def test_multi30k_learns_in_a_few_minutes():
    evaluation = trained(
        "multi30k_ende.yaml",
        f"--data.source={corpus('BEAMTRAIN_MULTI30K')}",
        "--trainer.max_steps=600",
        "--trainer.val_check_interval=600",
        "--model.schedule.total_steps=600",
        *SMALL,
    )
    assert evaluation["scores"][0]["name"] == "BLEU" and evaluation["scores"][0]["value"] > 8
    assert 0.8 < evaluation["length_ratio"] < 1.2
