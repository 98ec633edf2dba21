"""The networks that a run may have, by the names that model.json calls them."""

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from beamtrain.base.errors import UserError
from beamtrain.base.typed_values import check_values
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.runs.checkpoints import first_line

NETWORKS: dict[str, type[Seq2Seq]] = {"transformer": Transformer, "gru": GRUEncoderDecoder}

BOUNDS: dict[str, tuple[float, float]] = {
    "vocab_size": (5, 1e6),
    "source_vocab_size": (5, 1e6),
    "width": (1, 65_536),
    "inner_width": (1, 1_048_576),
    "heads": (1, 1024),
    "encoder_layers": (0, 1000),
    "decoder_layers": (0, 1000),
    "dropout": (0, 1),
    "attention_dropout": (0, 1),
}
"""Of the arguments of these names, whatever the network."""


def build_network(name: str, arguments: Mapping[str, Any], where: str) -> Seq2Seq:
    """The network of that name with these arguments, which come from a file that is called `where` in messages.

    Raises:
        UserError: there is no such network, or it does not take these arguments.
    """
    network = registered(name, where)
    where = f"{where}: the network {name}"
    check_values(arguments, *_types(network, arguments), where)
    for key, (lowest, highest) in BOUNDS.items():
        value = arguments.get(key)
        if isinstance(value, int | float) and not lowest <= value <= highest:
            raise UserError(f"{where}: {key} is {value}; it must be from {lowest:,.0f} to {highest:,.0f}")
    try:
        return network(**arguments)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except Exception as error:  # a network that a user has registered may raise anything
        raise UserError(f"{where}: {first_line(error)}") from error


def registered(name: str, where: str) -> type[Seq2Seq]:
    """The network that a file, called `where` in messages, calls `name`.

    Raises:
        UserError: none is called so.
    """
    if name not in NETWORKS:
        raise UserError(f"{where} names the network {name!r}; known: {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _types(network: type[Seq2Seq], arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The type of each argument that a network takes, and those that it must be given."""
    parameters, hints = inspect.signature(network).parameters, get_type_hints(network.__init__)
    named = {key: each for key, each in parameters.items() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    names = {*named, *arguments} if len(named) < len(parameters) else named
    required = [key for key, each in named.items() if each.default is each.empty]
    return {key: hints.get(key, Any) for key in names}, required
