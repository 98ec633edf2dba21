"""A run that starts from another one's weights, and one that must not start from random ones."""

import csv
import random
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from beamtrain.cli import main
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run
from beamtrain.training.warm_start import origin

WORDS = ["red", "green", "blue", "one", "two", "three", "cat", "dog", "bird", "sees", "has", "likes", "small", "large"]
BEAM = """
model:
  objective:
    class_path: beamtrain.objectives.BeamTraining
    init_args:
      loss: {class_path: beamtrain.objectives.ExpectedReward}
      operator: {class_path: beamtrain.topk.SoftTopK, init_args: {temperature: 0.5, candidates: null}}
      unroll: {beam_size: 2, candidates: 4}
trainer: {max_steps: 3, val_check_interval: 3, log_every_n_steps: 1, accelerator: cpu}
score_test: false
log_sentences: 0
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a corpus, a config of beam training and a tiny run, trained by likelihood."""
    folder, draw = tmp_path_factory.mktemp("warm"), random.Random(5)
    for split, rows in (("train", 300), ("validation", 10), ("test", 5)):
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(2, 8))) for _ in range(rows)]
        (folder / f"{split}.en").write_text("".join(f"{line}\n" for line in lines))
        (folder / f"{split}.de").write_text("".join(f"{' '.join(reversed(line.split()))}\n" for line in lines))
    (folder / "beam.yaml").write_text(BEAM)
    (folder / "start.yaml").write_text(f"""
data: {{source: {folder}, vocab_size: 36, byte_fallback: false, max_length: 40, batch_tokens: 200}}
model:
  network:
    class_path: beamtrain.model.Transformer
    init_args: {{width: 16, inner_width: 32, heads: 2, encoder_layers: 1, decoder_layers: 1, dropout: 0.1}}
trainer: {{max_steps: 4, val_check_interval: 4, log_every_n_steps: 2, accelerator: cpu}}
score_test: false
log_sentences: 0
""")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["train", "--config", str(folder / "start.yaml"), "--runs", str(folder)]) == 0
    return folder


@pytest.fixture
def train(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(start / "cache"))
    return lambda *arguments: main(["train", "--config", str(start / "beam.yaml"), *map(str, arguments)])


def test_beam_training_starts_from_a_run_s_weights_data_and_subwords(train, start, capsys):
    assert train("--init_from", start / "start", "--model.optimizer.lr=1e-9") == 0
    assert f"weights of {start / 'start'}, step 4" in capsys.readouterr().err
    before, after = load_run(start / "start"), load_run("runs/beam")
    for name, tensor in before.network.state_dict().items():
        torch.testing.assert_close(after.network.state_dict()[name], tensor, atol=1e-6, rtol=0)
    assert before.tokenizer.source.encode(["red cat"]) == after.tokenizer.source.encode(["red cat"])
    settings = yaml.safe_load(Path("runs/beam/config.yaml").read_text())
    assert settings["data"]["source"] == str(start)
    assert settings["init_from"] == str(start / "start")
    operator = settings["model"]["objective"]["init_args"]["operator"]["init_args"]
    assert operator["candidates"] is None and operator["temperature"] == 0.5  # null is a choice, and not the default


def test_a_config_can_name_the_run_to_start_from(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(start / "cache"))
    Path("fine.yaml").write_text(f"{BEAM}\ninit_from: {start / 'start'}\n")
    assert main(["train", "--config=fine.yaml"]) == 0
    assert main(["train", "--config=fine.yaml", "--name=other", "--init_from=null"]) == 2


def test_none_is_named_where_nothing_is_typed():
    assert origin([], []) is None


def test_what_is_given_wins_over_what_is_inherited(train, start):
    assert train("--init_from", start / "start", "--model.network.dropout=0.3", "--data.batch_tokens=100") == 0
    settings = yaml.safe_load(Path("runs/beam/config.yaml").read_text())
    assert settings["model"]["network"]["init_args"]["dropout"] == 0.3
    assert settings["data"]["batch_tokens"] == 100


def test_the_operator_and_the_loss_are_one_line_each(train, start):
    loss, operator = "beamtrain.objectives.MinimumRisk", "beamtrain.topk.NeuralSort"
    assert (
        train(
            "--init_from", start / "start", f"--model.objective.loss={loss}", f"--model.objective.operator={operator}"
        )
        == 0
    )
    objective = yaml.safe_load(Path("runs/beam/config.yaml").read_text())["model"]["objective"]["init_args"]
    assert (objective["loss"]["class_path"], objective["operator"]["class_path"]) == (loss, operator)


@pytest.mark.parametrize(
    "config",
    [f"{name}.yaml" for name in ("multi30k_ende_beam", "multi30k_ende_soft", "multi30k_ende_paper", "mixed_ende_beam")],
)
def test_the_shipped_configs_train_from_a_run(start, tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(start / "cache"))
    options = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--score_test=false"]
    assert main(["train", f"--config={config}", f"--init_from={start / 'start'}", *options]) == 0
    before, after = load_run(start / "start"), load_run(f"runs/{Path(config).stem}")
    changed = [
        name
        for name, tensor in before.network.state_dict().items()
        if not torch.equal(after.network.state_dict()[name], tensor)
    ]
    assert changed


def test_a_warm_started_run_resumes_its_own_weights(train, start):
    assert train(f"--init_from={start / 'start'}") == 0
    assert train(f"--init_from={start / 'start'}", "--resume", "--trainer.max_steps=5") == 0
    assert load_checkpoint(Path("runs/beam/checkpoints/last.ckpt"))["global_step"] == 5


def test_a_phase_of_teacher_forcing_can_come_first(train, start, capsys):
    both = [f"--config={start}/start.yaml", f"--config={start}/beam.yaml"]
    assert main(["train", *both, "--model.objective.start_step=2", "--name=phases"]) == 0
    with Path("runs/phases/logs/metrics.csv").open() as file:
        logged = [bool(row["train/beam_loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert logged == [False, False, True]


def test_random_weights_are_refused_and_nothing_is_lost(train, start, capsys):
    both = [f"--config={start}/start.yaml", f"--config={start}/beam.yaml", "--name=random"]
    shutil.copytree(start / "start", "runs/random")
    Path("runs/random/precious").touch()
    assert main(["train", *both, "--overwrite"]) == 2
    message = capsys.readouterr().err
    assert "BeamTraining from random weights learns nothing" in message
    assert "--init_from RUN" in message and "--model.objective.start_step STEPS" in message
    assert Path("runs/random/precious").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--init_from=nowhere"], "--init_from nowhere: not a run's folder, it has no config.yaml"),
        (
            ["--init_from=START", "--model.network.width=32"],
            "do not fit: model.network width 32 (there 16)",
        ),
        (
            ["--init_from=START", "--data.vocab_size=40"],
            "do not fit: model.network vocab_size 40 (there 36)",
        ),
        (["--init_from=START", "--model.objective.weihgt=1"], "did you mean --model.objective.weight?"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(train, start, capsys, arguments, message):
    assert train(*(each.replace("START", str(start / "start")) for each in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
