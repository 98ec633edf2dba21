"""Where a run starts: at the beginning, or at a checkpoint that is whole."""

from pathlib import Path

from beamtrain.base.errors import UserError
from beamtrain.base.files import remove_unfinished
from beamtrain.runs.checkpoints import load_checkpoint, newest_checkpoint
from beamtrain.training.processes import is_first

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


def checkpoint_to_resume(folder: Path, chosen: str | None, again: str) -> tuple[Path | None, int]:
    """The checkpoint to go on from and its steps, or (None, 0) when the run was stopped before its first one.

    Args:
        folder: the run's folder.
        chosen: the checkpoint to take instead of the last one.
        again: the command that was given, for the message.

    Raises:
        UserError: the checkpoint is missing or damaged, with the command that goes on from the newest good one.
    """
    checkpoints = folder / "checkpoints"
    if is_first():  # which alone writes there
        remove_unfinished(folder)
        remove_unfinished(checkpoints)
    path = Path(chosen) if chosen else checkpoints / LAST
    if chosen is None and not list(checkpoints.glob("*.ckpt")):
        return None, 0
    try:
        return path, load_checkpoint(path)["global_step"]
    except UserError as error:
        good = newest_checkpoint(checkpoints)
        if good is None:
            raise UserError(f"{error}; there is no other good one in {checkpoints}") from error
        other, step = good
        raise UserError(
            f"{error}; the newest good one is that of step {step:,}; to go on from it: {again} --resume_from={other}"
        ) from error


def is_finished(folder: Path, checkpoint: Path, scored: bool) -> bool:
    """Whether what follows training was done after that checkpoint: the weights and, if asked for, the scores."""
    results = [folder / "model.safetensors"] + ([folder / "report" / "report.json"] if scored else [])
    written = checkpoint.stat().st_mtime_ns
    return all(path.exists() and path.stat().st_mtime_ns >= written for path in results)
