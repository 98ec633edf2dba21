"""Names of settings: where a config file lies, and one clear message for all keys that do not exist."""

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from jsonargparse import _paths

from beamtrain.base.assets import find, folder
from beamtrain.base.errors import UserError, nearest
from beamtrain.base.plugins import import_module_of

CONFIG_OPTION, SHORT = "--config", "-c"
FOLLOWING = {"model.network.vocab_size": "data.vocab_size", "model.network.source_vocab_size": "data.joint_vocabulary"}
"""Arguments of a class that are set by another setting, which would overwrite what is given for them."""
LIKE_AN_ENDING = 0.6
"""How like a short word must be: lr is like logger by half."""


def located(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """The arguments with every `--config NAME` made a path, and those paths; a bare name is looked up in `configs/`.

    Configs come first, so that an option wins over a config wherever it stands.

    Raises:
        UserError: nothing is given, or there is no such config file.
    """
    if not arguments:
        raise UserError(
            f"nothing to train: give a config, a file or the name of a shipped one ({', '.join(_shipped())}), such as "
            "beamtrain train --config quickstart.yaml; all settings: beamtrain train --help"
        )
    others, configs = [], []
    pending = iter(arguments)
    for argument in pending:
        option, equals, value = argument.partition("=")
        if option in (CONFIG_OPTION, SHORT):
            configs.append(_config_path(value if equals else next(pending, "")))
        elif argument.startswith(SHORT):
            configs.append(_config_path(option.removeprefix(SHORT) + equals + value))
        else:
            others.append(argument)
    return [*(f"{CONFIG_OPTION}={path}" for path in configs), *others], configs


def _config_path(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    shipped = find("configs", name) if name else None
    if shipped is not None and shipped.is_file():
        return shipped
    guess = nearest(name, _shipped())
    raise UserError(
        f"--config {name or '(nothing)'}: there is no such file, here or among the shipped configs"
        + (f"; did you mean {guess}?" if guess else f" ({', '.join(_shipped())})")
    )


def _shipped() -> list[str]:
    return sorted(path.name for path in folder("configs").glob("*.yaml"))


def check_keys(known: set[str], arguments: list[str], configs: list[Path], classes: dict[str, str]) -> None:
    """Check that every key of the config files and every option exists; `known` are dotted names,
    `classes` the class that a setting holds as long as no config names another.

    Raises:
        UserError: naming all unknown keys, each with its file and the nearest known key; or a file that is no YAML.
    """
    problems, classes = [], dict(classes)
    for path in configs:
        found = _unknown_keys(read_config(path), known, "", classes, path.parent)
        problems += [f"{path.name}: {problem}" for problem in found]
    before: list[str] = []  # options so far
    for argument, following in pairwise([*arguments, ""]):
        if not argument.startswith("--"):
            continue
        option, equals, value = argument.partition("=")
        name = option.removeprefix("--").removesuffix("+")  # --key+=value adds to a list
        setting = name.removesuffix(".class_path")
        if not option.endswith("+"):
            problems += _undone(setting, before)
        before.append(name)
        if setting in classes:
            found = _unknown_in_choice(value if equals else following, setting, classes, Path())
        else:
            found = _unknown_option(name, known, classes)
        problems += [f"command line: {problem}" for problem in found]
    if problems:
        raise UserError("\n".join(problems) if len(problems) == 1 else "\n  ".join(["wrong settings", *problems]))


@contextmanager
def read_as_utf8() -> Iterator[None]:
    """Have the parser read config files as UTF-8 inside of this, whatever the locale."""

    def read_text(path: _paths.Path) -> str:
        try:
            return Path(path.absolute).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not YAML: {error}") from error

    with patch.object(_paths.Path, "read_text", read_text):
        yield


class _NamedTwiceError(Exception):
    """A key, and the line in which it is named again."""


class _EachKeyOnce(yaml.SafeLoader):
    """YAML in which no key is named twice; the library would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in keys:
                    raise _NamedTwiceError(key.value, key.start_mark.line + 1)
                keys.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        UserError: it is not YAML, names a key twice, or holds something else.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except _NamedTwiceError as error:
        key, line = error.args
        raise UserError(f"{path} names {key} twice, again in line {line}: put both into one") from error
    if not isinstance(tree, dict):
        held = "and is empty" if tree is None else f"not a {type(tree).__name__}"
        raise UserError(f"{path} must hold settings as `key: value` lines, {held}")
    return tree


def _unknown_keys(
    tree: dict[str, Any], known: set[str], prefix: str, classes: dict[str, str], folder: Path
) -> Iterator[str]:
    """Of the settings in a file in the folder."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and any(each.startswith(f"{name}.") for each in known) and "class_path" not in value:
            yield from _unknown_keys(value, known, f"{name}.", classes, folder)
        elif not _is_known(name, known):
            yield _unknown(name, known, classes=classes)
        elif not isinstance(value, dict) and _is_group(name, known):
            yield f"{name} is {_as_typed(value)}; it must be names with values"
        else:
            for choice in value if isinstance(value, list) else [value]:
                yield from _unknown_in_choice(choice, name, classes, folder)


def _unknown_in_choice(choice: Any, name: str, classes: dict[str, str], folder: Path) -> Iterator[str]:
    """Of a class that a setting is given: by its name, as names with values, or by a file with these."""
    if isinstance(choice, str) and name in classes:
        if os.path.isfile(folder / choice):
            found = _unknown_in_choice(read_config(folder / choice), name, classes, (folder / choice).parent)
            yield from (f"{choice}: {problem}" for problem in found)
        else:
            classes[name] = choice
    elif isinstance(choice, dict) and "class_path" in choice:
        if not isinstance(choice["class_path"], str):
            yield f"{name}.class_path is {_as_typed(choice['class_path'])}; it must be the name of a class"
            return
        classes[name], arguments = choice["class_path"], choice.get("init_args") or {}
        if isinstance(arguments, dict):
            yield from _unknown_arguments(arguments, f"{name}.init_args.", classes[name])
        else:
            yield f"{name}.init_args is {arguments}; it must be names with values"


def _undone(name: str, before: list[str]) -> list[str]:
    """What is said of options for a class that is chosen after them, and starts from its own defaults."""
    lost = [each for each in before if each.startswith(f"{name}.") and each != f"{name}.class_path"]
    return [f"command line: --{name} would undo --{lost[0]}, which stands before it; give it first"] if lost else []


def _unknown_option(name: str, known: set[str], classes: dict[str, str]) -> Iterator[str]:
    for setting, class_path in classes.items():
        argument = name.removeprefix(f"{setting}.").removeprefix("init_args.")
        if name.startswith(f"{setting}.") and argument not in ("class_path", "init_args"):
            prefix = name.removesuffix(argument)
            yield from _unknown_arguments([argument.partition(".")[0]], prefix, class_path, "--")
            return
    if not _is_known(name, known):
        yield _unknown(name, known, "--", classes)


def _unknown_arguments(names: Iterable[str], prefix: str, class_path: str, dashes: str = "") -> Iterator[str]:
    """Those of `names` that the class does not take, or that are not to be given."""
    chosen = class_of(class_path)
    if chosen is None:
        return  # a short or wrong class name: the parser resolves it, or says so
    parameters = inspect.signature(chosen).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in names:
        if set_by := FOLLOWING.get(f"{prefix.removesuffix('init_args.')}{name}"):
            yield f"{dashes}{prefix}{name} follows from {set_by}: set that instead"
        elif name not in parameters:
            yield _unknown(f"{prefix}{name}", {f"{prefix}{each}" for each in parameters}, dashes)


def class_of(class_path: str) -> type | None:
    """The class at a dotted path, or None when there is none.

    Raises:
        UserError: importing its module raises an error.
    """
    import_module_of(class_path, os.getcwd())
    module_name, _, class_name = class_path.rpartition(".")
    try:
        return getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError):
        return None


def _is_group(name: str, known: set[str]) -> bool:
    """Whether a setting is only a name for those below it, and holds no class."""
    below = {each.removeprefix(f"{name}.").split(".")[0] for each in known if each.startswith(f"{name}.")}
    return bool(below - {"help", "class_path", "init_args"})


def _as_typed(value: Any) -> str:
    return "null" if value is None else str(value)


def _is_known(name: str, known: set[str]) -> bool:
    """Known itself, a group of known keys, or below a key that holds a class (which the parser checks)."""
    if name in known or any(each.startswith(f"{name}.") for each in known):
        return True
    parent = name.rpartition(".")[0]
    return any(parent == each or parent.startswith(f"{each}.") for each in known if each.count(".") >= 1)


def _unknown(name: str, known: set[str], dashes: str = "", classes: Mapping[str, str] | None = None) -> str:
    """What is said of a name that is none; the guess may be an argument of one of the classes, too."""
    known = {each for each in known if not each.endswith(".help")}
    arguments = {f"{setting}.init_args.{each}" for setting, path in (classes or {}).items() for each in _taken(path)}
    last = name.rpartition(".")[2]
    ending, of_argument = _by_ending(known), _by_ending(arguments)
    guess = of_argument.get(last) if last not in ending else None
    guess = guess or nearest(name, known | arguments) or ending.get(nearest(last, ending, LIKE_AN_ENDING) or "")
    return f"{dashes}{name} is not a setting" + (f"; did you mean {dashes}{guess}?" if guess else "")


def _taken(class_path: str) -> Iterable[str]:
    """The arguments of a class, if it is known by that path."""
    chosen = class_of(class_path)
    return inspect.signature(chosen).parameters if chosen is not None else ()


def _by_ending(names: set[str]) -> dict[str, str]:
    return {each.rpartition(".")[2]: each for each in sorted(names, reverse=True)}
