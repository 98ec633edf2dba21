"""What the parser says of a wrong value, told in one line: the setting, the value, and what it may be.

Also what it does not say: it takes null for an argument of a class to be none at all.
"""

import re
from ast import literal_eval
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import isabstract, signature
from pkgutil import resolve_name
from typing import Any, get_args

from jsonargparse import Namespace

from beamtrain.base.errors import UserError, nearest
from beamtrain.base.typed_values import argument_types, described, takes_null
from beamtrain.training.class_paths import short_path
from beamtrain.training.trainer_options import PRECISIONS, UNUSED, unused

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "tuple": "a list",
    "list": "a list",
    "dict": "names with values",
}
_IN_A_CONFIG = {"None": "null", "True": "true", "False": "false", "": "''"}
MOST_LISTED = 12  # classes, where none is like what was given

_KEY = re.compile(r'Parser key "([^"]+)":')
_CHOSEN = re.compile(r"Problem with given class_path '([^']+)':")
_NOISE = re.compile(  # what leads to the reason, or stands beside it
    r"- Expected a path but .*|Type typing\.Callable.*?callable class:|Subtypes: .*|Errors:"
    r"|Does not validate against any of the Union subtypes"
)
_NESTED = re.compile(r"NestedArg\(key='[^']*', val='?(.*?)'?\)")  # a value on its way to an argument of a class
_TYPE = re.compile(r"Expected a (?:<class '([\w.]+)'>|typing\.Literal(\[[^\]]*\]))")
_VALUE = re.compile(r"(?:Got|Given) value: (.*?)(?:\. Got value: .*)?$", re.M)
_CLASS = re.compile(r"Namespace\(class_path='([\w.]+)'")
_NO_CLASS = re.compile(
    r"Expected a dot import path string:(?: (\S+))?|argument of type 'NoneType' is not"
    r"|Import path (\S+ )?does not correspond to a subclass"
    r"|Expected '(\S+)' to be a (?:sub)?class|Expected an instantiatable class"
    r"|Not a valid subclass of \w+|Expected an import path or a subclass spec, but got"
    r"|module '[\w.]+' has no attribute '\w+'|No module named '[\w.]+'"
)
_NOT_INSTALLED = re.compile(r"Problem with given class_path '(?:[\w.]+\.)?(\w+)':\s+Requirement '([^']+)' not met")
_NO_ARGUMENT = re.compile(r"Option '([\w.]+)' is not accepted")
_MISSING = re.compile(r"the following arguments are required: (.+)")
_ARGPARSE = (
    (re.compile(r"argument (\S+): expected (?:one|at least one) argument"), r"\1 needs a value"),
    (re.compile(r"argument (\S+): ignored explicit argument '(.*)'"), r"\1 takes no value, but has \2"),
    (re.compile(r"unrecognized arguments: (\S+).*", re.S), r"\1 is no option, nor the value of one"),
    (
        re.compile(r"Parser key \"(\S+)\":\s*Unable to load config '(.*?)'", re.S),
        r"\1 is \2; it must be names with values, or a config file",
    ),
)  # fmt: skip


def explained(message: str, types: Mapping[str, Any]) -> str:
    """The parser's message about a wrong value, in one line.

    Args:
        message: what the parser says, which tries every type that the value might have.
        types: of each setting, by its dotted name.
    """
    for pattern, said in _ARGPARSE:
        if found := pattern.search(message):
            return found.expand(said)
    if found := _NOT_INSTALLED.search(message):
        return f"{found[1]} needs {found[2]}, which is not there: pip install '{found[2]}'"
    message = _NESTED.sub(r"\1", _NOISE.sub("", message))
    keys: list[str] = []
    owner, chosen, reason = None, None, ""  # the class whose argument the last key is, and the class that is to be it
    for place, line in enumerate(lines := message.splitlines()):
        line = line.strip(" -")
        if found := _KEY.fullmatch(line):
            keys.append(found[1])
            owner, chosen = chosen, None
        elif found := _CHOSEN.fullmatch(line):
            chosen = found[1]
        elif line:
            reason = "\n".join([line, *lines[place + 1 :]])
            break
    key = ".".join(keys)
    if chosen and (found := _MISSING.match(reason)):
        name, first = chosen.rpartition(".")[2], found[1].partition(",")[0]
        return f"{key}: {name} needs {found[1]}; give it by --{key}.{first}"
    if chosen and (found := _NO_ARGUMENT.match(reason)):
        guess = nearest(found[1], signature(resolve_name(chosen)).parameters)
        return f"{key}.{found[1]} is not a setting" + (f"; did you mean {key}.{guess}?" if guess else "")
    if key.removeprefix("trainer.") in UNUSED:
        return unused(key.removeprefix("trainer."), _given(reason))
    if key == "trainer.precision":
        return f"{key} is {_given(reason)}; it must be {' or '.join(PRECISIONS)}"
    if _TYPE.match(reason):
        return _wrong_value(key, reason)
    if found := _NO_CLASS.match(reason):
        given = next(filter(None, (*found.groups(), chosen, _given(reason))))
        return _wrong_class(key, _IN_A_CONFIG.get(given.strip(), given.strip()), _type_of(keys, owner, types))
    return ": ".join(filter(None, (key, reason.partition("\n")[0])))


def check_nulls(setting: Any, name: str = "") -> None:
    """Check that in a setting, and in all below it, no argument of a class is null where that takes none.

    Raises:
        UserError: one is.
    """
    if isinstance(setting, list):
        for each in setting:
            check_nulls(each, name)
    if not isinstance(setting, Namespace):
        return
    chosen, below = setting.get("class_path"), setting
    if isinstance(chosen, str):
        below = setting.get("init_args") or Namespace()
        for argument, kind in _arguments(resolve_name(chosen)).items():
            if argument in below and below[argument] is None and not takes_null(kind):
                raise UserError(f"{name}.{argument} is null; it must be {described(kind)}")
    for key, value in vars(below).items():
        check_nulls(value, f"{name}.{key}".lstrip("."))


def _arguments(chosen: Any) -> dict[str, Any]:
    """The type of each argument of a class that is not null by default."""
    parameters = signature(chosen).parameters
    types = argument_types(chosen)
    return {name: kind for name, kind in types.items() if name in parameters and parameters[name].default is not None}


def _wrong_value(key: str, reason: str) -> str:
    """Of a value that has none of the types which the parser has tried one after the other."""
    kinds: list[str] = []
    choices: list[str] = []
    for line in reason.splitlines():
        if not (found := _TYPE.match(line.strip(" -"))):
            break
        kinds += [KINDS[found[1]]] if found[1] in KINDS else []
        choices += map(str, literal_eval(found[2])) if found[2] else []
        if "Got value:" in line:
            break
    given, allowed = _given(reason), list(dict.fromkeys([*choices, *kinds]))
    guess = nearest(given, choices) if given != "null" else None
    if given in ("true", "false") and "text" in allowed:
        return f"{key} is {given}, as yes, no, on and off are in YAML too; it must be text: put the word in quotes"
    return f"{key} is {given}; it must be {' or '.join(allowed) or 'another value'}" + (
        f"; did you mean {guess}?" if guess else ""
    )


def _given(reason: str) -> str:
    """The value that the parser gives in Python's words, in those of a config."""
    found = _VALUE.search(reason)
    if found and (chosen := _CLASS.match(found[1])):
        return chosen[1]
    return _IN_A_CONFIG.get(found[1], found[1]) if found else "null" if "NoneType" in reason else "''"


def _wrong_class(key: str, given: str, kind: Any) -> str:
    classes = {short_path(each): each for each in _concrete(kind)}
    names = {path.rpartition(".")[2]: path for path in sorted(classes)}
    guess = names.get(nearest(given.rpartition(".")[2], names) or "")
    listed = f": {', '.join(sorted(names))}" if not guess and 0 < len(names) <= MOST_LISTED else ""
    return f"{key} is {given}, which is no class that it can be" + (f"; did you mean {guess}?" if guess else listed)


def _type_of(keys: list[str], owner: str | None, types: Mapping[str, Any]) -> Any:
    """The type of the setting at `keys`: the parser's, or that of an argument of the class that owns it."""
    if owner is None:
        return types.get(".".join(keys))
    return argument_types(resolve_name(owner)).get(keys[-1])


def _concrete(kind: Any) -> Iterator[type]:
    """The classes that a setting of that type can have, as far as they are imported."""
    if get_args(kind):
        for each in get_args(kind):
            yield from _concrete(each)
    elif isinstance(kind, type) and kind.__module__ != "builtins":
        import_module(".".join(kind.__module__.split(".")[:2]))  # of ours, this imports all that it is known by
        yield from (each for each in _subclasses(kind) or [kind] if not isabstract(each))


def _subclasses(kind: Any) -> list[Any]:
    return [each for child in kind.__subclasses__() for each in (child, *_subclasses(child))]
