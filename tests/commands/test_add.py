"""`beamtrain add`: a run with the changes of several, in the weights that they began with; others are refused."""

import shutil
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from beamtrain.cli import main


@pytest.fixture
def start(transformer_run, tmp_path):
    run = shutil.copytree(transformer_run, tmp_path / "start")
    (run / "config.yaml").write_text("data: {}")
    (run / "environment.json").write_text("{}")
    return run


@pytest.fixture
def make(noisy_run, start):
    """name -> a run that began with the weights of start and differs from them by noise."""
    return partial(noisy_run, init_from=start)


@pytest.fixture
def add(start, tmp_path, capsys):
    """Adds up runs: exit code, what was said on stderr."""

    def added(*runs, start=start, name="both", options=()):
        names = ["--start", str(start), "--name", name, "--runs", str(tmp_path)]
        code = main(["add", *map(str, runs), *names, *options])
        return code, capsys.readouterr().err

    return added


def test_every_weight_has_the_changes_of_all_and_the_sum_is_a_run(make, add, start, tmp_path):
    runs = [make("a", 1), make("b", 2)]
    assert add(*runs) == (0, "")
    before, a, b, both = (load_file(run / "model.safetensors") for run in (start, *runs, tmp_path / "both"))
    assert both.keys() == before.keys()  # a table that two share is one again, and has its change once
    for name, value in both.items():
        torch.testing.assert_close(value, a[name] + b[name] - before[name])
    (tmp_path / "lines").write_text("Two young men.\n")
    assert main(["translate", "--model", str(tmp_path / "both"), "--input", str(tmp_path / "lines")]) == 0
    assert add(*runs)[1].endswith("--overwrite replaces it, --name NAME makes another\n")


def test_the_sum_of_averages_is_of_runs_that_began_together(make, add, start, tmp_path, capsys):
    for name, noise in {"a": 1, "b": 2, "c": 3, "d": 4}.items():
        make(name, noise)
    for name, pair in {"first": "ab", "second": "cd"}.items():
        runs = [str(tmp_path / each) for each in pair]
        assert main(["average", *runs, "--name", name, "--runs", str(tmp_path)]) == 0
    capsys.readouterr()
    assert add(tmp_path / "first", tmp_path / "second") == (0, "")


def test_a_run_that_began_elsewhere_is_told_of(make, add, start, tmp_path):
    ours, stranger = make("a", 1), make("stranger", 2, init_from=tmp_path / "another")
    said = f"beamtrain: {stranger} did not begin with the weights of {start}: such a sum is seldom of use\n"
    assert add(ours, stranger) == (0, said)


def test_what_has_no_sum_is_refused_and_nothing_is_written(make, add, start, gru_run, tmp_path):
    a, b = make("a", 1), make("b", 2)
    other = "has network beamtrain.model.GRUEncoderDecoder, and"
    for runs, options, said in [
        ([a], {}, "1 run: the changes of two or more are added"),
        ([a, a], {}, f"{a} is named twice"),
        ([a, start], {}, f"{start} is named twice"),
        ([a, gru_run], {}, f"{gru_run} {other} {start}"),
        ([a, b], {"start": gru_run}, f"{a} has network beamtrain.model.Transformer, and {gru_run}"),
        ([a, b], {"start": tmp_path / "none"}, f"{tmp_path / 'none'}: there is no such folder"),
        ([a, tmp_path / "none"], {}, f"{tmp_path / 'none'}: there is no such folder"),
        ([a, b], {"name": "a", "options": ["--overwrite"]}, f"{a} is one of the runs that it is made of"),
        ([a, b], {"name": "start", "options": ["--overwrite"]}, f"{start} is one of the runs that it is made of"),
    ]:
        code, line = add(*runs, **options)
        assert code == 2 and said in line and line.count("\n") == 1
        assert not (tmp_path / "both").exists()
