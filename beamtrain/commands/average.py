"""`beamtrain average`: a run with the mean of several runs' weights."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamtrain.commands.merged import Name, Overwrite, Runs, write_merged
from beamtrain.commands.options import Imports, load_named_run

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run

AveragedRuns = Annotated[
    list[Path], typer.Argument(metavar="RUN RUN...", help="Runs' folders, which began with the same weights.")
]


def average(
    averaged: AveragedRuns, name: Name, runs: Runs = None, overwrite: Overwrite = False, imports: Imports = None
) -> None:
    """Average the weights of runs from one start: beamtrain average runs/a runs/b --name mean"""
    from beamtrain.runs.merging import average as mean_of
    from beamtrain.runs.merging import began_together

    def merge() -> "Run":
        return mean_of([load_named_run(each, "cpu", "fp32", imports) for each in averaged])

    write_merged(merge, averaged, name, runs, overwrite)
    if not began_together(averaged):
        print("beamtrain: they did not begin with the same weights: such an average is seldom of use", file=sys.stderr)
