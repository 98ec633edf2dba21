"""The options that the experiments share, and one line for a wrong one."""

import argparse
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import torch

from beamtrain.base.errors import UserError
from beamtrain.base.script_parser import ScriptParser

MOST_SEED = 2**63 - 1  # of a torch.Generator
LEAST_STEPS = 10  # of a one-cycle schedule


_PICTURES = Path("docs/images/ranking")


class _Out(argparse.Action):
    """Pictures go to the same folder, unless another is given."""

    def __call__(self, parser: object, options: argparse.Namespace, value: Any, option: object = None) -> None:
        options.out = value
        if options.pictures is _PICTURES:
            options.pictures = value


def parser(description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """With seeds 1, 2, .., the folder of finished cells and that of pictures: where only the first is given, it."""
    made = ScriptParser(description)
    made.add_argument("--seeds", type=whole(0, MOST_SEED), nargs="+", default=list(range(1, seeds + 1)))
    made.add_argument("--out", type=folder, action=_Out, default=Path("docs/experiments/ranking"))
    made.add_argument("--pictures", type=folder, default=_PICTURES)
    return made


def image_parser(description: str | None) -> argparse.ArgumentParser:
    """With what those have in common that train on images."""
    made = parser(description)
    made.add_argument("--source", help="an id of the hub or a folder; default: the task's on the hub")
    made.add_argument("--costs", action="store_true", help="only measure what a step costs")
    made.add_argument("--device", type=device, default="cpu")
    return made


def whole(least: int, most: float = inf) -> Callable[[str], int]:
    """The type of a whole number."""

    def parsed(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or not least <= int(text) <= most:
            allowed = f"from {least} to {most}" if most < inf else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {allowed}")
        return int(text)

    return parsed


def level(text: str) -> float:
    """The type of a share."""
    return _number(text, 0.0, 1.0, "from 0 to 1")


def temperature(text: str) -> float:
    return _number(text, sys.float_info.min, sys.float_info.max, "above 0")


def folder(text: str) -> Path:
    """The type of a folder that is there or can be made."""
    path = Path(text)
    there = next(each for each in (path, *path.parents, Path()) if each.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a folder: {str(there)!r} is a file; give another one")
    return path


def device(text: str) -> str:
    """The type of a device that is there."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:  # whatever the device's library says
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used here: {reason}; give cpu or cuda") from None
    return text


def run(main: Callable[[], None]) -> None:
    """On one thread; what is wrong is said in one line."""
    torch.set_num_threads(1)
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(_said(f"error: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_said("interrupted; what is finished is kept, and the same command goes on", 130))


def _said(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def _number(text: str, least: float, most: float, allowed: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number {allowed}")
    return value
