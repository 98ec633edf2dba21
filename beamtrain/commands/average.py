"""`beamtrain average`: a run with the mean of several runs' weights."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.files import check_text, write_text
from beamtrain.commands.options import Imports, load_named_run

AveragedRuns = Annotated[
    list[Path], typer.Argument(metavar="RUN RUN...", help="Runs' folders, which began with the same weights.")
]
Name = Annotated[str, typer.Option(help="The name of the new run.")]
Runs = Annotated[str | None, typer.Option(help="The folder that runs lie in. Default: runs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")]


def average(
    averaged: AveragedRuns, name: Name, runs: Runs = None, overwrite: Overwrite = False, imports: Imports = None
) -> None:
    """Average the weights of runs from one start: beamtrain average runs/a runs/b --name mean"""
    check_text(*averaged, name, runs or "")

    from beamtrain.runs.averaging import average as mean_of
    from beamtrain.runs.averaging import began_together
    from beamtrain.runs.description import save_description
    from beamtrain.runs.weights import save_weights
    from beamtrain.training.environment import environment
    from beamtrain.training.run_folder import CONFIG, ENVIRONMENT, folder_of, is_run
    from beamtrain.training.settings import read_config

    with folder_of(name, runs, []) as folder:
        folder.check_place(overwrite)
        places = Counter(each.resolve() for each in averaged)
        if folder.path.resolve() in places:
            raise UserError(f"{folder} is one of the runs to average: give another --name")
        if twice := next((each for each in averaged if places[each.resolve()] > 1), None):
            raise UserError(f"{twice} is named twice: name each run once")
        run = mean_of([load_named_run(each, "cpu", "fp32", imports) for each in averaged])
        if not is_run(averaged[0]):
            raise UserError(f"{averaged[0]} is a model without the {CONFIG} of a run: name a run first")
        read_config(averaged[0] / CONFIG)
        config = (averaged[0] / CONFIG).read_text(encoding="utf-8")
        folder.claim(resume=False, replace=overwrite)
        run.tokenizer.save(folder.path)
        save_description(folder.path, run.description)
        write_text(folder.path / ENVIRONMENT, environment(seed=0))
        write_text(folder.path / CONFIG, config)  # from here on it is a run, which another try may replace
        save_weights(folder.path, run.network.state_dict(), run.weights)
    if not began_together(averaged):
        print("beamtrain: they did not begin with the same weights: such an average is seldom of use", file=sys.stderr)
    print(f"{folder} is written; to use it: beamtrain translate --model {folder} < FILE")
