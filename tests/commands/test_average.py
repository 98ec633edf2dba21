"""`beamtrain average`: the mean of runs that belong together, as a run; others are refused in one line."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from beamtrain.cli import main
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights


@pytest.fixture
def make(transformer_run, tmp_path):
    """name -> a run that differs from the others by noise, and began where they did."""

    def made(name, noise, step=5, init_from="/runs/start"):
        run = shutil.copytree(transformer_run, tmp_path / name)
        network = load_run(run).network
        torch.manual_seed(noise)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += noise * torch.rand_like(parameter)
        save_weights(run, network.state_dict(), {"step": step})
        (run / "config.yaml").write_text(yaml.safe_dump({"init_from": init_from}))
        (run / "environment.json").write_text("{}")
        return run

    return made


@pytest.fixture
def average(tmp_path, capsys):
    """Averages runs: exit code, what was said on stderr."""

    def averaged(*runs, name="mean"):
        code = main(["average", *map(str, runs), "--name", name, "--runs", str(tmp_path)])
        return code, capsys.readouterr().err

    return averaged


def test_every_weight_is_the_mean_and_the_average_is_a_run(make, average, tmp_path, capsys):
    runs = [make(name, noise) for name, noise in (("a", 1), ("b", 2), ("c", 4))]
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


def test_a_run_and_what_it_began_with_have_an_average_and_strangers_are_told_of(make, average):
    start = make("start", 1, step=3)
    trained = make("trained", 2, init_from=str(start))
    assert average(start, trained) == (0, "")
    stranger = make("stranger", 3, init_from="/runs/another")
    code, said = average(trained, stranger, name="mean2")
    assert (
        code == 0 and said == "beamtrain: they did not begin with the same weights: such an average is seldom of use\n"
    )


def test_what_has_no_average_is_refused_and_nothing_is_written(make, average, gru_run, tmp_path):
    a, b, c = make("a", 1), make("b", 2), make("c", 3)
    description = json.loads((b / "model.json").read_text())
    (b / "model.json").write_text(json.dumps({**description, "target_lang": "fr"}))
    (c / "config.yaml").unlink()
    for runs, said in [
        ([a], "1 run: the average is of two or more"),
        ([a, a], f"{a} is named twice"),
        ([a, gru_run], f"{gru_run} has network beamtrain.model.GRUEncoderDecoder, and {a} beamtrain.model.Transformer"),
        ([a, b], f"{b} has target_lang fr, and {a} de"),
        ([c, a], f"{c} is a model without the config.yaml of a run"),
        ([a, tmp_path / "none"], f"{tmp_path / 'none'}: there is no such folder"),
    ]:
        code, line = average(*runs)
        assert code == 2 and said in line and line.count("\n") == 1
        assert not (tmp_path / "mean").exists()
    code, line = average(a, make("d", 2), name="a")
    assert code == 2 and "exists" in line
