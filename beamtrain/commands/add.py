"""`beamtrain add`: a run with all that several runs have changed in the weights that they began with."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamtrain.commands.merged import Name, Overwrite, Runs, write_merged
from beamtrain.commands.options import Imports, load_named_run

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run

AddedRuns = Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Runs' folders, which began at --start.")]
Start = Annotated[Path, typer.Option(help="The folder of the run whose weights they began with.")]


def add(
    added: AddedRuns, start: Start, name: Name, runs: Runs = None, overwrite: Overwrite = False, imports: Imports = None
) -> None:
    """Add up what runs have changed in a start: beamtrain add runs/a runs/b --start runs/start --name both"""
    from beamtrain.runs.merging import add as sum_of
    from beamtrain.runs.merging import began_with

    def merge() -> "Run":
        first, *others = (load_named_run(each, "cpu", "fp32", imports) for each in (start, *added))
        return sum_of(first, others)

    write_merged(merge, added, name, runs, overwrite, start=start)
    for stranger in (each for each in added if not began_with(start, each)):
        said = f"{stranger} did not begin with the weights of {start}: such a sum is seldom of use"
        print(f"beamtrain: {said}", file=sys.stderr)
