"""Training on two real processes: the same result as on one, one writer, and one end for both."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from batches import batch_of

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.loading import load_run
from beamtrain.training.processes import LOST, check_strategy

WORDS = ["red", "green", "blue", "one", "two", "three", "cat", "dog", "bird", "sees", "has", "likes", "small", "large"]
BEAMTRAIN = [sys.executable, "-m", "beamtrain.cli"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small corpus of odd sizes and a config for it."""
    folder, draw = tmp_path_factory.mktemp("place"), random.Random(5)
    (folder / "corpus").mkdir()
    for split, rows in (("train", 300), ("validation", 221), ("test", 5)):
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(2, 8))) for _ in range(rows)]
        (folder / "corpus" / f"{split}.en").write_text("".join(f"{line}\n" for line in lines))
        backwards = [" ".join(reversed(line.split())) for line in lines]
        (folder / "corpus" / f"{split}.de").write_text("".join(f"{line}\n" for line in backwards))
    (folder / "tiny.yaml").write_text("""
data: {source: corpus, vocab_size: 36, byte_fallback: false, max_length: 40, batch_tokens: 120}
model:
  network:
    class_path: beamtrain.model.Transformer
    init_args: {width: 16, inner_width: 32, heads: 2, encoder_layers: 1, decoder_layers: 1, dropout: 0.0}
  optimizer:  # the bias of keys has no gradient but rounding errors, which a smaller eps would make a step of
    {class_path: torch.optim.AdamW, init_args: {lr: 0.02, eps: 0.001}}
  schedule: {class_path: beamtrain.training.InverseSquareRoot, init_args: {warmup_steps: 4}}
  search: {min_length: 16, max_length: 24}
trainer: {max_steps: 40, val_check_interval: 20, log_every_n_steps: 1, accelerator: cpu}
score_test: false
""")
    return folder


def environment(place: Path, **more: str) -> dict[str, str]:
    package = Path(__file__).parents[2]
    path = os.pathsep.join([str(package), str(Path(__file__).parents[1])])
    return {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1", **more}


def command(name: str, *options: str) -> list[str]:
    return [*BEAMTRAIN, "train", "--config=tiny.yaml", f"--name={name}", *options]


def train(place: Path, name: str, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(name, *options), cwd=place, env=environment(place), capture_output=True, text=True, timeout=900
    )


def both(place: Path, name: str, *options: str) -> subprocess.CompletedProcess:
    """On two processes, in far less than the half hour that a collective waits."""
    return train(place, name, "--trainer.devices=2", *options)


def happening(what: str, **arguments: object) -> list[str]:
    return [f"--trainer.callbacks+=many.{what}", *(f"--trainer.callbacks.{k}={v}" for k, v in arguments.items())]


def own_lines(result: subprocess.CompletedProcess) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("beamtrain: ")]


def curve(folder: Path, name: str) -> list[float]:
    with open(folder / "logs" / "metrics.csv") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def seen(folder: Path) -> dict[int, list[list[list[int]]]]:
    """Epoch -> the batches of each process."""
    epochs: dict[int, list[list[list[int]]]] = {}
    for path in sorted(folder.iterdir()):
        for epoch, rows in map(json.loads, path.read_text().splitlines()):
            epochs.setdefault(epoch, []).append(rows)
    return epochs


@pytest.fixture(scope="module")
def one_and_two(place):
    """One process with twice the budget, and two processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        assert main(command("one", "--data.batch_tokens=240", "--trainer.devices=1")[3:]) == 0
    two = both(place, "two", *happening("RecordRows", folder="rows"))
    assert two.returncode == 0, two.stderr
    return SimpleNamespace(one=place / "runs/one", two=place / "runs/two", output=two, rows=place / "rows")


class TestLikeOne:
    def test_the_same_loss_curve_and_weights_as_one_process_with_twice_the_budget(self, one_and_two):
        runs = one_and_two
        for name in ("train/loss", "train/nll", "train/gradient_norm"):
            mine, theirs = curve(runs.two, name), curve(runs.one, name)
            assert len(mine) == 40 and mine == pytest.approx(theirs, rel=1e-3), name
        assert curve(runs.two, "train/loss")[-1] < 0.9 * curve(runs.two, "train/loss")[0]  # it did learn
        theirs = weights(runs.one)
        for name, value in weights(runs.two).items():
            assert torch.allclose(value, theirs[name], atol=1e-3), name

    def test_the_development_set_is_scored_as_a_whole(self, one_and_two):
        for name in ("dev/nll", "dev_bleu"):
            values = curve(one_and_two.two, name)
            assert (
                len(values) == 2 and values[1] > 0 and values == pytest.approx(curve(one_and_two.one, name), rel=1e-4)
            ), name

    def test_the_development_bleu_is_that_of_evaluate(self, one_and_two, place, monkeypatch, capsys):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        for run in (one_and_two.one, one_and_two.two):
            capsys.readouterr()
            assert main(["evaluate", "--model", str(run), "--split=validation", "--format=json"]) == 0
            (report,) = json.loads(capsys.readouterr().out)["evaluations"]
            assert report["scores"][0] == load_run(run).weights["dev_score"] and report["scores"][0]["value"] > 0

    def test_each_sentence_once_an_epoch(self, one_and_two):
        epochs = seen(one_and_two.rows)
        kept = int(re.search(r"(\d+) of 300 training pairs kept", one_and_two.output.stderr)[1])
        first = Counter(row for rows in epochs[0] for row in rows)
        assert kept % 2 == 1 and len(first) == kept and set(first.values()) == {1}
        assert len(epochs) > 1  # an end of an epoch was passed

    def test_one_process_writes_and_speaks(self, one_and_two):
        one, two = ({path.name.split(".vm")[0].split(".1")[0] for path in run.rglob("*")}
                    for run in (one_and_two.one, one_and_two.two))  # fmt: skip
        assert two == one
        counts = Counter(one_and_two.output.stderr.splitlines() + one_and_two.output.stdout.splitlines())
        assert set(counts.values()) == {1}
        assert any("2 x cpu" in line for line in counts)
        assert "the run lies in runs/two" in one_and_two.output.stdout


class TestOneEnd:
    def test_a_killed_process_ends_the_other_with_one_line(self, place):
        result = both(place, "killed", *happening("Signal", step=24, rank=1))
        assert result.returncode == 1
        (line,) = own_lines(result)
        assert line.startswith("beamtrain: process 1 of 2 was ended by SIGKILL, so the others stopped; to go on: ")
        assert "Traceback" not in result.stderr

    @pytest.mark.slow
    def test_and_can_be_resumed(self, place):
        both(place, "again", *happening("Signal", step=24, rank=1))
        resumed = both(place, "again", "--resume")
        assert resumed.returncode == 0 and "from step 20" in resumed.stderr

    @pytest.mark.slow
    def test_so_does_a_killed_first_process(self, place):
        result = both(place, "headless", *happening("Signal", step=3, rank=0))
        assert result.returncode == -signal.SIGKILL
        assert own_lines(result) == ["beamtrain: process 0 is gone, so the others stopped"]
        assert "Traceback" not in result.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("killed", [0, 1])
    def test_even_when_the_other_waits_and_hears_nothing(self, place, killed):
        result = both(place, f"deaf{killed}", *happening("Signal", step=3, rank=killed),
                      *happening("Hang", step=3, rank=1 - killed))  # fmt: skip
        assert result.returncode == (1 if killed else -signal.SIGKILL)
        assert len(own_lines(result)) == 1

    @pytest.mark.slow
    def test_even_when_nobody_hears_why(self, place):
        held, lifeline = os.pipe()
        start = "import time, beamtrain.training.processes as p; p._Lifeline()"
        code = f"{start}; print('ready', flush=True); time.sleep(1000)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              pass_fds=[held], env=environment(place, LOCAL_RANK="1", BEAMTRAIN_LIFELINE=str(held)),
                              ) as process:  # fmt: skip
            process.stdout.readline()
            process.stderr.close()
            os.close(lifeline)
            assert process.wait(timeout=900) == LOST
        os.close(held)

    @pytest.mark.slow
    @pytest.mark.parametrize("rank", [0, 1, None])
    def test_a_users_mistake_is_told_once(self, place, rank):
        where = {} if rank is None else {"rank": rank}
        result = both(place, f"mistake{rank}", *happening("Mistake", step=3, **where))
        assert result.returncode == 2
        assert own_lines(result) == ["beamtrain: the moon is full"]
        assert "Traceback" not in result.stderr

    @pytest.mark.slow
    def test_a_bug_in_one_shows_its_traceback_and_ends_both(self, place):
        result = both(place, "bug", *happening("Bug", step=3, rank=1))
        assert result.returncode == 1
        told = "beamtrain: process 1 of 2 failed with exit code 1, so the others stopped; to go on: beamtrain train"
        assert len(own_lines(result)) == 1 and own_lines(result)[0].startswith(told)
        assert result.stderr.count("Traceback") == 1 and "AssertionError: a bug" in result.stderr

    @pytest.mark.slow
    def test_a_mistake_in_the_settings_starts_no_other_process(self, place):
        result = both(place, "wrong", "--data.vocab_size=100000")
        assert result.returncode == 2
        assert len(own_lines(result)) == 1


@pytest.mark.slow
class TestStopAndResume:
    @pytest.mark.parametrize(("rank", "name", "code"), [(0, "SIGTERM", 143), (1, "SIGTERM", 143), (None, "SIGINT", 130),
                                                        (None, "SIGUSR1", 138)])  # fmt: skip
    def test_a_signal_to_any_stops_all_after_the_same_step(self, place, rank, name, code):
        run, where = f"{name}{rank}", {} if rank is None else {"rank": rank}
        result = both(place, run, *happening("Signal", step=5, name=name, **where))
        assert result.returncode == code
        assert f"stopped by {name} after step 6; runs/{run} can be used as it is" in result.stderr
        assert result.stderr.count("to go on: beamtrain train") == 1
        assert "Traceback" not in result.stderr
        resumed = both(place, run, "--resume")
        assert resumed.returncode == 0 and "from step 6" in resumed.stderr

    def test_an_interrupted_run_on_two_processes_ends_as_if_it_had_never_stopped(self, place, one_and_two):
        assert both(place, "parts", *happening("Signal", step=17, name="SIGTERM", rank=1)).returncode == 143
        assert both(place, "parts", "--resume").returncode == 0
        whole = weights(one_and_two.two)
        assert all(torch.equal(value, whole[name]) for name, value in weights(place / "runs/parts").items())

    @pytest.mark.parametrize("sizes", [(2, 1), (1, 2), (2, 1, 2)])
    def test_an_epoch_goes_on_under_another_number_of_processes(self, place, one_and_two, sizes):
        name = "to".join(map(str, sizes))
        for number, size in enumerate(sizes):
            last = number == len(sizes) - 1
            stop = () if last else happening("Signal", step=3 * (number + 1), name="SIGTERM", rank=0)
            result = train(place, name, f"--trainer.devices={size}", *(["--resume"] if number else []),
                           *happening("RecordRows", folder=f"rows{name}"), *stop)  # fmt: skip
            assert result.returncode == (0 if last else 143), result.stderr
        first = Counter(row for rows in seen(place / f"rows{name}")[0] for row in rows)
        whole = Counter(row for rows in seen(one_and_two.rows)[0] for row in rows)
        assert first == whole and set(first.values()) == {1}
        assert load_checkpoint(place / f"runs/{name}/checkpoints/last.ckpt")["global_step"] == 40


@pytest.mark.slow
def test_the_gradient_of_beam_training_is_averaged_over_processes(place, one_and_two):
    """One step of plain gradient descent, against the gradient of each process's share computed here."""
    options = [
        "--init_from=runs/two",
        "--model.objective=beamtrain.objectives.BeamTraining",
        "--model.objective.init_args.loss=beamtrain.objectives.ExpectedReward",
        "--model.optimizer=torch.optim.SGD",
        "--model.optimizer.init_args.lr=1.0",
        "--model.max_gradient_norm=0",
        "--model.schedule.init_args.warmup_steps=1",
    ]
    result = both(place, "beams", "--trainer.max_steps=1", *options, *happening("RecordRows", folder="rowsbeams"),
                  *happening("SaveFirstWeights", path="first.pt"))  # fmt: skip
    assert result.returncode == 0, result.stderr
    shares = [json.loads((place / "rowsbeams" / rank).read_text())[1] for rank in "01"]
    gradients, items = zip(*(share_gradient(place, rows) for rows in shares), strict=True)
    before, after = torch.load(place / "first.pt"), weights(place / "runs/beams")
    for name in gradients[0]:
        expected = sum(gradient[name] for gradient in gradients) / sum(items)
        moved = before[name] - after[f"network.{name}"]
        assert torch.allclose(moved, expected, atol=2e-5), name
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients[0].values())


def test_an_epoch_accumulated_is_one_batch_of_it(place, monkeypatch):
    """Batches of unlike numbers of tokens, on one process and on two, in a window that the epoch's end cuts short; with
    an objective that learns something itself."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    once = ("--trainer.max_steps=1", "--model.objective=learning.LearnedWeight", "--model.max_gradient_norm=0.1",
            "--trainer.val_check_interval=1000")  # fmt: skip
    in_parts = (*once, "--trainer.accumulate_grad_batches=1000")
    assert main(command("at_once", *once, "--data.batch_tokens=100000")[3:]) == 0
    assert main(command("in_parts", *in_parts)[3:]) == 0
    result = both(place, "in_two", *in_parts)
    assert result.returncode == 0, result.stderr
    norm, at_once = curve(place / "runs/at_once", "train/gradient_norm"), weights(place / "runs/at_once")
    for other in ("in_parts", "in_two"):
        assert curve(place / "runs" / other, "train/gradient_norm") == pytest.approx(norm, rel=1e-4)
        for name, value in weights(place / "runs" / other).items():
            assert torch.allclose(value, at_once[name], atol=1e-5), name
    assert at_once["objective.log_scale"] != 0


def share_gradient(place: Path, rows: list[int]) -> tuple[dict[str, torch.Tensor], int]:
    """The gradient of the summed loss over these rows, from the first weights, and the number of tokens."""
    from beamtrain.objectives.beam_training import BeamTraining
    from beamtrain.objectives.losses.expected_reward import ExpectedReward

    run = load_run(place / "runs/beams")
    source, target = (
        [(place / "corpus" / f"train.{side}").read_text().splitlines()[row] for row in rows] for side in ("en", "de")
    )
    source, target = run.tokenizer.source.encode(source), run.tokenizer.target.encode(target)
    batch = batch_of(list(zip(source, target, strict=True)))
    run.network.load_state_dict(torch.load(place / "first.pt"))
    loss = BeamTraining(ExpectedReward())(run.network.train(), batch)
    loss.total.backward()
    return {name: p.grad for name, p in run.network.named_parameters() if p.grad is not None}, loss.weight


@pytest.mark.slow
class TestLaunchers:
    def test_torchrun(self, place, one_and_two):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        arguments = command("elastic", "--trainer.devices=2")[1:]
        result = subprocess.run([*launcher, *arguments], cwd=place, env=environment(place), capture_output=True,
                                text=True, timeout=900)  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("the run lies in runs/elastic") == 1
        whole = weights(one_and_two.two)
        assert all(torch.equal(value, whole[name]) for name, value in weights(place / "runs/elastic").items())

    def test_torchrun_with_a_mistake_in_the_settings(self, place):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        arguments = command("one", "--trainer.devices=2")[1:]
        result = subprocess.run([*launcher, *arguments], cwd=place, env=environment(place), capture_output=True,
                                text=True, timeout=900)  # fmt: skip
        assert result.returncode != 0
        (line,) = own_lines(result)
        assert "runs/one exists: --resume goes on" in line

    def test_more_processes_than_devices(self, place):
        result = subprocess.run(
            command("single", "--trainer.devices=1"), cwd=place, capture_output=True, text=True, timeout=900,
            env=environment(place, RANK="0", LOCAL_RANK="0", WORLD_SIZE="2"),
        )  # fmt: skip
        assert result.returncode == 2
        assert own_lines(result) == [
            "beamtrain: 2 processes were started, but trainer.devices and trainer.num_nodes make 1; "
            "set trainer.devices to the number of processes on each machine"
        ]

    def test_the_variables_that_slurm_sets(self, place, one_and_two):
        def task(rank: int) -> subprocess.Popen:
            slurm = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_JOB_ID": "4711",
                     "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank),
                     "SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_NAME": "train"}  # fmt: skip
            options = ["--trainer.devices=2", *happening("Signal", step=17, name="SIGTERM")]
            return subprocess.Popen(command("slurm", *options), cwd=place, env=environment(place, **slurm),
                                    stderr=subprocess.PIPE, text=True)  # fmt: skip

        tasks = [task(rank) for rank in (0, 1)]
        errors = [each.communicate(timeout=900)[1] for each in tasks]
        assert [each.returncode for each in tasks] == [143, 143], errors
        assert "stopped by SIGTERM after step 18" in errors[0] and "stopped" not in errors[1]
        assert both(place, "slurm", "--resume").returncode == 0
        whole = weights(one_and_two.two)
        assert all(torch.equal(value, whole[name]) for name, value in weights(place / "runs/slurm").items())


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("fsdp", r"trainer.strategy is fsdp, which is not supported: it has not been tried \(it needs GPUs\)"),
        ("fsdp_cpu_offload", "whole weights, not sharded ones"),
        ("deepspeed_stage_2", "its checkpoints are folders of its own"),
        ("ddp_spawn", "copies that do not find the run again; ddp starts whole ones"),
        ("ddp_fork_find_unused_parameters_true", "a forked copy of a process with OpenMP threads may crash"),
        ("ddp_notebook", "a forked copy"),
        ("xla", "TPUs are not supported"),
        ("nonsense", "trainer.strategy is nonsense, which is not supported: it is not known to work; use ddp"),
        (SimpleNamespace(class_path="lightning.pytorch.strategies.FSDPStrategy"), "FSDPStrategy.*sharded"),
        (SimpleNamespace(class_path="lightning.pytorch.strategies.ModelParallelStrategy"), "how it is to be split"),
    ],
)
def test_a_strategy_that_is_not_supported_is_refused_with_the_reason(strategy, message):
    with pytest.raises(UserError, match=message):
        check_strategy(strategy, 1)


def test_what_is_supported_passes():
    for strategy in ("auto", "ddp", "ddp_find_unused_parameters_true"):
        check_strategy(strategy, 1)
    check_strategy(SimpleNamespace(class_path="lightning.pytorch.strategies.DDPStrategy"), 1)


def test_several_machines_need_a_launcher(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        UserError, match=r"trainer\.num_nodes is 2: start the processes of several machines with torchrun"
    ):
        check_strategy("ddp", 2)
    monkeypatch.setenv("RANK", "1")
    check_strategy("ddp", 2)
