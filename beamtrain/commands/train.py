"""`beamtrain train`: hands everything to the training program, which has its own options and help."""

import os
import sys

import typer

from beamtrain.base.errors import UserError

ALL_TO_TRAINING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def train(context: typer.Context) -> int | None:
    """Train a model: beamtrain train --config quickstart.yaml (more: beamtrain train --help)."""
    _check_text([*context.args, os.getcwd()])

    from beamtrain.training.main import main

    return main(context.args)


def _check_text(names: list[str]) -> None:
    """Raises UserError for a name that is no text here, by which TensorBoard could make no folder."""
    for name in names:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(
                f"{name!r} is not text in this locale ({sys.getfilesystemencoding()}): use a name in ASCII, "
                "or set PYTHONUTF8=1 if it is UTF-8"
            ) from error
