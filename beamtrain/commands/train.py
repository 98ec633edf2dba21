"""`beamtrain train`: hands everything to the training program, which has its own options and help."""

import typer

ALL_TO_TRAINING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def train(context: typer.Context) -> int | None:
    """Train a model: beamtrain train --config quickstart.yaml (more: beamtrain train --help)."""
    from beamtrain.training.main import main

    return main(context.args)
