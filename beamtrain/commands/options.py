"""Options that several commands share, and the model that they choose."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.memory import keep_what_pays
from beamtrain.base.plugins import import_modules
from beamtrain.base.streams import output_is_closed

if TYPE_CHECKING:
    from beamtrain.model.base import Seq2Seq
    from beamtrain.runs.loading import Run
    from beamtrain.runs.scoring_options import ScoringOptions
    from beamtrain.translating.engine import Engine

ENGINES = ("beamtrain", "ctranslate2")


class ReportFormat(StrEnum):
    """How a report is printed."""

    text = "text"
    json = "json"


Model = Annotated[Path, typer.Option(help="A run's folder, such as runs/quickstart.")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="A module with the model's network, if that is yours; repeatable."),
]
SourceLang = Annotated[str | None, typer.Option(help="Refuse a model that does not translate from this language.")]
TargetLang = Annotated[str | None, typer.Option(help="Refuse a model that does not translate into this language.")]
BatchTokens = Annotated[
    int, typer.Option(min=1, help="Source subwords in a batch, times beams; less needs less memory.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one.")]
Precision = Annotated[str, typer.Option(help="fp32 or bf16.")]
EngineOption = Annotated[str, typer.Option("--engine", help="What searches: beamtrain, or ctranslate2, on the CPU.")]
QuantizationOption = Annotated[
    str | None,
    typer.Option("--quantization", help="ctranslate2: float32, the default, int8, float16, ..."),
]
BleuTokenizerOption = Annotated[
    str | None, typer.Option("--tokenizer", help="What BLEU takes for words: 13a, zh, ja-mecab, char, flores200, ...")
]
ReportFormatOption = Annotated[ReportFormat, typer.Option("--format", help="How to print the report.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the report as JSON to this file.")]
WordVectors = Annotated[
    Path | None, typer.Option("--vectors", help="A run's folder or a file of word vectors: WMD and WRD are scored too.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", help="Also write a page to this file, and its data beside it, as .data.json.")
]


def check_report(json: Path | None, folder: Path | None = None, *others: Path | None) -> None:
    """Raises UserError for a report that would go nowhere, or where another goes too, or cannot be written.

    `json` and `others` are files, and `folder` the folder, that it goes to besides standard output.
    """
    from beamtrain.base.text_io import check_output, check_output_folder, is_standard

    if json is not None and is_standard(json):
        raise UserError("--json -: must be a file; for the report as JSON on standard output give --format json")
    if output_is_closed() and not any((json, folder, *others)):
        raise UserError("standard output is closed, so the report would be lost; give --json FILE")
    for file in (json, *others):
        check_output(file)
    if folder is not None:
        check_output_folder(folder)


def check_page(html: Path | None) -> None:
    """Raises UserError for a page whose name does not say so: that of its data follows from it."""
    if html is not None and html.suffix != ".html":
        raise UserError(f"--html {html}: must be a file whose name ends in .html, such as report.html")


def beam_sizes(option: str, text: str) -> list[int]:
    """The sizes of `1,5,10`, each once.

    Raises UserError for anything else.
    """
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = [0]
    if not all(1 <= size <= 1000 for size in sizes):
        raise UserError(f"{option} {text}: must be a number from 1 to 1000, or several with commas, such as 1,5,10")
    return list(dict.fromkeys(sizes))


def load_model(
    path: Path,
    device: str,
    precision: str,
    source_lang: str | None = None,
    target_lang: str | None = None,
    imports: Sequence[str] | None = None,
) -> "Run":
    """The run in folder `path`, on that device, after importing modules of the user's own.

    Raises UserError when it is no run, does not translate between these languages, or cannot be used like that.
    """
    from beamtrain.runs.loading import load_run
    from beamtrain.translating.device import cast, choose_device

    import_modules(imports or [])
    chosen = choose_device(device)
    if chosen.type == "cpu":
        keep_what_pays()
    run = load_run(path, chosen)
    for side, asked in (("source_lang", source_lang), ("target_lang", target_lang)):
        if asked is not None and asked != getattr(run.description, side):
            option = "--" + side.replace("_", "-")
            raise UserError(
                f"{option} {asked}: {path} translates from {run.description.source_lang} into "
                f"{run.description.target_lang}; choose another model or leave {option} out"
            )
    cast(run.network, precision)
    return run


def load_named_run(path: Path, device: str, precision: str, imports: Sequence[str] | None = None) -> "Run":
    """As `load_model`, for a command that takes a run as an argument and has no option --model to complain of."""
    try:
        return load_model(path, device, precision, imports=imports)
    except UserError as error:
        raise UserError(str(error).removeprefix("--model ")) from error


def check_engine(engine: str, quantization: str | None, **unsupported: bool) -> None:
    """Raises UserError for an engine that there is not, and for what was asked of it that it lacks.

    `unsupported` are the options that only our own decoder has, and whether they were given.
    """
    if engine not in ENGINES:
        raise UserError(f"--engine {engine}: must be {' or '.join(ENGINES)}")
    if engine == "beamtrain":
        if quantization is not None:
            raise UserError(f"--quantization {quantization} only works together with --engine ctranslate2")
        return
    for name, given in unsupported.items():
        if given:
            said = "--" + name.replace("_", "-")
            raise UserError(f"{said}: the engine {engine} has nothing like it; leave {said} or --engine out")


def load_engine(run: "Run", engine: str, quantization: str | None, scored: bool) -> "Seq2Seq | Engine":
    """What searches: the run's network, or another engine with its weights. `scored` says whether scores are read.

    Raises:
        UserError: the network has no counterpart there, or a package is missing.
    """
    if engine == "beamtrain":
        return run.network
    from beamtrain.interop.engines import ctranslate2_engine

    return ctranslate2_engine(run, cast(Any, "float32" if quantization is None else quantization), scored)


def scoring_options(scoring: "ScoringOptions", tokenizer: str | None) -> "ScoringOptions":
    """The same with another tokenizer of BLEU, if one is given.

    Raises UserError when there is no such tokenizer, or it cannot be used here.
    """
    from beamtrain.scoring.metrics import check_tokenizer

    try:
        scoring = scoring if tokenizer is None else replace(scoring, tokenizer=cast(Any, tokenizer))
    except UserError as error:
        raise UserError(f"--tokenizer: {error}") from error
    check_tokenizer(scoring)
    return scoring
