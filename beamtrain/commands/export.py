"""`beamtrain export`: a run for another engine, compared with the run before it is there."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.files import check_text
from beamtrain.commands.options import Imports, QuantizationOption, load_named_run
from beamtrain.commands.search_options import search_options, takes_search_options

if TYPE_CHECKING:
    from beamtrain.interop.parity import Parity


class Target(StrEnum):
    """What a run is exported to."""

    huggingface = "huggingface"
    ctranslate2 = "ctranslate2"
    safetensors = "safetensors"


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/quickstart.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; a new one, or an empty one.")]
To = Annotated[Target, typer.Option("--to", help="safetensors: what beamtrain itself needs to translate, no more.")]
Check = Annotated[Path | None, typer.Option(help="Lines to compare both on. Default: 20 of several languages.")]


@takes_search_options("n_best")
def export(
    run: RunFolder,
    out: Out,
    to: To,
    quantization: QuantizationOption = None,
    check: Check = None,
    imports: Imports = None,
    searching: dict[str, Any] = {},  # noqa: B006 (never changed)
) -> int:
    """Give a run to another engine: beamtrain export runs/quickstart --to huggingface my_model"""
    if quantization is not None and to is not Target.ctranslate2:
        raise UserError(f"--quantization {quantization}: only for --to ctranslate2; leave it out")
    check_text(run, out.absolute())

    from beamtrain.data.lines import read_lines
    from beamtrain.interop.exporting import DisagreementError
    from beamtrain.interop.exporting import export as write
    from beamtrain.interop.parity import LINES

    loaded = load_named_run(run, "cpu", "fp32", imports)
    search = search_options(loaded, {**searching, "n_best": 1})
    lines = LINES if check is None else list(read_lines(check))
    try:
        parity = write(
            loaded, to.value, cast(Any, "float32" if quantization is None else quantization), search, out, lines
        )
    except DisagreementError as error:
        print_parity(error.parity)
        print(f"{out} was not written: {error.parity.name} does not do what {run} does")
        return 1
    print_parity(parity)
    print(f"{out} is written")
    return 0


def print_parity(parity: "Parity") -> None:
    from beamtrain.scoring.reports import print_table

    print_table([f"{parity.name} against beamtrain", "found", "asked"], parity.rows())
    for each in parity.unlike:
        print(f"not the same: {each}")
