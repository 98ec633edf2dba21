"""`beamtrain report`: one page on one or more runs, and the JSON that it was made from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.inference_sizes import BATCH_TOKENS
from beamtrain.commands.options import (
    BatchTokens,
    BleuTokenizerOption,
    Device,
    Imports,
    Precision,
    beam_sizes,
    load_named_run,
    scoring_options,
)
from beamtrain.commands.search_options import search_options, takes_search_options
from beamtrain.commands.text_options import References, Source, SplitName, TestSet, check_choice_of_text, chosen_text

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run

Runs = Annotated[list[Path], typer.Argument(help="Runs' folders; the first one is the baseline.")]
Out = Annotated[Path, typer.Option(help="The folder for report.html and report.data.json.")]
Sizes = Annotated[str, typer.Option("--sweep", help="Beam sizes to try, such as 1,2,4,8,16,32,64.")]
ExactTokens = Annotated[
    int, typer.Option(min=0, help="Search sentences of at most so many source subwords exactly; 0: none.")
]
ExactPrefixes = Annotated[
    int, typer.Option(min=1, help="Give an exact search up where more prefixes than that are open at once.")
]


@takes_search_options("n_best")
def report(
    runs: Runs,
    out: Out,
    imports: Imports = None,
    source: Source = None,
    reference: References = None,
    split: SplitName = None,
    test_set: TestSet = None,
    searching: dict[str, Any] = {},  # noqa: B006 (never changed)
    sweep: Sizes = "1,2,4,8,16,32,64",
    exact_tokens: ExactTokens = 12,
    exact_prefixes: ExactPrefixes = 2000,
    tokenizer: BleuTokenizerOption = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    device: Device = "auto",
    precision: Precision = "fp32",
) -> None:
    """Report on runs in one HTML file: scores, curves, beams, errors and a browser of sentences.

    On the test split of the first run's corpus unless told otherwise. What the runs decode is kept in their folders.
    """
    sizes = beam_sizes("--sweep", sweep)
    if str(out) == "-":
        raise UserError("--out -: must be a folder, which gets report.html and report.data.json")
    if source is None and not reference and split is None and test_set is None:
        split = "test"
    check_choice_of_text(source, reference, split, test_set)

    from beamtrain.base.text_io import check_output_folder, make_output_folder

    check_output_folder(out)

    from beamtrain.reporting.data import report as report_data
    from beamtrain.reporting.data import words_of
    from beamtrain.reporting.page import write_report_page
    from beamtrain.reporting.systems import Depth, of_run, word_frequencies
    from beamtrain.scoring.metrics import check_lines

    loaded = [load_named_run(path, device, precision, imports) for path in runs]
    names = _names(loaded)
    first = loaded[0]
    scoring = scoring_options(first.description.scoring.of_language(first.description.target_lang), tokenizer)
    text = chosen_text(first, source, reference, split, test_set)
    check_lines(text.sources, *text.references, name=f"the source of {text.name}")
    depth = Depth(sizes, exact_tokens, exact_prefixes)
    systems = [
        of_run(name, run, search_options(run, {**searching, "n_best": 1}), text, depth, batch_tokens)
        for name, run in zip(names, loaded, strict=True)
    ]
    frequencies, counted = word_frequencies(first, words_of(scoring))
    title = f"{', '.join(names)} on {text.name}"
    data = report_data(title, text, systems, scoring, frequencies=frequencies, counted=counted)
    make_output_folder(out)
    page = out / "report.html"
    write_report_page(page, data)
    print(page)


def _names(runs: list["Run"]) -> list[str]:
    """Short names that tell the runs apart.

    Raises UserError when a run is given twice.
    """
    folders = [run.path.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise UserError(f"a run is given twice ({', '.join(str(run.path) for run in runs)}); give each once")
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]
