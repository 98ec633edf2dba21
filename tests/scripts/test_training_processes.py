"""Runs that the experiments begin: they go on, they are not mixed up, and an unfinished one is no start."""

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import training_processes
from child_processes import Ended, run
from command_line import run_script
from training_processes import Record, is_whole, train

from beamtrain.base.errors import UserError

SETTINGS: dict[str, Any] = {
    "init_from": "/out/starts/tatoeba",
    "data": {"source": "/out/text/tatoeba", "seed": 1},
    "trainer": {"max_steps": 4},
}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run, each of which takes a second."""
    found: list[list[str]] = []

    def process(command: list[str], log: Path, _: int) -> Ended:
        found.append(command)
        return Ended(0, 1.0, "", log)

    monkeypatch.setattr(training_processes, "ended_process", process)
    return found


def begun(folder: Path, step: int) -> None:
    """What a run has left that was stopped after `step`."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "model.json").touch()
    torch.save({"state_dict": {}, "global_step": step}, folder / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(("step", "done"), [(None, [False]), (2, [True]), (4, [])])
def test_what_was_killed_goes_on_but_after_its_last_step(
    step: int | None, done: list[bool], tmp_path: Path, commands: list[list[str]]
) -> None:
    folder = tmp_path / "cells" / "cell"
    if step is not None:
        begun(folder, step)
    train(folder, SETTINGS, threads=1)
    assert ["--resume" in command for command in commands] == done


def test_a_run_s_own_settings_come_after_the_config_that_they_change(tmp_path: Path, commands: list[list[str]]) -> None:
    train(tmp_path / "cell", SETTINGS, 1, tmp_path / "base.yaml")
    given = [later for each, later in pairwise(commands[0]) if each == "--config"]
    assert given == [str(tmp_path / "base.yaml"), str(tmp_path / "cell.yaml")]


def test_the_time_of_all_processes_counts(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: list[str], log: Path, __: int) -> Ended:
        begun(tmp_path / "cell", 2)
        return Ended(143, 1.0, "", log)

    go_on = training_processes.ended_process
    monkeypatch.setattr(training_processes, "ended_process", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cell", SETTINGS, threads=1)
    assert Record.of(tmp_path / "cell") == Record(1.0, steps=2) and not is_whole(tmp_path / "cell")
    monkeypatch.setattr(training_processes, "ended_process", go_on)
    assert train(tmp_path / "cell", SETTINGS, threads=1) == Record(2.0, True, steps=4)
    assert is_whole(tmp_path / "cell")
    assert train(tmp_path / "cell", SETTINGS, threads=1).seconds == 2.0 and len(commands) == 1


@pytest.mark.parametrize("noted", [None, Record(1.0, steps=1), Record(1.0)])
def test_steps_of_a_process_that_was_not_seen_to_end_are_told(
    noted: Record | None, tmp_path: Path, commands: list[list[str]]
) -> None:
    """One that goes on where the script was killed. Of an older record it is not known."""
    begun(tmp_path / "cell", 3)
    if noted:
        noted.save(tmp_path / "cell")
    unseen = 3 if noted is None else 2 if noted.steps else 0
    assert train(tmp_path / "cell", SETTINGS, threads=1).unseen == unseen
    assert Record.of(tmp_path / "cell").unseen == unseen


def test_a_process_that_another_one_keeps_out_has_seen_none_of_its_steps(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept_out(_: list[str], log: Path, __: int) -> Ended:
        begun(tmp_path / "cell", 3)  # by the other one
        return Ended(2, 0.5, "is being trained by another process", log)

    go_on = training_processes.ended_process
    begun(tmp_path / "cell", 1)
    Record(1.0, steps=1).save(tmp_path / "cell")
    monkeypatch.setattr(training_processes, "ended_process", kept_out)
    with pytest.raises(SystemExit):
        train(tmp_path / "cell", SETTINGS, threads=1)
    monkeypatch.setattr(training_processes, "ended_process", go_on)
    assert train(tmp_path / "cell", SETTINGS, threads=1) == Record(2.5, True, steps=4, unseen=2)


def test_a_run_that_was_begun_from_other_weights_is_not_taken_for_one_of_these(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    start, folder = tmp_path / "start", tmp_path / "cell"
    start.mkdir()
    settings = SETTINGS | {"init_from": str(start)}
    for weights in (b"before", b"after"):
        (start / "model.safetensors").write_bytes(weights)
        if weights == b"before":
            begun(folder, 1)
            train(folder, settings, threads=1)
            train(folder, settings, threads=1)
    with pytest.raises(UserError, match=f"{folder} was begun from other weights than {start} has now"):
        train(folder, settings, threads=1)
    (start / "model.safetensors").unlink()  # to save space
    assert train(folder, settings, threads=1).finished and len(commands) == 1


def test_a_run_whose_folder_was_removed_is_trained_anew(tmp_path: Path, commands: list[list[str]]) -> None:
    for _ in range(2):
        train(tmp_path / "cell", SETTINGS, threads=1)
    assert ["--resume" in command for command in commands] == [False, False]


@pytest.mark.parametrize("step", [2, 4])
def test_a_run_does_not_go_on_with_other_settings(step: int, tmp_path: Path, commands: list[list[str]]) -> None:
    folder = tmp_path / "cell"
    train(folder, SETTINGS, threads=1)
    begun(folder, step)
    with pytest.raises(UserError, match=r"cell was begun with trainer.max_steps 4, not 6: give that, or another --out"):
        train(folder, {**SETTINGS, "trainer": {"max_steps": 6}}, threads=1)
    with pytest.raises(UserError, match=r"cell was begun with model.lr None, not 0.1: "):
        train(folder, {**SETTINGS, "model": {"lr": 0.1}}, threads=1)
    with pytest.raises(UserError, match=r"was begun from /out/starts/tatoeba, not from random weights: "):
        train(folder, {name: value for name, value in SETTINGS.items() if name != "init_from"}, threads=1)
    moved = {**SETTINGS, "init_from": "/moved/starts/tatoeba", "data": {"source": "/moved/text/tatoeba", "seed": 1}}
    train(folder, moved, threads=1)
    assert len(commands) == (2 if step == 2 else 1)


def test_a_run_from_elsewhere_is_taken_as_it_is(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "run")
    begun(tmp_path / "run", 2)
    assert is_whole(tmp_path / "run")


@pytest.mark.parametrize("content", ["", "[]", "3", '{"steps": 2}'])
def test_a_record_that_is_damaged_is_told_of(content: str, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(UserError, match=r"training\.json is damaged: remove the folder"):
        Record.of(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_settings_that_are_damaged_are_told_of(content: bytes, tmp_path: Path) -> None:
    begun(tmp_path / "cell", 2)
    (tmp_path / "cell.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"cell\.yaml is damaged: remove it and the folder"):
        train(tmp_path / "cell", SETTINGS, threads=1)


@pytest.mark.parametrize("told", ["error: too much", "beamtrain: too much"])  # by a script, by a command
@pytest.mark.parametrize(("status", "code"), [(2, 2), (3, 1)])
def test_a_process_that_fails_says_why(
    status: int,
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "log").write_text("error: of the time before\n")
    script = f"import sys; print('much'); print('{told}'); print('the end'); sys.exit({status})"
    with pytest.raises(SystemExit) as end:
        run([sys.executable, "-c", script], tmp_path / "log", threads=1)
    assert end.value.code == code
    said = f"begins, with its log in {tmp_path}/log\nerror: too much (all of it: {tmp_path}/log)\n"
    assert capfd.readouterr().err == said


def test_processor_seconds_are_counted_not_those_of_the_clock(tmp_path: Path) -> None:
    assert run([sys.executable, "-c", "import time; time.sleep(1)"], tmp_path / "log", threads=1) < 0.9


SCRIPT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from child_processes import run
from command_line import run_script

def main():
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda each: run([sys.executable, "-c", sys.argv[2]], Path(sys.argv[1]), 1), range(2)))

run_script(main)
"""
SAVES = """
import signal, sys, time
def saved(*_):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, saved)
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_that_is_stopped_has_its_processes_save_and_begins_no_other(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    log, imports = tmp_path / "log", Path(training_processes.__file__).parent
    script = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(log), SAVES],
        env={"PYTHONPATH": f"{imports}:{imports.parent.parent}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not log.exists() or "begun" not in log.read_text():
        time.sleep(0.05)
    script.send_signal(number)
    _, error = script.communicate(timeout=50)
    assert (script.returncode, error) == (130, f"begins, with its log in {log}\nstopped\n")
    assert log.read_text() == "begun\nsaved\n"


def test_an_interrupt_is_no_fault(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run_script(interrupted)
    assert end.value.code == 130 and capfd.readouterr().err == "stopped\n"


def test_a_record_is_json(tmp_path: Path) -> None:
    Record(1.5, True).save(tmp_path)
    assert json.loads((tmp_path / "training.json").read_text()) == Record(1.5, True)._asdict()
    assert Record.of(tmp_path) == Record(1.5, True)
    (tmp_path / "training.json").write_text('{"seconds": 1.5, "finished": true}')  # as it was before
    assert Record.of(tmp_path) == Record(1.5, True)
