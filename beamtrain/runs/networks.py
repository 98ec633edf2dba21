"""What model.json says of a run's network, and how it is made again.

model.json names a class and the modules that it is from. Nothing is imported because of that: the class is looked up
among the modules that are imported already, and is a `Seq2Seq` or refused.
"""

import inspect
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION, import_announced, is_dotted
from beamtrain.model import Seq2Seq
from beamtrain.model import __all__ as networks

OWN = "beamtrain.model."  # where the package's networks are


def describe_network(class_path: str, arguments: Mapping[str, Any], imported: Sequence[str] = ()) -> dict[str, Any]:
    """What model.json holds of a network: class_path and arguments; of one that is not the package's also `import`, the
    modules that the user `imported` and the class's own.

    Raises:
        UserError: an argument that is more than numbers, texts, lists and mappings, so that loading would run code.
    """
    for name, value in arguments.items():
        if not _is_plain(value):
            raise UserError(
                f"model.network's {name} is {value!r}, but what a network is made with lies in model.json, where "
                "there are only numbers, texts, true and false, null, and lists and mappings of them"
            )
    description = {"class_path": class_path, "arguments": dict(arguments)}
    if class_path.startswith(OWN):
        return description
    module = find_network(class_path, "model.network").__module__
    return {**description, "import": list(dict.fromkeys([*imported, module]))}


def make_network(description: Mapping[str, Any], place: str) -> Seq2Seq:
    """The network, with random weights; `place` is the file that describes it.

    Raises:
        UserError: the class is not there to be used, or does not take such arguments.
    """
    network, arguments = (
        find_network(description["class_path"], place, description.get("import")),
        description["arguments"],
    )
    try:
        inspect.signature(network).bind(**arguments)
        return network(**arguments)
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"{place} gives the network {description['class_path']} settings that it does not take: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error


def find_network(class_path: Any, place: str, modules: Any = None) -> type[Seq2Seq]:
    """The class of a network among the imported modules, and those that an installed distribution announces.

    Args:
        class_path: what `place` says, which may be anything.
        place: where it stands, for the message.
        modules: what has to be imported, if `place` says it.

    Raises:
        UserError: its module is not imported, or it is no network; with the option to add.
    """
    if not (isinstance(class_path, str) and "." in class_path and is_dotted(class_path)):
        raise UserError(f"{place} names the network {class_path!r}, which is not the path of a class")
    module, _, name = class_path.rpartition(".")
    if class_path.startswith("beamtrain.") and module != "beamtrain.model" and name in networks:
        raise UserError(f"{place} names the network {class_path}, whose name is {OWN}{name}; write that")
    found = _imported(class_path)
    if found is None:
        import_announced(class_path)
        found = _imported(class_path)
    if found is None:
        if module in sys.modules:
            raise UserError(f"{place} names the network {class_path}, but the module {module} has no {name}")
        named = (
            [each for each in modules if isinstance(each, str) and is_dotted(each)] if isinstance(modules, list) else []
        )
        options = " ".join(f"{OPTION} {each}" for each in named or [module])
        raise UserError(
            f"{place} names the network {class_path} of a module that is not imported; if it is yours, or you trust "
            f"it, add {options}"
        )
    if not (isinstance(found, type) and issubclass(found, Seq2Seq)) or inspect.isabstract(found):
        raise UserError(f"{place} names the network {class_path}, which is not a subclass of beamtrain.model.Seq2Seq")
    return found


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


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return "class_path" not in value and all(isinstance(key, str) and _is_plain(value[key]) for key in value)
    return value is None or type(value) in (bool, int, float, str)
