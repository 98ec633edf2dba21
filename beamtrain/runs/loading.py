"""Loading a run to use it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.runs.description import Description, load_description
from beamtrain.runs.networks import build_network
from beamtrain.runs.weights import load_weights, same_tensors


@dataclass(frozen=True)
class Run:
    """A loaded run, ready to translate."""

    path: Path
    network: Seq2Seq
    """In evaluation mode, on the device asked for."""
    tokenizer: Tokenizer
    description: Description
    """What the run's model.json says."""
    weights: dict[str, Any]
    """Where the network's weights are from: see `ABOUT`."""


def load_run(path: Path | str, device: torch.device | str = "cpu") -> Run:
    """Load the run in folder `path`: the best weights, or those of the newest checkpoint while there are no others.

    A network that is not the package's is found if its module is imported already, or announced by an installed
    distribution (`base.plugins`).

    Raises:
        UserError: the folder is missing or is not a run, or its files do not belong together.
    """
    folder = Path(path)
    description = load_description(folder)
    weights, about, origin = load_weights(folder)
    with _NotLargerThan(weights, f"{folder}/model.json asks for a larger network than that of {origin}"):
        network = build_network(description, f"{folder}/model.json")
    state = network.state_dict()
    for names in same_tensors(state):  # which may have been written under one of their names
        there = next((name for name in names if name in weights), None)
        weights.update({name: weights[there] for name in names if there is not None})
    _check_fit({name: tuple(each.shape) for name, each in state.items()}, weights, origin)
    network.load_state_dict(weights)
    tokenizer = Tokenizer.load(folder)
    _check_vocabulary(tokenizer, description.arguments, folder)
    return Run(folder, network.to(device).eval(), tokenizer, description, about)


class _NotLargerThan(TorchFunctionMode):
    """Refuses to begin with a network that has far more numbers than there are weights for it, whatever its settings.

    Modules make their parameters with `torch.empty`.
    """

    _ROOM = 1 << 26  # numbers that a network may need besides its weights

    def __init__(self, weights: dict[str, Any], problem: str) -> None:
        super().__init__()
        self._left = self._ROOM + sum(each.numel() for each in weights.values() if isinstance(each, torch.Tensor))
        self._problem = problem

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.empty:
            size = args[0] if len(args) == 1 and isinstance(args[0], Sequence) else args
            self._left -= math.prod(size)
            if self._left < 0:
                raise UserError(self._problem)
        return function(*args, **(kwargs or {}))


def _check_fit(shapes: dict[str, tuple[int, ...]], weights: dict[str, Any], origin: Path) -> None:
    missing = sorted(shapes.keys() - weights.keys())
    if missing:
        raise UserError(f"{origin} lacks {len(missing)} of the network's tensors, first {missing[0]}")
    if strange := sorted(weights.keys() - shapes.keys()):
        raise UserError(f"{origin} does not fit the network of model.json, which has no {strange[0]}")
    for name, shape in shapes.items():
        has = tuple(weights[name].shape) if isinstance(weights[name], torch.Tensor) else type(weights[name]).__name__
        if has != shape:
            raise UserError(f"{origin} does not fit the network of model.json: {name} is {has}, and not {shape}")


def _check_vocabulary(tokenizer: Tokenizer, arguments: dict[str, Any], folder: Path) -> None:
    """Raises UserError unless the network, which was made with these arguments, has as many subwords on each side."""
    target = arguments.get("vocab_size")
    source = arguments.get("source_vocab_size") or target
    for side, model, size in (("source", tokenizer.source, source), ("target", tokenizer.target, target)):
        if size not in (None, model.vocab_size):
            raise UserError(f"{folder}: the tokenizer has {model.vocab_size} {side} subwords, and the network {size}")
