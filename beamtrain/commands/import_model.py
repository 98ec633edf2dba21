"""`beamtrain import`: a model of Hugging Face's library as a run, compared with what it was."""

from pathlib import Path
from typing import Annotated

import typer

from beamtrain.base.files import check_text

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or a model's id on the Hugging Face hub.")]
Name = Annotated[str | None, typer.Option(help="The run's name. Default: that of the model.")]
Runs = Annotated[str | None, typer.Option(help="The folder that runs lie in. Default: runs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")]
SourceLang = Annotated[
    str | None, typer.Option(help="The language to translate from, as the model's tokenizer calls it.")
]
TargetLang = Annotated[str | None, typer.Option(help="The language to translate into.")]
Check = Annotated[Path | None, typer.Option(help="Lines to compare both on. Default: 20 of several languages.")]


def import_model(
    model: ModelName,
    name: Name = None,
    runs: Runs = None,
    overwrite: Overwrite = False,
    source_lang: SourceLang = None,
    target_lang: TargetLang = None,
    check: Check = None,
) -> int:
    """Make a run of a Marian, Pegasus, M2M100, NLLB, BART or mBART model: beamtrain import facebook/mbart-large-50"""
    check_text(model, name or "", runs or "")

    from beamtrain.commands.export import print_parity
    from beamtrain.data.lines import read_lines
    from beamtrain.interop.foreign_model import find_model, load_foreign
    from beamtrain.interop.importing import import_model as convert
    from beamtrain.interop.parity import LINES
    from beamtrain.training.environment import environment
    from beamtrain.training.run_folder import folder_of

    lines = LINES if check is None else list(read_lines(check))
    with folder_of(name or Path(model).name, runs, []) as folder:
        folder.check_place(overwrite)
        imported = convert(load_foreign(find_model(model)), source_lang, target_lang)
        imported.check_lines(lines)
        with folder.made_at_once(replace=overwrite) as made:
            imported.write(made, environment(seed=0))
            parity = imported.compared(made, lines)
    print_parity(parity)
    if not parity.holds:
        print(f"{folder} is written, but does not do what {model} does")
        return 1
    print(f"{folder} is written; to use it: beamtrain translate --model {folder} < FILE")
    return 0
