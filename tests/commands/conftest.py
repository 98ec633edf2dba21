"""Runs that several commands are tried on."""

import shutil

import pytest
import torch
import yaml

from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights


@pytest.fixture
def noisy_run(transformer_run, tmp_path):
    """name -> a run that differs from `transformer_run` by noise, and says what it began with."""

    def made(name, noise, step=5, init_from="/runs/start"):
        run = shutil.copytree(transformer_run, tmp_path / name)
        network = load_run(run).network
        torch.manual_seed(noise)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += noise * torch.rand_like(parameter)
        save_weights(run, network.state_dict(), {"step": step})
        (run / "config.yaml").write_text(yaml.safe_dump({"init_from": str(init_from), "data": {}}))
        (run / "environment.json").write_text("{}")
        return run

    return made
