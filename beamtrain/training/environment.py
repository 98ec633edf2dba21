"""What a run was trained by: command, versions, git commit, machine."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("beamtrain", "torch", "lightning", "sentencepiece", "sacrebleu", "datasets")


def environment(seed: int) -> str:
    """The text of environment.json."""
    content = {
        "command": " ".join(sys.argv),
        "seed": seed,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "packages": {name: version(name) for name in PACKAGES},
    }
    return json.dumps(content, indent=2) + "\n"


def _git_commit() -> str | None:
    """The commit of the code that runs, with "+changes" when it was edited since; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if status.stdout.strip() else "")
