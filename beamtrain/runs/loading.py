"""Loading a run to use it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.runs.checkpoints import first_line
from beamtrain.runs.description import load_description
from beamtrain.runs.weights import load_weights

NETWORKS: dict[str, type[Seq2Seq]] = {"transformer": Transformer, "gru": GRUEncoderDecoder}


@dataclass(frozen=True)
class Run:
    """A loaded run, ready to translate."""

    path: Path
    network: Seq2Seq
    """In evaluation mode, on the device asked for."""
    tokenizer: Tokenizer
    info: dict[str, Any]
    """model.json: network {name, arguments}, source_lang, target_lang, search, corpus, and weights {step, dev_bleu}."""


def load_run(path: Path | str, device: torch.device | str = "cpu") -> Run:
    """Load the run in folder `path`: the best weights, or those of the newest checkpoint while there are no others.

    Raises:
        UserError: the folder is missing or is not a run, or its files do not belong together.
    """
    folder = Path(path)
    info = load_description(folder)
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
    weights, info["weights"], origin = load_weights(folder)
    shared = {name for name, _ in network.named_parameters()}  # each shared table under its first name
    try:
        network.load_state_dict({name: value for name, value in weights.items() if name in shared}, strict=False)
    except RuntimeError as error:
        raise UserError(f"{origin} does not fit the network of model.json: {first_line(error)}") from error
    missing = sorted(shared - weights.keys())
    if missing:
        raise UserError(f"{origin} lacks {len(missing)} of the network's tensors, first {missing[0]}")
    return Run(folder, network.to(device).eval(), Tokenizer.load(folder), info)
