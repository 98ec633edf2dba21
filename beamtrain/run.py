"""A run's folder: everything that is needed to translate with what a training run made.

    config.yaml         every setting of the run, resolved      environment.json  versions, git commit, command
    tokenizer*.model    the subwords                            model.json        what the network is, and its defaults
    model.safetensors   the best weights                        checkpoints/      last.ckpt to resume, best.ckpt
    logs/               TensorBoard and CSV                     report/           scores and output of the test set

Nothing in the folder is executed: the network is one of `NETWORKS`, weights are tensors only.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from beamtrain.checkpoints import first_line, load_checkpoint
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.errors import UserError
from beamtrain.files import atomic_path, write_text
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer

NETWORKS: dict[str, type[Seq2Seq]] = {"transformer": Transformer, "gru": GRUEncoderDecoder}
PREFIX = "network."  # of the network's weights inside a training checkpoint


@dataclass(frozen=True)
class Run:
    """A loaded run, ready to translate."""

    path: Path
    network: Seq2Seq
    """In evaluation mode, on the device asked for."""
    tokenizer: Tokenizer
    info: dict[str, Any]
    """model.json: network {name, arguments}, source_lang, target_lang, search, corpus, and weights {step, dev_bleu}."""


def save_description(folder: Path, info: dict[str, Any]) -> None:
    """Write model.json."""
    write_text(folder / "model.json", json.dumps(info, indent=2, ensure_ascii=False) + "\n")


def save_weights(folder: Path, weights: dict[str, torch.Tensor], about: dict[str, Any] | None = None) -> None:
    """Write model.safetensors from a network's state dict; a tensor that appears twice is written once.

    `about` (step, dev_bleu) travels in the file, and is what `Run.info["weights"]` gives back. So does a checksum.
    """
    unique: dict[int, str] = {}
    for name, tensor in weights.items():
        unique.setdefault(tensor.data_ptr(), name)
    kept = {name: weights[name].detach().cpu().contiguous() for name in unique.values()}
    text = json.dumps(about or {})
    with atomic_path(folder / "model.safetensors") as path:
        save_file(kept, path, {"about": text, "sha256": _digest(kept, text)})


def checkpoint_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The network's weights in a training checkpoint (with averaging on, the averaged ones), and step and dev_bleu."""
    checkpoint = load_checkpoint(path)
    state = checkpoint["state_dict"]
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    return weights, {"step": checkpoint["global_step"], "dev_bleu": checkpoint.get("dev_bleu")}


def load_run(path: Path | str, device: torch.device | str = "cpu") -> Run:
    """Load the run in folder `path`: the best weights, or those of the newest checkpoint while there are no others.

    Raises:
        UserError: the folder is missing or is not a run, or its files do not belong together.
    """
    folder = Path(path)
    info = _description(folder)
    arguments = info["network"]
    if arguments["name"] not in NETWORKS:
        raise UserError(f"{folder}/model.json names the network {arguments['name']!r}; known: {', '.join(NETWORKS)}")
    try:
        network = NETWORKS[arguments["name"]](**arguments["arguments"])
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"{folder}/model.json gives the network {arguments['name']} settings that it does not take: "
            f"{first_line(error)}"
        ) from error
    weights, info["weights"], origin = _weights(folder)
    shared = {name for name, _ in network.named_parameters()}  # each shared table under its first name
    try:
        network.load_state_dict({name: value for name, value in weights.items() if name in shared}, strict=False)
    except RuntimeError as error:
        raise UserError(f"{origin} does not fit the network of model.json: {first_line(error)}") from error
    missing = sorted(shared - weights.keys())
    if missing:
        raise UserError(f"{origin} lacks {len(missing)} of the network's tensors, first {missing[0]}")
    return Run(folder, network.to(device).eval(), Tokenizer.load(folder), info)


def _description(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"--model {folder}: there is no such folder; give a run's folder, such as runs/quickstart")
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        info["network"]["name"], info["network"]["arguments"]
        return info
    except FileNotFoundError:
        raise UserError(f"--model {folder}: not a run's folder, it has no model.json") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--model {folder}: model.json is damaged ({first_line(error)})") from error


def _weights(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], Path]:
    path = folder / "model.safetensors"
    if path.exists():
        try:
            return *_load_weights(path), path
        except (SafetensorError, OSError, ValueError) as error:
            raise UserError(
                f"{path} is damaged ({first_line(error)}); without it, checkpoints/best.ckpt is used"
            ) from error
    for name in ("best.ckpt", "last.ckpt"):
        path = folder / "checkpoints" / name
        if path.exists():
            return *checkpoint_weights(path), path
    raise UserError(f"--model {folder}: the run has no weights yet, neither model.safetensors nor a checkpoint")


def _load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a safetensors file, and what it says about them.

    Raises ValueError when they do not fit the file's checksum; a file from elsewhere has none.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    weights, about = load_file(path), metadata.get("about", "{}")
    if metadata.get("sha256", digest := _digest(weights, about)) != digest:
        raise ValueError("its content does not fit its checksum")
    return weights, json.loads(about)


def _digest(weights: dict[str, torch.Tensor], about: str) -> str:
    """SHA-256 over the text, and over name, type, shape and bytes of every tensor, sorted by name."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
