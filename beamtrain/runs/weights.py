"""A run's weights: model.safetensors, or those in a training checkpoint while there is no such file."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_path, check_text
from beamtrain.runs.checkpoints import first_line, load_checkpoint

ABOUT = {"step": "global_step", "dev_score": "dev_score"}
"""What is said about weights, and where a training checkpoint says it: the optimiser step that they are from, and name,
value and signature of their score on the development set."""
PREFIX = "network."  # of the network's weights inside a training checkpoint


def save_weights(folder: Path, weights: dict[str, torch.Tensor], about: dict[str, Any] | None = None) -> None:
    """Write model.safetensors from a network's state dict; a tensor that appears twice is written once.

    `about` (of `ABOUT`) travels in the file, and is what `Run.weights` gives back. So does a checksum.
    """
    kept = {names[0]: _apart(weights[names[0]]) for names in same_tensors(weights)}
    text = json.dumps(about or {})
    write_tensors(folder / "model.safetensors", kept, {"about": text, "sha256": digest(kept, text)})


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    """Write a file of safetensors, whole or not at all.

    Raises:
        OSError: it cannot be written, such as on a full disk, for which the library has an error of its own.
    """
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, about)
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def same_tensors(weights: dict[str, torch.Tensor]) -> list[list[str]]:
    """The names, those of one and the same tensor together."""
    groups: dict[Any, list[str]] = {}
    for name, tensor in weights.items():
        place = tensor.data_ptr() if tensor.numel() else name  # tensors without elements lie nowhere
        groups.setdefault((place, tensor.dtype, tensor.shape, tensor.stride()), []).append(name)
    return list(groups.values())


def _apart(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the CPU, in memory that it shares with no other."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def weights_in(checkpoint: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The network's weights in a training checkpoint (averaged ones, if there are such), and what it says of them."""
    named = {str(name): value for name, value in checkpoint["state_dict"].items()}
    weights = {name.removeprefix(PREFIX): value for name, value in named.items() if name.startswith(PREFIX)}
    return weights, {name: checkpoint.get(key) for name, key in ABOUT.items()}


def load_weights(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], Path]:
    """A run's weights, what is said about them (of `ABOUT`), and the file that they are from.

    Raises:
        UserError: there are none, or the file is damaged or cannot be read.
    """
    path = folder / "model.safetensors"
    if path.exists():
        check_text(path)
        try:
            return *_load_safetensors(path), path
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        except (SafetensorError, ValueError) as error:
            raise UserError(
                f"{path} is damaged ({first_line(error)}); without it, checkpoints/best.ckpt is used"
            ) from error
    for name in ("best.ckpt", "last.ckpt"):
        path = folder / "checkpoints" / name
        if path.exists():
            return *weights_in(load_checkpoint(path)), path
    raise UserError(f"--model {folder}: the run has no weights yet, neither model.safetensors nor a checkpoint")


def _load_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, and what it says about them.

    Raises ValueError when they do not fit the file's checksum; a file from elsewhere has none.
    """
    with open(path, "rb"):  # whose errors say what is wrong; safetensors calls them all "No such file"
        pass
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    weights, about = load_file(path), metadata.get("about", "{}")
    if metadata.get("sha256", found := digest(weights, about)) != found:
        raise ValueError("its content does not fit its checksum")
    said = json.loads(about)
    if not isinstance(said, dict):
        raise ValueError(f"it says {about[:50]} about its weights")
    return weights, said


def digest(weights: dict[str, torch.Tensor], about: str = "") -> str:
    """SHA-256 over the text, and over name, type, shape and bytes of every tensor, sorted by name."""
    hashed = hashlib.sha256(about.encode())
    for name, tensor in sorted(weights.items()):
        hashed.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()
