"""`beamtrain train`: hands everything to the training program, which has its own options and help."""

import os

import typer

from beamtrain.base.files import check_text

ALL_TO_TRAINING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def train(context: typer.Context) -> int | None:
    """Train a model: beamtrain train --config quickstart.yaml (more: beamtrain train --help)."""
    check_text(*context.args, os.getcwd())

    from beamtrain.training.main import main

    return main(context.args)
