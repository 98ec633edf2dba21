"""A folder with a model of Hugging Face's library: what is in it, read without running any of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.data.foreign_tokenizer import EXTRA, load_backend, quiet_transformers
from beamtrain.interop.architectures import Architecture, architecture_of

_PURPOSE = "importing a model"
_SETTINGS = ("*.json", "*.txt", "*.spm", "*.model")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ForeignModel:
    """A model as the library reads it, in float32, in evaluation mode."""

    folder: Path
    architecture: Architecture
    config: Mapping[str, Any]
    """Its settings, defaults included."""
    generation: Mapping[str, Any]
    """What `generate` does unless told otherwise."""
    network: Any
    tokenizer: Any


def find_model(model: str) -> Path:
    """The folder of that name, or that of the model with that id on the hub, downloaded or from the library's cache.

    Raises:
        UserError: there is neither.
    """
    if Path(model).is_dir():
        return Path(model)
    if Path(model).exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise UserError(f"{model}: no folder with a model of Hugging Face's library, and no id on its hub")
    hub = require("huggingface_hub", EXTRA, _PURPOSE)
    try:
        folder = Path(hub.snapshot_download(model, allow_patterns=[*_SETTINGS, _WEIGHTS[0]]))
        if not any(folder.glob(_WEIGHTS[0])):
            folder = Path(hub.snapshot_download(model, allow_patterns=[*_SETTINGS, _WEIGHTS[1]]))
    except Exception as error:  # the hub's own errors, those of HTTP, of sockets and of the disk
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{model}: no such folder, and from the hub it could not be had ({said})") from error
    return folder


def load_foreign(folder: Path) -> ForeignModel:
    """Read the model in `folder`.

    Raises:
        UserError: it is none of `ARCHITECTURES`, a file is missing or damaged, weights are missing or left over, or the
            library is not installed.
    """
    settings = _read_settings(folder / "config.json")
    architecture = architecture_of(settings, f"{folder}/config.json")
    if "auto_map" in settings:
        raise UserError(f"{folder}: its network is code of its own, which is never run")
    if (folder / "generation_config.json").exists():
        _read_settings(folder / "generation_config.json")
    transformers = quiet_transformers(_PURPOSE)
    _check_settings(transformers, folder)
    tokenizer = load_backend(folder, str(folder))
    _check_weights(folder)
    network_class = getattr(transformers, architecture.model_class)
    try:
        network, loaded = network_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told
        )
    except Exception as error:  # a broken or missing file raises half a dozen types, Rust's and pickle's among them
        said = " ".join(str(error).split()).replace(str(folder), "the folder")
        raise UserError(f"{folder}: its weights cannot be read ({said[:200]})") from error
    for what, problem in (("missing", "lacks"), ("mismatched", "has in another shape"), ("unexpected", "has too")):
        names = sorted(str(each[0] if isinstance(each, tuple) else each) for each in loaded[f"{what}_keys"])
        if architecture.positions == "fixed" and what == "missing":  # the library computes them, as older models want
            names = [name for name in names if not name.endswith("embed_positions.weight")]
        if names:
            raise UserError(
                f"{folder}: the file of its weights {problem} {len(names)} of its tensors, first {names[0]}"
            )
    return ForeignModel(
        folder,
        architecture,
        network.config.to_dict(),
        network.generation_config.to_dict(),
        network.eval(),
        tokenizer,
    )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent}: no model of Hugging Face's library, it has no {path.name}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(said, dict):
        raise UserError(f"{path} is damaged: it must hold names with values")
    return said


def _check_settings(transformers: Any, folder: Path) -> None:
    """Raises UserError for values that the library does not take."""
    try:
        transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # its own, and those of what is made with the values
        raise UserError(f"{folder}/config.json: {' '.join(str(error).split())[:200]}") from error


def _check_weights(folder: Path) -> None:
    """Raises UserError for files of weights that are not there, and for those that only stand for them."""
    files = [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
    if not files:
        left = next((path.name for path in sorted(folder.rglob("*.incomplete"))), None)
        raise UserError(
            f"{folder}: no weights, neither model.safetensors nor pytorch_model.bin"
            + (f"; the download of {left} was not finished, start it again" if left else "")
        )
    for path in files:
        with open(path, "rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise UserError(f"{path} only says where the weights are: get them by git lfs pull")
