"""Where a run starts: all that can refuse speaks before anything is written, and what is typed wins or is refused."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_run import ADAMW, BEST, COSINE, LAST, files, refused

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.cli import main
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.training.run_folder import CONTENTS, LOCK, RunFolder


def add_pairs():
    for language in ("en", "de"):
        with open(f"corpus/train.{language}", "a") as file:
            file.writelines(f"{word} red cat\n" for word in ["green", "blue"] * 100)


def edit(split):
    path = Path(f"corpus/{split}.en")
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([" ".join(reversed(first.split())) + " red", *others]) + "\n")


def shuffle_training_text():
    """The same words and the same number of rows: subwords and their counts stay, the sentences' places do not."""
    sides = [Path(f"corpus/train.{language}") for language in ("en", "de")]
    rows = list(zip(*(side.read_text().splitlines() for side in sides), strict=True))
    random.Random(3).shuffle(rows)
    for side, lines in zip(sides, zip(*rows, strict=True), strict=True):
        side.write_text("\n".join(lines) + "\n")


CHANGED = {
    "more text": (add_pairs, [], "the training text of .*corpus has changed since"),
    "an edited line": (lambda: edit("train"), [], "the training text of .* has changed since"),
    "lines in another order": (shuffle_training_text, [], "the training text of .* has changed since"),
    "another development set": (lambda: edit("validation"), [], "the development text of .* has changed since"),
    "fewer rows": (None, ["--data.train_rows=200"], r"data.train_rows 200 \(there null\)"),
    "shorter rows": (None, ["--data.max_length=7"], r"data.max_length 7 \(there 40\)"),
    "more subwords": (None, ["--data.vocab_size=37"], r"data.vocab_size 37 \(there 36\)"),
    "other subwords": (None, ["--data.subwords=bpe"], r"data.subwords bpe \(there unigram\)"),
    "the other direction": (
        None,
        ["--data.source_lang=de", "--data.target_lang=en"],
        r"data.source_lang de \(there en\), data.target_lang en \(there de\)",
    ),
    "another data seed": (None, ["--data.seed=2"], r"data.seed 2 \(there 1\)"),
    "other scores": (None, ["--model.scoring.metric=chrf"], r"model.scoring metric chrf \(there bleu\)"),
    "another network": (
        None,
        ["--model.network=beamtrain.model.GRUEncoderDecoder", "--model.network.width=16"],
        r"model.network class \S+GRUEncoderDecoder \(there \S+Transformer\)",
    ),
    "a wider network": (None, ["--model.network.width=32"], r"model.network width 32 \(there 16\)"),
    "more heads, in the same shapes": (None, ["--model.network.heads=4"], r"model.network heads 4 \(there 2\)"),
    "an objective with weights of its own": (
        None,
        ["--model.objective=learning.LearnedWeight"],
        r"does not fit this model: objective.log_scale is of shape \(\) \(there missing\)",
    ),
    "fewer trained parameters": (None, ["--model.trained=['*bias*']"], r'model.trained \["\*bias\*"\] \(there null\)'),
    "another optimiser": (
        None,
        ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=0.1"],
        r"model.optimizer class .*SGD \(there .*AdamW\)",
    ),
    "another state of the optimiser": (
        None,
        [ADAMW, "--model.optimizer.amsgrad=true"],
        r"model.optimizer amsgrad true \(there false\)",
    ),
    "an optimiser that cannot be": (None, [ADAMW, "--model.optimizer.betas=[2,2]"], "model.optimizer: Invalid beta"),
    "no rate left": (None, [*COSINE, "--model.schedule.total_steps=4"], "the learning rate is 0 from step 4 on"),
    "fewer epochs than were done": (
        None,
        ["--trainer.max_epochs=1"],
        r"^beamtrain: runs/tiny has already done \d+ epochs > trainer.max_epochs 1; raise it to go on$",
    ),
}


@pytest.mark.parametrize("change, arguments, message", CHANGED.values(), ids=CHANGED)
def test_a_resumed_run_goes_on_with_what_it_was_trained_on_or_is_left_as_it_was(
    train_tiny, capsys, change, arguments, message
):
    if "epochs" in message:
        assert train_tiny("--resume", "--trainer.max_steps=40", "--trainer.val_check_interval=40") == 0
    if change:
        change()
    line = refused(train_tiny, capsys, "--resume", "--trainer.max_steps=80", *arguments)
    assert re.search(message, line), line


def test_text_that_is_only_stored_in_another_way_is_the_same_text(train_tiny):
    for language in ("en", "de"):
        subprocess.run(["gzip", f"corpus/train.{language}"], check=True)
    assert train_tiny("--resume", "--trainer.max_steps=5") == 0


def test_a_checkpoint_of_another_run_is_refused(train_tiny, capsys):
    assert train_tiny("--name=other", "--trainer.max_steps=2") == 0
    assert "is not a checkpoint of runs/tiny" in refused(
        train_tiny, capsys, "--resume_from=runs/other/checkpoints/last.ckpt"
    )


IMPOSSIBLE = {
    "too many subwords": ["--data.vocab_size=8000"],
    "no text": ["--data.source=missing"],
    "an optimiser that cannot be": [ADAMW, "--model.optimizer.betas=[2,2]"],
    "a run that is not there": ["--init_from=runs/none"],
    "a network that does not fit": ["--init_from=runs/tiny", "--model.network.width=32"],
    "a callback that refuses late": ["--trainer.callbacks+=interrupting.Refuse"],
    "no rate left": [*COSINE, "--model.schedule.total_steps=5"],
}


@pytest.mark.parametrize("arguments", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("start", [["--overwrite"], ["--name=new"]], ids=["replaces a run", "starts a new one"])
def test_a_start_that_is_refused_leaves_the_old_run_and_no_new_one(train_tiny, capsys, start, arguments):
    refused(train_tiny, capsys, *start, *arguments)
    assert not Path("runs/new").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../corpus", "a\\b", "/tmp/absolute"])
def test_a_name_is_a_name_and_no_path(train_tiny, capsys, name):
    assert "is not a name for a run" in refused(train_tiny, capsys, f"--name={name}", "--overwrite")


def test_what_is_not_a_run_is_never_replaced(train_tiny, capsys):
    Path("corpus.yaml").write_text(Path("tiny.yaml").read_text())
    for arguments in (["--runs=."], ["--runs=.", "--overwrite"], ["--runs=.", "--resume"]):
        capsys.readouterr()
        assert main(["train", "--config=corpus.yaml", *arguments]) == 2
        error = capsys.readouterr().err
        assert "corpus exists and is not a run" in error and "--overwrite" not in error
        assert len(list(Path("corpus").iterdir())) == 6
    Path("corpus/config.yaml").write_text("title: Words\n")  # anything may be called so
    assert main(["train", "--config=corpus.yaml", "--runs=.", "--overwrite"]) == 2
    assert len(list(Path("corpus").iterdir())) == 7


@pytest.mark.parametrize("own", ["model.safetensors", "logs/mine", "report/test.hyp", "checkpoints/best.ckpt"])
def test_a_folder_that_holds_what_no_beginning_leaves_is_not_taken(train_tiny, capsys, own):
    Path("runs/new", own).parent.mkdir(parents=True)
    Path("runs/new", own).write_text("somebody's work")
    for start in ([], ["--resume"], ["--overwrite"]):
        assert "new exists and is not a run" in refused(train_tiny, capsys, "--name=new", *start)


def test_a_run_is_replaced_and_what_else_lies_in_its_folder_stays(train_tiny):
    Path("runs/tiny/notes.txt").write_text("mine")
    Path("runs/tiny/report").mkdir(exist_ok=True)
    Path("runs/tiny/report/test.hyp").write_text("of the old run")
    assert train_tiny("--overwrite", "--trainer.max_steps=2") == 0
    assert load_checkpoint(LAST)["global_step"] == load_checkpoint(BEST)["global_step"] == 2
    assert Path("runs/tiny/notes.txt").read_text() == "mine" and not Path("runs/tiny/report/test.hyp").exists()
    assert {path.name for path in Path("runs/tiny").iterdir()} - {"notes.txt", LOCK} <= set(CONTENTS)


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", "tokenizer.model", ".model.json.77.part"]])
def test_what_a_process_left_that_was_killed_when_it_had_just_begun_is_in_nobodys_way(train_tiny, left):
    Path("runs/new").mkdir()
    for name in left:
        Path("runs/new", name).touch()
    assert train_tiny("--name=new", "--trainer.max_steps=1") == 0


def test_a_run_that_was_half_removed_when_its_process_was_killed_can_be_replaced(train_tiny):
    for path in ("environment.json", "model.json", "checkpoints/last.ckpt"):
        Path("runs/tiny", path).unlink()
    Path("runs/tiny/.lock").touch()
    assert train_tiny("--overwrite", "--trainer.max_steps=1") == 0


@pytest.mark.parametrize("start", ["--resume", "--overwrite"])
def test_what_killed_processes_left_is_removed_when_training_begins(train_tiny, start):
    assert train_tiny(start, "--trainer.max_steps=5") == 0
    assert not list(Path("runs").rglob("*.part"))


@pytest.mark.parametrize("resume, replace", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("before", ["a run without a lock file", "nothing"])
def test_a_run_that_another_process_has_begun_in_the_meantime_is_left_alone(tmp_path, resume, replace, before):
    if before != "nothing":
        write_text(tmp_path / "config.yaml", "")
    folder = RunFolder(tmp_path)
    write_text(tmp_path / "config.yaml", "of the other")
    with folder, pytest.raises(UserError, match="another process has begun to train there in the meantime"):
        folder.claim(resume=resume, replace=replace)
    assert (tmp_path / "config.yaml").read_text() == "of the other"


def test_weights_without_a_checkpoint_are_not_trained_over(train_tiny, capsys):
    shutil.rmtree("runs/tiny/checkpoints")
    line = refused(train_tiny, capsys, "--resume", "--trainer.max_steps=6")
    assert line.endswith("start a new run from them by --init_from runs/tiny --name NAME")


def test_going_on_and_replacing_exclude_each_other(train_tiny, capsys):
    assert "give one of them" in refused(train_tiny, capsys, "--resume", "--overwrite")


def test_a_run_cannot_replace_the_one_whose_weights_it_starts_from(train_tiny, capsys):
    assert "runs/tiny is the run itself" in refused(train_tiny, capsys, "--init_from=runs/tiny", "--overwrite")


def test_the_config_of_a_run_is_about_what_is_trained_not_about_how_it_was_started(train_tiny, capsys):
    assert train_tiny("--overwrite", "--trainer.max_steps=4") == 0
    settings = yaml.safe_load(Path("runs/tiny/config.yaml").read_text())
    assert not {"name", "runs", "overwrite", "resume", "resume_from", "config"} & settings.keys()
    own = "--config=runs/tiny/config.yaml"
    before = files()
    assert main(["train", own]) == 2
    assert "runs/tiny exists: --resume goes on, --overwrite replaces it" in capsys.readouterr().err
    assert files() == before
    assert main(["train", own, "--resume", "--trainer.max_steps=5"]) == 0
    assert load_checkpoint(LAST)["global_step"] == 5 and not Path("runs/config").exists()
    assert main(["train", own, "--name=again", "--trainer.max_steps=2"]) == 0
    assert load_checkpoint(Path("runs/again/checkpoints/last.ckpt"))["global_step"] == 2
    shutil.move("runs", "elsewhere")
    assert main(["train", "--config=elsewhere/tiny/config.yaml", "--resume", "--trainer.max_steps=6"]) == 0
    assert load_checkpoint(Path("elsewhere/tiny/checkpoints/last.ckpt"))["global_step"] == 6


def test_a_run_goes_on_when_the_one_that_it_began_from_is_gone(train_tiny):
    warm = ["--name=warm", "--init_from=runs/tiny"]
    assert train_tiny(*warm, "--trainer.max_steps=2") == 0
    shutil.rmtree("runs/tiny")
    assert main(["train", "--config=runs/warm/config.yaml", "--resume", "--trainer.max_steps=3"]) == 0
    assert load_checkpoint(Path("runs/warm/checkpoints/last.ckpt"))["global_step"] == 3


def test_a_folder_is_trained_into_by_one_process_only(train_tiny, capsys, monkeypatch):
    """And it is free again as soon as that process is killed; who only reads is not hindered."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    hold = ["--trainer.callbacks+=interrupting.Hold", "--trainer.callbacks.file=training"]
    command = [sys.executable, "-m", "beamtrain.cli", "train", "--config=tiny.yaml", "--resume", *hold]
    first = subprocess.Popen([*command, "--data.num_workers=1"], env={**os.environ, "PYTHONPATH": path})
    try:
        while not Path("training").exists():
            assert first.poll() is None
        for start in ("--resume", "--overwrite"):
            assert "runs/tiny is being trained by another process" in refused(train_tiny, capsys, start)
        Path("in.txt").write_text("red cat\n")
        assert main(["translate", "--model", "runs/tiny", "--input", "in.txt", "--output", "out.txt"]) == 0
        assert train_tiny("--name=warm", "--init_from=runs/tiny", "--trainer.max_steps=1") == 0
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert train_tiny("--resume", "--trainer.max_steps=5") == 0
