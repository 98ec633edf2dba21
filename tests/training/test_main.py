"""A run from its config to its scores: what it leaves behind, and how it goes on after a stop."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

from beamtrain.cli import main
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run
from beamtrain.training.callbacks.save_checkpoints import BestCheckpoint


def weights(folder):
    return load_run(folder).network.state_dict()


def test_a_run_leaves_a_folder_that_translates_and_says_how_good_it_is(train, capsys):
    assert train() == 0
    out, err = capsys.readouterr()
    assert re.search(r"step 4/8 \| epoch 1 \| loss \d.*perplexity.*target tokens/s \| \d+:\d\d left", err)
    assert re.search(r"step 8 \| dev BLEU \d+\.\d\d \(best", err)
    assert "BLEU" in out and "nrefs:1|case:mixed" in out and "runs/tiny" in out
    folder = Path("runs/tiny")
    for name in ("config.yaml", "environment.json", "model.json", "tokenizer.target.model", "model.safetensors"):
        assert (folder / name).stat().st_size > 0
    assert json.loads((folder / "environment.json").read_text())["seed"] == 1
    assert len((folder / "report" / "test.hyp").read_text().splitlines()) == 12
    assert "its curves and scores: runs/tiny/report/report.html" in out
    shown = json.loads((folder / "report" / "report.data.json").read_text())["systems"][0]
    scored = json.loads((folder / "report" / "report.json").read_text())["evaluations"][0]
    assert shown["scores"] == scored["scores"] and len(shown["training"]["curves"]["dev_bleu"]) == 2
    assert (folder / "report" / "report.html").stat().st_size < 200_000
    assert (folder / "logs" / "metrics.csv").exists() and list(folder.glob("logs/**/events*"))
    assert {path.name for path in folder.rglob("*.ckpt")} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    run = load_run(folder)
    assert run.weights["step"] in (4, 8)
    Path("in.txt").write_text("red cat\n\nold dog\n")
    assert main(["translate", "--model", str(folder), "--input", "in.txt", "--output", "out.txt"]) == 0
    assert len(Path("out.txt").read_text().split("\n")) == 4


def test_an_interrupted_run_that_is_resumed_ends_as_if_it_had_never_stopped(train, capsys):
    averaging = (
        "--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging",
        "--trainer.callbacks.decay=0.5",
        "--score_test=false",
    )
    stop = ("--trainer.callbacks+=interrupting.SignalAt", "--trainer.callbacks.step=5")
    assert train("--name=whole", *averaging) == 0
    assert train("--name=parts", *averaging, *stop) == 130
    message = capsys.readouterr().err
    assert "stopped by SIGINT after step 6; runs/parts can be used as it is" in message
    assert re.search(r"to go on: beamtrain train --config=tiny.yaml --name=parts .* --resume", message)
    assert load_run("runs/parts").weights["step"] == 4  # the best so far, and usable
    assert train("--name=parts", *averaging, "--resume") == 0
    whole, parts = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("whole", "parts"))
    for key in ("state_dict", "current_model_state"):
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), name
    for mine, theirs in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        for index, moments in mine["state"].items():
            assert torch.equal(moments["exp_avg_sq"], theirs["state"][index]["exp_avg_sq"])


def test_what_an_objective_learns_is_saved_and_goes_on(train, capsys):
    learned = ("--model.objective=learning.LearnedWeight", "--score_test=false")
    assert train("--name=whole", *learned) == 0
    assert train("--name=parts", *learned, "--trainer.max_steps=4") == 0
    assert "6,209 parameters" in capsys.readouterr().err  # one of them the objective's
    assert train("--name=parts", *learned, "--resume") == 0
    whole, parts = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("whole", "parts"))
    assert whole["state_dict"]["objective.log_scale"] not in (0, load_checkpoint(
        Path("runs/parts/checkpoints/previous.ckpt"))["state_dict"]["objective.log_scale"])  # fmt: skip
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][name]), name
    parameters = {value.data_ptr() for value in parts["state_dict"].values()}  # a shared table counts once
    assert len(parts["optimizer_states"][0]["state"]) == len(parameters)


@pytest.fixture
def recurrent(train):
    """The same with the other network, named by a second config."""
    Path("gru.yaml").write_text("""
model: {network: {class_path: beamtrain.model.GRUEncoderDecoder, init_args: {width: 16, decoder_layers: 2}}}
""")
    return lambda *arguments: train("--config", "gru.yaml", "--trainer.precision=bf16-mixed", *arguments)


def test_a_recurrent_network_is_trained_resumed_and_used_like_any_other(recurrent, words_corpus, capsys):
    assert recurrent("--name=whole", "--score_test=false") == 0
    assert recurrent("--name=parts", "--score_test=false", "--trainer.max_steps=4") == 0
    assert recurrent("--name=parts", "--resume") == 0
    whole, parts = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("whole", "parts"))
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][name]), name
    run = load_run("runs/parts")
    assert run.description.network == "beamtrain.model.GRUEncoderDecoder"
    assert run.description.arguments["vocab_size"] == 36
    Path("in.txt").write_text("red cat\ntwo dog\n")
    assert main(["translate", "--model", "runs/parts", "--input", "in.txt", "--output", "out.txt"]) == 0
    assert len(Path("out.txt").read_text().split("\n")) == 3
    scored = [f"--source={words_corpus}/test.en", f"--reference={words_corpus}/test.de"]
    capsys.readouterr()
    assert main(["evaluate", "--model", "runs/parts", *scored]) == 0
    assert "nrefs:1|case:mixed" in capsys.readouterr().out


def test_a_recurrent_network_with_two_vocabularies_gets_both_sizes(recurrent):
    assert recurrent("--data.joint_vocabulary=false", "--trainer.max_steps=2", "--score_test=false") == 0
    assert load_run("runs/gru").network.source_embedding.table.num_embeddings == 36


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--model.network.init_args.widht=8"], "init_args.widht is not a setting; did you mean .*init_args.width"),
        (["--model.network.init_args.heads=3"], r"width 16 must be even and a multiple of heads \(3\); 18 would do"),
        (["--model.network.init_args.decoder_layers=0"], "decoder_layers is 0; it must be 1 or more"),
    ],
)
def test_a_wrong_setting_of_a_recurrent_network_is_one_line(recurrent, capsys, arguments, message):
    assert recurrent(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert len(lines) == 1 and re.search(message, lines[0])


def test_sigterm_saves_and_says_so(train, capsys):
    assert train("--trainer.callbacks+=interrupting.SignalAt", "--trainer.callbacks.step=2",
                 "--trainer.callbacks.name=SIGTERM") == 143  # fmt: skip
    assert "stopped by SIGTERM after step 3" in capsys.readouterr().err
    assert load_checkpoint(Path("runs/tiny/checkpoints/last.ckpt"))["global_step"] == 3


def test_a_run_is_never_overwritten_by_accident_nor_resumed_past_its_end(train, capsys):
    assert train("--score_test=false", "--write_page=false") == 0
    assert not Path("runs/tiny/report").exists()
    assert train() == 2
    assert "runs/tiny exists: --resume goes on, --overwrite replaces it" in capsys.readouterr().err
    assert train("--resume", "--score_test=false") == 2
    assert "runs/tiny is already at step 8 >= trainer.max_steps 8; raise it" in capsys.readouterr().err
    assert train("--resume", "--trainer.max_steps=9", "--score_test=false") == 0
    assert train("--overwrite", "--score_test=false", "--trainer.max_steps=4") == 0
    assert load_checkpoint(Path("runs/tiny/checkpoints/last.ckpt"))["global_step"] == 4


def test_resuming_what_is_not_there_or_broken_says_so(train, capsys):
    assert train("--resume_from=elsewhere.ckpt") == 2
    assert "there is no checkpoint elsewhere.ckpt" in capsys.readouterr().err
    assert train("--trainer.max_steps=1", "--score_test=false") == 0
    Path("runs/tiny/checkpoints/last.ckpt").write_bytes(b"no checkpoint")
    assert train("--resume") == 2
    assert "last.ckpt is not a checkpoint that can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--trainer.accelerator=cuda"], "CUDAAccelerator.*not available"),
        (["--data.source=missing"], "missing"),
        (["--data.vocab_size=100000"], "100000|100,000"),
        (["--data.target_lang=fr"], "fr"),
        (["--trainer.max_steps=many"], "trainer.max_steps.*many"),
        (["--model.search.beam_size=0"], "model.search.beam_size is 0; it must be 1 or more"),
        (["--model.search.alpha=20"], "model.search.alpha is 20.0; it must be a number from -10 to 10"),
        (["--model.optimizer=SparseAdam"], "model.optimizer: SparseAdam is for sparse gradients"),
        (["--model.max_gradient_norm=-1"], "max_gradient_norm is -1.0, but must be positive"),
        (["--model.objective.init_args.label_smoothing=1"], "label_smoothing is 1.0, but must be"),
        (
            ["--trainer.precision=16-mixed", "--model.optimizer=AdamW", "--model.optimizer.fused=true"],
            "16-mixed, and a fused optimizer divides by the loss scale only after.*or use bf16-mixed",
        ),
        (
            [
                "--trainer.precision=16",
                "--model.objective=BeamTraining",
                "--model.objective.loss=MinimumRisk",
                "--model.objective.start_step=3",
            ],
            "16, whose loss scale does not reach.*BeamTraining.*use bf16-mixed",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="one of the messages is about a missing GPU")
def test_a_wrong_setting_is_one_line_and_leaves_nothing_behind(train, capsys, arguments, message):
    assert train(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert len(lines) == 1 and re.search(message, lines[0])
    assert not list(Path().glob("runs/**/*.ckpt"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, with room for some ten checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mount.returncode:
        pytest.skip("this user cannot mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_stops_training_with_one_line_and_breaks_no_checkpoint(train, small_disk, capsys):
    fill = ("--trainer.callbacks+=interrupting.FillDisk", f"--trainer.callbacks.file={small_disk}/filler")
    assert train(f"--runs={small_disk}", "--save_every=1", *fill) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert re.search(r"cannot write .*ckpt: No space left on device; training has stopped.*go on with --resume", line)
    checkpoints = small_disk / "tiny" / "checkpoints"
    steps = {path.name: load_checkpoint(path)["global_step"] for path in checkpoints.glob("*.ckpt")}
    assert steps == {"last.ckpt": 3, "previous.ckpt": 2}
    assert not list(small_disk.rglob(".*.part"))
    (small_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=5m", small_disk], check=True)
    assert train(f"--runs={small_disk}", "--score_test=false", "--resume") == 0


def test_a_damaged_checkpoint_is_named_and_the_newest_good_one_goes_on(train, capsys):
    assert train("--score_test=false", "--save_every=3") == 0  # last.ckpt at steps 3, 4, 6, 8
    checkpoints = Path("runs/tiny/checkpoints")
    content = (checkpoints / "last.ckpt").read_bytes()
    (checkpoints / "last.ckpt").write_bytes(content[:5000] + b"?" + content[5001:])
    (checkpoints / ".last.ckpt.77.part").write_bytes(content[:5000])  # from a process that was killed
    (checkpoints / "best.ckpt").unlink()  # of step 8 too
    assert train("--resume", "--score_test=false") == 2
    error = capsys.readouterr().err
    assert "runs/tiny/checkpoints/last.ckpt is damaged: archive/data" in error
    (command,) = re.findall(r"is that of step 6; to go on from it: beamtrain (train .*)\n", error)
    assert command.endswith("--score_test=false --resume_from=runs/tiny/checkpoints/previous.ckpt")
    assert main(command.split()) == 0
    assert load_checkpoint(checkpoints / "last.ckpt")["global_step"] == 8
    assert load_checkpoint(checkpoints / "previous.ckpt")["global_step"] == 6  # the damaged one did not take its place
    assert not (checkpoints / ".last.ckpt.77.part").exists()


def test_a_run_that_was_killed_after_its_last_step_is_completed(train, capsys):
    assert train("--score_test=false") == 0
    before = weights("runs/tiny")
    Path("runs/tiny/model.safetensors").unlink()
    assert train("--resume") == 0
    assert all(torch.equal(before[name], value) for name, value in weights("runs/tiny").items())
    assert Path("runs/tiny/report/report.json").exists()
    assert train("--resume") == 2


def test_a_run_that_had_stopped_early_stays_so_when_it_is_resumed(train, capsys):
    early = ("--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping", "--trainer.callbacks.monitor=dev_bleu",
             "--trainer.callbacks.mode=max", "--trainer.callbacks.patience=1", "--trainer.callbacks.min_delta=100",
             "--trainer.val_check_interval=1", "--score_test=false")  # fmt: skip
    assert train(*early) == 0
    last = Path("runs/tiny/checkpoints/last.ckpt")
    stopped = load_checkpoint(last)["global_step"]
    assert stopped == 2
    Path("runs/tiny/model.safetensors").unlink()
    assert train(*early, "--resume") == 0
    assert load_checkpoint(last)["global_step"] == stopped and Path("runs/tiny/model.safetensors").exists()


def test_the_best_checkpoint_stays_the_best_when_the_folder_moves(tmp_path):
    before, after = (BestCheckpoint(tmp_path / name, "dev_bleu", "max") for name in ("before", "after"))
    after.load_state_dict(before.state_dict())
    assert after.best_model_score is None and not after.best_k_models
    before.best_model_score = torch.tensor(5.0)
    before.best_k_models = {str(tmp_path / "before" / "best.ckpt"): before.best_model_score}
    after.load_state_dict(before.state_dict())
    assert after.best_model_score == 5 and after.kth_best_model_path == str(tmp_path / "after" / "best.ckpt")
    assert after.best_k_models == {after.kth_best_model_path: 5}


def test_two_runs_with_one_seed_end_with_the_same_bits(train):
    for name in ("one", "other"):
        assert train(f"--name={name}", "--score_test=false", "--model.search.max_length=5") == 0
    one, other = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("one", "other"))
    for key in ("state_dict", "optimizer_states", "dev_score"):
        assert_same(one[key], other[key])


def assert_same(one, other):
    """Equal to the last bit, whatever it is."""
    if isinstance(one, dict | list):
        assert len(one) == len(other)
        for key in one if isinstance(one, dict) else range(len(one)):
            assert_same(one[key], other[key])
    else:
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("interval", [1000, 15, 30])
@pytest.mark.parametrize("window", [1, 2])
def test_training_that_ends_with_an_epoch_keeps_its_last_steps(train, capsys, window, interval):
    whole = ["--trainer.max_steps=-1", f"--trainer.val_check_interval={interval}", "--score_test=false"]
    whole += [f"--trainer.accumulate_grad_batches={window}"]
    assert train(*whole, "--trainer.max_epochs=2") == 0
    (step,) = re.findall(r"stopped at step (\d+): trainer.max_epochs 2 are done", capsys.readouterr().err)
    assert load_checkpoint(Path("runs/tiny/checkpoints/last.ckpt"))["global_step"] == int(step)
    assert interval < 1000 or load_run("runs/tiny").weights["step"] == int(step)
    assert train(*whole, "--trainer.max_epochs=3", "--resume") == 0
    assert train(*whole, "--trainer.max_epochs=3", "--name=at_once") == 0
    resumed, at_once = (load_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("tiny", "at_once"))
    assert resumed["global_step"] == at_once["global_step"] > int(step)
    for name, value in at_once["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
