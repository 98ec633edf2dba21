"""Making one run of several: where it is written, what it has of them, what is refused."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.files import check_text, write_text

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run

Name = Annotated[str, typer.Option(help="The name of the new run.")]
Runs = Annotated[str | None, typer.Option(help="The folder that runs lie in. Default: runs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")]


def write_merged(
    merge: Callable[[], "Run"],
    merged: Sequence[Path],
    name: str,
    runs: str | None,
    overwrite: bool,
    start: Path | None = None,
) -> None:
    """Write what `merge` makes of `merged`, and of the run that these began with if that has a part in it.

    Settings are those of the first of them.

    Raises:
        UserError: one is named twice or would be overwritten, the first is no run, or there is one of that name.
    """
    sources = [*merged, start] if start else merged
    check_text(*sources, name, runs or "")

    from beamtrain.runs.description import save_description
    from beamtrain.runs.weights import save_weights
    from beamtrain.training.environment import environment
    from beamtrain.training.run_folder import CONFIG, ENVIRONMENT, folder_of, is_run
    from beamtrain.training.settings import read_config

    with folder_of(name, runs, []) as folder:
        folder.check_place(overwrite)
        places = Counter(each.resolve() for each in sources)
        if folder.path.resolve() in places:
            raise UserError(f"{folder} is one of the runs that it is made of: give another --name")
        if twice := next((each for each in sources if places[each.resolve()] > 1), None):
            raise UserError(f"{twice} is named twice: name each run once")
        run = merge()
        first = merged[0]
        if not is_run(first):
            raise UserError(f"{first} is a model without the {CONFIG} of a run: name a run first")
        read_config(first / CONFIG)
        config = (first / CONFIG).read_text(encoding="utf-8")
        with folder.made_at_once(replace=overwrite) as made:
            run.tokenizer.save(made)
            save_description(made, run.description)
            write_text(made / ENVIRONMENT, environment(seed=0))
            write_text(made / CONFIG, config)
            save_weights(made, run.network.state_dict(), run.weights)
    print(f"{folder} is written; to use it: beamtrain translate --model {folder} < FILE")
