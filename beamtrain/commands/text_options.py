"""Options that choose the text to evaluate on: files, a split of the run's corpus, or a test set of sacrebleu."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamtrain.base.errors import UserError

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run
    from beamtrain.scoring.parallel_text import ParallelText

Source = Annotated[Path | None, typer.Option(help="Text to translate, a sentence per line.")]
References = Annotated[list[Path] | None, typer.Option(help="Its translations; more than one file may be given.")]
SplitName = Annotated[str | None, typer.Option(help="Instead: a split of the run's own corpus, such as test.")]
TestSet = Annotated[str | None, typer.Option(help="Instead: a test set that sacrebleu knows, such as wmt14/full.")]


def check_choice_of_text(
    source: Path | None, reference: list[Path] | None, split: str | None, test_set: str | None
) -> None:
    """Raises UserError unless exactly one text to evaluate on was chosen."""
    from beamtrain.base.text_io import check_one_standard

    if (source is None) != (not reference):
        raise UserError("--source and --reference belong together: give both files")
    if source is not None:
        check_one_standard([("--source", source), *(("--reference", each) for each in reference or [])])
    choices = {"--source": source is not None, "--split": split is not None, "--test-set": test_set is not None}
    chosen = [name for name, given in choices.items() if given]
    if len(chosen) != 1:
        said = f"both {' and '.join(chosen)} were given" if chosen else "nothing to evaluate on was given"
        raise UserError(f"{said}; choose --source FILE --reference FILE, or --split test, or --test-set wmt14/full")


def chosen_text(
    run: "Run", source: Path | None, reference: list[Path] | None, split: str | None, test_set: str | None
) -> "ParallelText":
    """The text that was chosen.

    Raises UserError when it cannot be read.
    """
    from beamtrain.scoring import parallel_text

    if source is not None and reference:
        return parallel_text.from_files(source, reference)
    if split is not None:
        return parallel_text.from_split(run, split)
    return parallel_text.from_sacrebleu(str(test_set), run.description.source_lang, run.description.target_lang)
