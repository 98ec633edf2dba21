"""Values that were read from a file, against the types that they must have."""

from collections.abc import Callable, Collection, Mapping
from inspect import isclass
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from beamtrain.base.errors import UserError, nearest

_NAMES = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null",
    dict: "names with values", list: "a list", tuple: "a list",
}  # fmt: skip
_UNKNOWN = "another value"


def check_values(values: Any, types: Mapping[str, Any], required: Collection[str], where: str) -> None:
    """Check that `values` is a mapping of known keys, all that are required among them, to values of their types.

    Args:
        values: what was read.
        types: for each key its type, of int, float, str, bool, dict, list, None, literals and unions of these. A
            value may be anything where the type is something else.
        where: what the values are, for the message.

    Raises:
        UserError: naming the first key that is unknown, missing or has a wrong value, and what it must be.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where} is {_shown(values)}; it must be {_NAMES[dict]}")
    for key in values:
        if key not in types:
            guess = nearest(key, types)
            raise UserError(f"{where} has no {shortened(key)}" + (f"; did you mean {guess}?" if guess else ""))
    if missing := [key for key in required if key not in values]:
        raise UserError(f"{where} lacks {', '.join(missing)}")
    for key, value in values.items():
        if not _fits(value, types[key]):
            raise UserError(f"{where}: {key} is {_shown(value)}; it must be {described(types[key])}")


def argument_types(made: Callable[..., Any]) -> dict[str, Any]:
    """The type of each argument of a class or a function; none, where one was imported for type checkers only."""
    try:
        return get_type_hints(made.__init__ if isclass(made) else made)
    except NameError:
        return {}


def takes_null(kind: Any) -> bool:
    """Whether null is a value of the type."""
    return kind in (Any, object, None, NoneType) or NoneType in get_args(kind)


def described(kind: Any) -> str:
    """What a value of the type is, for people."""
    if get_origin(kind) in (Union, UnionType):
        known = [each for each in map(described, get_args(kind)) if each != _UNKNOWN]
        return " or ".join(known) or _UNKNOWN
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    return _NAMES.get(get_origin(kind) or kind, _UNKNOWN)


def _shown(value: Any) -> str:
    return "null" if value is None else shortened(value)


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if kind in (int, float):  # JSON and YAML write 1.0 as 1
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, str) and _is_text(value)
    return not isinstance(kind, type) or kind not in _NAMES or isinstance(value, kind)


def _is_text(value: str) -> bool:
    """Whether it can be printed and be the name of a file."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
