"""`beamtrain evaluate`: a model's scores on a test set, at one beam size or several."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.inference_sizes import BATCH_TOKENS
from beamtrain.base.streams import output_is_closed
from beamtrain.commands.options import (
    ENGINES,
    BatchTokens,
    BleuTokenizerOption,
    Device,
    HtmlFile,
    Imports,
    JsonFile,
    Model,
    Precision,
    ReportFormat,
    ReportFormatOption,
    SourceLang,
    TargetLang,
    WordVectors,
    beam_sizes,
    check_engine,
    check_page,
    check_report,
    load_engine,
    load_model,
    scoring_options,
)
from beamtrain.commands.search_options import search_options, takes_search_options
from beamtrain.commands.text_options import References, Source, SplitName, TestSet, check_choice_of_text, chosen_text

if TYPE_CHECKING:
    from beamtrain.scoring.evaluation import Evaluation

Beams = Annotated[str | None, typer.Option("--beam", help="Beam sizes, such as 5 or 1,5,10. Default: the run's own.")]
EngineNames = Annotated[
    str,
    typer.Option("--engine", help="beamtrain, ctranslate2, or ctranslate2:int8 and the like; several with commas."),
]
OutputFolder = Annotated[
    Path | None, typer.Option(help="Keep translations and the report in this folder, which is made.")
]


@takes_search_options("beam_size", "n_best")
def evaluate(
    model: Model,
    imports: Imports = None,
    source: Source = None,
    reference: References = None,
    split: SplitName = None,
    test_set: TestSet = None,
    beam: Beams = None,
    searching: dict[str, Any] = {},  # noqa: B006 (never changed)
    tokenizer: BleuTokenizerOption = None,
    vectors: WordVectors = None,
    output: OutputFolder = None,
    format: ReportFormatOption = ReportFormat.text,
    json: JsonFile = None,
    html: HtmlFile = None,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    source_lang: SourceLang = None,
    target_lang: TargetLang = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: EngineNames = "beamtrain",
) -> None:
    """Translate a test set and score it: BLEU, chrF2 and TER with signatures, length ratio, speed."""
    beams, engines = _beam_sizes(beam), _engines(engine, device, precision)
    if output is not None and str(output) == "-":
        raise UserError("--output -: must be a folder; the report is printed anyway, with --format json as JSON")
    check_page(html)
    check_report(json, output, html)
    check_choice_of_text(source, reference, split, test_set)

    from beamtrain.base.text_io import write_output
    from beamtrain.reporting.data import report as page_data
    from beamtrain.reporting.page import write_report_page
    from beamtrain.reporting.systems import of_evaluations
    from beamtrain.scoring import evaluation
    from beamtrain.scoring.reports import as_dict, print_scores, to_json
    from beamtrain.scoring.word_vectors import check_vectors, check_words

    if vectors is not None:
        check_vectors(vectors)
    run = load_model(model, device, precision, source_lang, target_lang, imports)
    searches = [
        search_options(run, {**searching, "n_best": 1} | ({} if size is None else {"beam_size": size}))
        for size in beams
    ]
    scoring = scoring_options(run.description.scoring.of_language(run.description.target_lang), tokenizer)
    text = chosen_text(run, source, reference, split, test_set)
    if vectors is not None:
        check_words(vectors, chain(*text.references))
    evaluations = [
        evaluation.evaluate(
            searcher,
            run.tokenizer,
            search,
            text.sources,
            *text.references,
            data=text.name,
            checkpoint=evaluation.checkpoint_name(run),
            scoring=scoring,
            batch_tokens=batch_tokens,
            engine=name,
            vectors=vectors,
        )
        for name, (kind, quantization) in engines.items()
        for searcher in [load_engine(run, kind, quantization, scored=False)]
        for search in searches
    ]
    title = f"{run.path.resolve().name} on {text.name}"
    if output is not None:
        _keep(output, title, evaluations)
    report = to_json(as_dict(title, evaluations))
    if json is not None:
        write_output(json, report)
    if html is not None:
        write_report_page(html, page_data(title, text, of_evaluations(evaluations), scoring, vectors=vectors))
    if output_is_closed():
        return
    if format is ReportFormat.json:
        write_output(None, report)
    else:
        print_scores(evaluations)


def _keep(folder: Path, title: str, evaluations: list["Evaluation"]) -> None:
    """The translations of each beam, and of each engine where there are several, and the report."""
    from beamtrain.base.text_io import make_output_folder, write_output
    from beamtrain.scoring.reports import write_report

    make_output_folder(folder)
    several = len({each.engine for each in evaluations}) > 1
    for each in evaluations:
        hypotheses = "".join(f"{line}\n" for line in each.hypotheses)
        engine = f".{each.engine.replace(':', '-')}" if several else ""
        write_output(folder / f"beam{each.search.beam_size}{engine}.txt", hypotheses)
    write_report(folder, title, evaluations)


def _beam_sizes(text: str | None) -> list[int | None]:
    """The sizes of `--beam 1,5,10`, each once; None is the run's own."""
    return [None] if text is None else list(beam_sizes("--beam", text))


def _engines(text: str, device: str, precision: str) -> dict[str, tuple[str, str | None]]:
    """What `--engine beamtrain,ctranslate2:int8` names: each engine, and its quantization."""
    engines = {}
    for name in text.split(","):
        kind, _, quantization = name.strip().partition(":")
        if kind not in ENGINES:
            raise UserError(f"--engine {text}: must be {' or '.join(ENGINES)}, or several with commas")
        elsewhere = {"device": device not in ("auto", "cpu"), "precision": precision != "fp32"}
        check_engine(kind, quantization or None, **elsewhere)
        engines[name.strip()] = kind, quantization or None
    return engines
