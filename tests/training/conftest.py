"""A folder with a corpus, a config of it and a run of 4 steps, and training in a copy of it."""

import shutil

import pytest
from words import CONFIG, write_corpus

from beamtrain.cli import main
from beamtrain.training.run_folder import LOCK


@pytest.fixture(scope="session")
def finished_tiny(tmp_path_factory):
    """A folder with a corpus, a config of it, and a run of 4 steps."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus", rows=300)
    (folder / "tiny.yaml").write_text(CONFIG.format(corpus="corpus", vocab_size=36) + "score_test: false\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["train", "--config=tiny.yaml", "--trainer.max_steps=4"]) == 0
    return folder


@pytest.fixture
def train_tiny(finished_tiny, tmp_path, monkeypatch):
    """Runs `beamtrain train` in a copy of that folder, in whose run a killed process left files; the exit code."""
    for name in ("corpus", "runs"):
        shutil.copytree(finished_tiny / name, tmp_path / name, ignore=shutil.ignore_patterns(LOCK))
    for name in (".model.json.77.part", "checkpoints/.last.ckpt.77.part", "logs/.metrics.csv.77.part"):
        (tmp_path / "runs/tiny" / name).touch()
    (tmp_path / "runs/tiny/engines/.ctranslate2-int8-0.77.part/model").mkdir(parents=True)  # an export of the run
    shutil.copy(finished_tiny / "tiny.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(finished_tiny / "cache"))
    return lambda *arguments: main(["train", "--config=tiny.yaml", *arguments])
