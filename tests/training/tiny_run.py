"""What tests of training look at: the runs below a folder, and what a start that is refused says."""

from pathlib import Path

import torch

LAST, BEST = (Path(f"runs/tiny/checkpoints/{name}.ckpt") for name in ("last", "best"))
ADAMW = "--model.optimizer=torch.optim.AdamW"
COSINE = ["--model.schedule=beamtrain.training.Cosine", "--model.schedule.warmup_steps=1"]


def files():
    """All that lies below `runs`, the files with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in Path("runs").rglob("*")}


def refused(train_tiny, capsys, *arguments):
    """What a start that is refused says; the runs are as they were."""
    before = files()
    capsys.readouterr()
    assert train_tiny(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert len(lines) == 1
    assert files() == before
    return lines[0]


def assert_equal(mine, theirs):
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name
