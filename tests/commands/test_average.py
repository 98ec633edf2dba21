"""`beamtrain average`: the mean of runs that belong together, as a run; others are refused in one line."""

import json
import os
import resource
import shutil
from itertools import count

import pytest
import torch
from safetensors.torch import load_file

from beamtrain.cli import main
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights


@pytest.fixture
def average(tmp_path, capsys):
    """Averages runs: exit code, what was said on stderr."""

    def averaged(*runs, name="mean", options=()):
        code = main(["average", *map(str, runs), "--name", name, "--runs", str(tmp_path), *options])
        return code, capsys.readouterr().err

    return averaged


def test_every_weight_is_the_mean_and_the_average_is_a_run(noisy_run, average, tmp_path, capsys):
    runs = [noisy_run(name, noise) for name, noise in (("a", 1), ("b", 2), ("c", 4))]
    before = [load_file(run / "model.safetensors") for run in runs]
    assert average(*runs) == (0, "")
    mean = load_file(tmp_path / "mean" / "model.safetensors")
    assert mean.keys() == before[0].keys()  # a table that two share is one again
    for name, value in mean.items():
        torch.testing.assert_close(value, torch.stack([each[name] for each in before]).mean(0))
    assert load_run(tmp_path / "mean").weights == {"step": 5}
    (tmp_path / "lines").write_text("Two young men.\n")
    assert main(["translate", "--model", str(tmp_path / "mean"), "--input", str(tmp_path / "lines")]) == 0
    assert average(*runs)[1].endswith("--overwrite replaces it, --name NAME makes another\n")
    for run, weights in zip(runs, before, strict=True):
        for name, value in load_file(run / "model.safetensors").items():
            assert torch.equal(value, weights[name])


def test_a_run_and_what_it_began_with_have_an_average_and_strangers_are_told_of(noisy_run, average):
    start = noisy_run("start", 1, step=3)
    trained = noisy_run("trained", 2, init_from=str(start))
    assert average(start, trained) == (0, "")
    stranger = noisy_run("stranger", 3, init_from="/runs/another")
    code, said = average(trained, stranger, name="mean2")
    assert (
        code == 0 and said == "beamtrain: they did not begin with the same weights: such an average is seldom of use\n"
    )


def test_what_changes_nothing_of_what_weights_do_may_differ(noisy_run, average, tmp_path):
    runs = [noisy_run("a", 1), noisy_run("b", 2)]
    description = json.loads((runs[1] / "model.json").read_text())
    description["network"]["arguments"] |= {"dropout": 0.4, "norm": "pre"}  # the default, which the other does not name
    (runs[1] / "model.json").write_text(json.dumps(description))
    assert average(*runs) == (0, "")
    first = json.loads((runs[0] / "model.json").read_text())
    assert json.loads((tmp_path / "mean" / "model.json").read_text()) == first


def test_recurrent_networks_have_an_average(gru_run, average, tmp_path):
    other = shutil.copytree(gru_run, tmp_path / "other")
    for folder in (shutil.copytree(gru_run, tmp_path / "first"), other):
        (folder / "config.yaml").write_text("data: {}")
        (folder / "environment.json").write_text("{}")
    save_weights(other, {name: each + 1 for name, each in load_run(other).network.state_dict().items()})
    assert average(tmp_path / "first", other)[0] == 0
    before, mean = (load_run(folder).network.state_dict() for folder in (gru_run, tmp_path / "mean"))
    for name, value in mean.items():
        torch.testing.assert_close(value, before[name] + 0.5)


def test_interrupted_at_any_write_it_can_be_given_again(noisy_run, average, tmp_path, monkeypatch):
    runs, replace = [noisy_run("a", 1), noisy_run("b", 2)], os.replace
    for whole in range(20):
        written = count()

        def interrupted(*paths, whole=whole, written=written):
            if next(written) >= whole:
                raise OSError("interrupted")
            replace(*paths)

        monkeypatch.setattr("os.replace", interrupted)
        code, _ = average(*runs)
        monkeypatch.setattr("os.replace", replace)
        if code == 0:
            break
        code, said = average(*runs)
        if code:
            assert "--overwrite replaces it" in said
            assert average(*runs, options=["--overwrite"]) == (0, "")
        assert load_run(tmp_path / "mean").weights == {"step": 5}
        shutil.rmtree(tmp_path / "mean")
    assert whole > 3


def test_a_full_disk_leaves_what_there_was(noisy_run, average, tmp_path):
    runs = [noisy_run("a", 1), noisy_run("b", 2)]
    assert average(*runs)[0] == 0
    mean = tmp_path / "mean"
    before = {path: path.read_bytes() for path in mean.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, there in (("mean", before), ("new", {})):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[mean / "model.safetensors"]) - 1, limits[1]))
        try:
            code, line = average(*runs, name=name, options=["--overwrite"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert code == 2 and line == f"beamtrain: {tmp_path / name}: File too large\n"
        assert {path: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()} == there
    assert not list(tmp_path.glob(".*"))


def test_what_has_no_average_is_refused_and_nothing_is_written(noisy_run, average, gru_run, tmp_path):
    a, b, c, broken, endless = (
        noisy_run(name, noise) for noise, name in enumerate(["a", "b", "c", "broken", "endless"])
    )
    description = json.loads((b / "model.json").read_text())
    (b / "model.json").write_text(json.dumps({**description, "target_lang": "fr"}))
    (c / "config.yaml").unlink()
    weights = load_run(endless).network.state_dict()
    next(iter(weights.values()))[0] = float("nan")
    save_weights(endless, weights)
    for runs, said in [
        ([a], "1 run: the average is of two or more"),
        ([a, a], f"{a} is named twice"),
        ([a, gru_run], f"{gru_run} has network beamtrain.model.GRUEncoderDecoder, and {a} beamtrain.model.Transformer"),
        ([a, b], f"{b} has target_lang fr, and {a} de"),
        ([a, endless], f"{endless} has weights that are not finite"),
        ([c, a], f"{c} is a model without the config.yaml of a run"),
        ([a, tmp_path / "none"], f"{tmp_path / 'none'}: there is no such folder"),
    ]:
        code, line = average(*runs)
        assert code == 2 and said in line and line.count("\n") == 1
        assert not (tmp_path / "mean").exists()
    for damaged in (b"\xff", b"", b"- [", b"data"):
        (broken / "config.yaml").write_bytes(damaged)
        code, line = average(broken, a)
        assert code == 2 and line.startswith(f"beamtrain: {broken}/config.yaml ") and line.count("\n") == 1
        assert not (tmp_path / "mean").exists()
    code, line = average(a, noisy_run("d", 2), name="a")
    assert code == 2 and "exists" in line
    code, line = average(a, tmp_path / "d", name="a", options=["--overwrite"])
    assert code == 2 and f"{a} is one of the runs that it is made of" in line
    (tmp_path / "link").symlink_to(a)
    assert f"{tmp_path}/link is named twice" in average(tmp_path / "link", a)[1]
    old = noisy_run("mean", 1)
    (old / "checkpoints").mkdir(exist_ok=True)
    assert average(a, tmp_path / "d", options=["--overwrite"]) == (0, "") and not (old / "checkpoints").exists()
