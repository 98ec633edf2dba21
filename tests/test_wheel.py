"""The package as users install it: from a wheel, in a folder of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # building fetches the build backend

ROOT = Path(__file__).parent.parent


def test_a_wheel_brings_its_configs_and_the_corpus(tmp_path):
    def run(*command, **settings):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), str(ROOT))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    where = run(sys.executable, "-c", "import beamtrain; print(beamtrain.__file__)", env=environment)
    assert where.startswith(str(tmp_path / "site"))
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--model.search.max_length=4"]
    train = [sys.executable, "-m", "beamtrain.cli", "train", "--config=quickstart.yaml", *steps]
    assert "runs/quickstart" in run(*train, env=environment)
    assert (tmp_path / "runs" / "quickstart" / "model.safetensors").exists()
