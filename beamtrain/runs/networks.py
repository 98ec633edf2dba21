"""The class of a run's network, and the network made of what model.json says of it.

model.json names a class and the modules that it is from. Nothing is imported because of that: the class is looked up
among the modules that are imported already, and is a `Seq2Seq` or refused.
"""

import inspect
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION, import_announced, is_dotted
from beamtrain.base.typed_values import argument_types, check_values
from beamtrain.model import Seq2Seq
from beamtrain.model import __all__ as networks
from beamtrain.runs.checkpoints import first_line
from beamtrain.runs.description import Description

OWN = "beamtrain.model."  # where the package's networks are

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
    "position_rows": (1, 1e6),
}
"""Of the arguments of these names, whatever the network."""


def build_network(description: Description, where: str) -> Seq2Seq:
    """The network that is described, with random weights; `where` is what the file is called in messages.

    Raises:
        UserError: its class is not there to be used, or it does not take these arguments.
    """
    network, arguments = find_network(description.network, where, description.imports), description.arguments
    where = f"{where}: the network {description.network}"
    check_values(arguments, *_types(network, arguments), where)
    for key, (lowest, highest) in BOUNDS.items():
        value = arguments.get(key)
        if isinstance(value, int | float) and not lowest <= value <= highest:
            raise UserError(f"{where}: {key} is {value}; it must be from {lowest:,.0f} to {highest:,.0f}")
    try:
        return network(**arguments)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except Exception as error:  # a network of the user's own may raise anything
        raise UserError(f"{where}: {first_line(error)}") from error


def defaults(network: Seq2Seq) -> dict[str, Any]:
    """The arguments that its class need not be given."""
    parameters = inspect.signature(type(network)).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def is_dropout(argument: str) -> bool:
    """Whether this argument of a network is a rate of dropout, which changes nothing of what its weights do."""
    return "dropout" in argument


def find_network(class_path: str, where: str, imports: list[Any] | None = None) -> type[Seq2Seq]:
    """The class of a network among the imported modules, and those that an installed distribution announces.

    Args:
        class_path: what `where` says, which may be any text.
        where: what names the class, for the message.
        imports: the modules that are needed, if `where` says which.

    Raises:
        UserError: its module is not imported, with the option to add; or it is no network.
    """
    if not ("." in class_path and is_dotted(class_path)):
        raise UserError(f"{where} names the network {class_path!r}, which is not the path of a class")
    module, _, name = class_path.rpartition(".")
    if class_path.startswith("beamtrain.") and class_path != f"{OWN}{name}" and name in networks:
        raise UserError(f"{where} names the network {class_path}, whose name is {OWN}{name}; write that")
    found = _imported(class_path)
    if found is None:
        import_announced(class_path)
        found = _imported(class_path)
    if found is None:
        if module in sys.modules:
            raise UserError(f"{where} names the network {class_path}, but the module {module} has no {name}")
        needed = [each for each in imports or [] if isinstance(each, str) and is_dotted(each)] or [module]
        raise UserError(
            f"{where} names the network {class_path} of a module that is not imported; if it is yours, or you trust "
            f"it, add {' '.join(f'{OPTION} {each}' for each in needed)}"
        )
    if not (isinstance(found, type) and issubclass(found, Seq2Seq)) or inspect.isabstract(found):
        raise UserError(f"{where} names the network {class_path}, which is not a subclass of beamtrain.model.Seq2Seq")
    return found


def check_plain(arguments: Mapping[str, Any]) -> None:
    """Check that a network can be made again from what model.json can hold of its arguments.

    Raises:
        UserError: one is an object.
    """
    for name, value in arguments.items():
        if not is_plain(value):
            raise UserError(
                f"model.network's {name} is {value!r}, but what a network is made with lies in model.json, where "
                "there are only numbers, texts, true and false, null, and lists and mappings of them"
            )


def _imported(class_path: str) -> object | None:
    """What a path names among the imported modules. Nothing is run: of a module, only its dictionary is read."""
    parts = class_path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        found: object | None = sys.modules.get(".".join(parts[:end]))
        if found is not None:
            for part in parts[end:]:
                found = vars(found).get(part) if isinstance(found, ModuleType | type) else None
            return found
    return None


def _types(network: type[Seq2Seq], arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The type of each argument that a network takes, and those that it must be given."""
    parameters = inspect.signature(network).parameters
    hints = argument_types(network)
    named = {key: each for key, each in parameters.items() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    names = {*named, *arguments} if len(named) < len(parameters) else named
    required = [key for key, each in named.items() if each.default is each.empty]
    return {key: hints.get(key, Any) for key in names}, required


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, texts, true and false, null, and lists and mappings of them."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return "class_path" not in value and all(isinstance(key, str) and is_plain(value[key]) for key in value)
    return value is None or type(value) in (bool, int, float, str)
