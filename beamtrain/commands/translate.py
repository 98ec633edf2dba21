"""`beamtrain translate`: one output line for every input line, in order, as they come."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.inference_sizes import BATCH_TOKENS, MAX_SOURCE_TOKENS
from beamtrain.base.progress import progress
from beamtrain.commands.options import (
    BatchTokens,
    Device,
    EngineOption,
    Imports,
    Model,
    Precision,
    QuantizationOption,
    SourceLang,
    TargetLang,
    check_engine,
    load_engine,
    load_model,
)
from beamtrain.commands.output_formats import OutputFormat, formatter
from beamtrain.commands.search_options import option, search_options, takes_search_options

if TYPE_CHECKING:
    from beamtrain.base.text_io import ByteWriter, LineReader
    from beamtrain.translating.pool import TranslatorPool
    from beamtrain.translating.translator import Translation, Translator

Input = Annotated[Path | None, typer.Option(help="Text to translate, a sentence per line. Default: standard input.")]
Output = Annotated[Path | None, typer.Option(help="Where translations go. Default: standard output.")]
Format = Annotated[OutputFormat, typer.Option(help="text: the best translation, one line for each line.")]
NBest = Annotated[
    int,
    typer.Option(min=1, max=1000, help="Translations of each line, best first, also of --sample; needs tsv or jsonl."),
]
Prefix = Annotated[Path | None, typer.Option(help="What each translation must begin with: a line for each input line.")]
Sample = Annotated[bool, typer.Option("--sample", help="Draw translations at random instead of searching.")]
TopK = Annotated[int | None, typer.Option(min=0, help="--sample: from the likeliest k subwords. 0, the default: all.")]
TopP = Annotated[
    float | None, typer.Option(min=1e-6, max=1, help="--sample: from the likeliest of total probability p. Default: 1.")
]
Temperature = Annotated[
    float | None, typer.Option(min=0.001, max=1000, help="--sample: sharper below 1, wilder above. Default: 1.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="--sample: the same seed, the same translations. Default: 1.")]
TokenScores = Annotated[bool, typer.Option("--token-scores", help="tsv, jsonl: subwords and their log-probabilities.")]
Attention = Annotated[bool, typer.Option("--attention", help="jsonl: how each subword looked at the source.")]
Processes = Annotated[
    int, typer.Option(min=1, max=1024, help="Processes that translate, each with the model; on GPUs one for each.")
]
MaxSourceTokens = Annotated[
    int, typer.Option(min=1, help="Subwords of a line; a longer one is left empty and reported.")
]
ALSO_OF_SAMPLING = {"max_length", "max_length_ratio", "max_length_offset"}
"""The search options that bound samples too."""


@takes_search_options("n_best")
def translate(
    model: Model,
    imports: Imports = None,
    input: Input = None,
    output: Output = None,
    format: Format = OutputFormat.text,
    searching: dict[str, Any] = {},  # noqa: B006 (never changed)
    nbest: NBest = 1,
    prefix: Prefix = None,
    sample: Sample = False,
    top_k: TopK = None,
    top_p: TopP = None,
    temperature: Temperature = None,
    seed: Seed = None,
    token_scores: TokenScores = False,
    attention: Attention = False,
    max_source_tokens: MaxSourceTokens = MAX_SOURCE_TOKENS,
    batch_tokens: BatchTokens = BATCH_TOKENS,
    source_lang: SourceLang = None,
    target_lang: TargetLang = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: EngineOption = "beamtrain",
    quantization: QuantizationOption = None,
    processes: Processes = 1,
) -> None:
    """Translate text, one line at a time: beamtrain translate --model runs/quickstart < in.txt > out.txt"""
    _check_format(format, nbest, token_scores, attention)
    drawing = _given(top_k=top_k, top_p=top_p, temperature=temperature, seed=seed)
    only_searching = {name: value for name, value in searching.items() if name not in ALSO_OF_SAMPLING}
    _check_sampling(sample, drawing, only_searching | _given(attention=attention or None))
    check_engine(
        engine,
        quantization,
        sample=sample,
        attention=attention,
        token_scores=token_scores,
        device=device not in ("auto", "cpu"),
        precision=precision != "fp32",
    )
    device = device if engine == "beamtrain" else "cpu"
    _check_files(input, prefix, output)
    total = _count_lines(input, prefix)

    from beamtrain.base.text_io import is_standard, open_lines, open_output
    from beamtrain.data.lines import read_lines
    from beamtrain.translating.translator import Sampling, Translator

    run = load_model(model, device, precision, source_lang, target_lang, imports)
    settings: dict[str, Any] = {
        "options": search_options(run, searching if sample else {**searching, "n_best": nbest}),
        "sampling": Sampling(samples=nbest, **drawing) if sample else None,
        "attention": attention,
        "batch_tokens": batch_tokens,
        "max_source_tokens": max_source_tokens,
    }
    scored = format is not OutputFormat.text
    searcher = load_engine(run, engine, quantization, scored)
    write = formatter(format, token_scores)
    prefixes = None if prefix is None else read_lines(prefix)
    with ExitStack() as stack:
        lines = stack.enter_context(open_lines(input))
        out = stack.enter_context(open_output(output))
        if processes == 1:
            translations = Translator(searcher, run.tokenizer, **settings).translate_windows(_windows(lines), prefixes)
        else:
            del run, searcher
            make = partial(_make_translator, model, device, precision, imports, engine, quantization, scored, settings)
            pool = stack.enter_context(_pool(make, processes))
            translations = pool.translate_windows(_windows(lines), prefixes, ready=lines.ready)
        for translation in progress(_flushed(translations, out), total, to_file=not is_standard(output)):
            if translation.problem:
                print(f"beamtrain: line {translation.line}: {translation.problem}", file=sys.stderr)
            out.write(write(translation).encode("utf-8"))


def _pool(make: Callable[[int], "Translator"], processes: int) -> "TranslatorPool":
    from beamtrain.translating.pool import TranslatorPool

    return TranslatorPool(make, processes)


def _make_translator(
    model: Path,
    device: str,
    precision: str,
    imports: list[str] | None,
    engine: str,
    quantization: str | None,
    scored: bool,
    settings: dict[str, Any],
    rank: int,
) -> "Translator":
    """The translator of process `rank`."""
    from beamtrain.translating.device import device_of_process
    from beamtrain.translating.translator import Translator

    run = load_model(model, device_of_process(device, rank), precision, imports=imports)
    return Translator(load_engine(run, engine, quantization, scored), run.tokenizer, **settings)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _check_sampling(sample: bool, drawing: dict[str, Any], searching: dict[str, Any]) -> None:
    """Raises UserError for options that would have no effect."""
    for name in drawing if not sample else searching:
        wants = "only works together with" if not sample else "does not work together with"
        said = option(name)
        raise UserError(f"{said} {wants} --sample; leave {said} out" + ("" if sample else " or add --sample"))


def _check_format(format: OutputFormat, nbest: int, token_scores: bool, attention: bool) -> None:
    if format is OutputFormat.text and (nbest > 1 or token_scores):
        option = f"--nbest {nbest}" if nbest > 1 else "--token-scores"
        raise UserError(f"{option}: text output has one plain line for each line; add --format tsv or --format jsonl")
    if attention and format is not OutputFormat.jsonl:
        raise UserError("--attention: only JSON holds a table for each line; add --format jsonl")


def _check_files(input: Path | None, prefix: Path | None, output: Path | None) -> None:
    from beamtrain.base.text_io import check_one_standard, check_output

    check_output(output)
    check_one_standard([("--input", input)] + ([("--prefix", prefix)] if prefix is not None else []))


def _count_lines(input: Path | None, prefix: Path | None) -> int | None:
    """Lines of the input, if it is a file that can be read twice: its faults are known before the work begins.

    Raises UserError for a line that is not valid UTF-8, and when there are not as many prefixes as lines.
    """
    from beamtrain.base.text_io import count_lines, is_standard

    def count(path: Path | None) -> int | None:
        can_be_read_twice = path is not None and not is_standard(path) and path.is_file()
        return count_lines(path) if path is not None and can_be_read_twice else None

    lines, prefixes = count(input), count(prefix)
    if lines is not None and prefixes not in (None, lines):
        raise UserError(
            f"{prefix} has {prefixes:,} lines and {input} {lines:,}; each line needs its prefix, even if empty"
        )
    return lines


def _windows(lines: "LineReader") -> Iterator[list[str]]:
    """The input in growing windows."""
    from beamtrain.translating.translator import window_sizes

    for size in window_sizes():
        window = lines.window(size)
        if not window:
            return
        yield window


def _flushed(windows: Iterable[list["Translation"]], out: "ByteWriter") -> Iterator["Translation"]:
    """The translations one by one; what came of a window is on its way before the next is waited for."""
    for translations in windows:
        yield from translations
        out.flush()
