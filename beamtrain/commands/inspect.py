"""`beamtrain inspect`: what a search does with a sentence, step by step, and what a loss makes of it."""

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.progress import progress
from beamtrain.base.streams import output_is_closed
from beamtrain.commands.options import (
    Device,
    Imports,
    JsonFile,
    ReportFormat,
    ReportFormatOption,
    check_report,
    load_named_run,
)

if TYPE_CHECKING:
    from beamtrain.inspecting.searches import LookedAt
    from beamtrain.objectives import Objective
    from beamtrain.runs.loading import Run
    from beamtrain.topk import Operator

MOST_SENTENCES = 100

RunFolder = Annotated[Path, typer.Argument(help="A run's folder, such as runs/quickstart_beam.", metavar="RUN")]
Sentences = Annotated[
    list[str] | None, typer.Argument(help="Sentences to translate. Default: the lines of --input.", metavar="SENTENCE")
]
Input = Annotated[Path | None, typer.Option(help="Sentences, one per line. Default: standard input.")]
Reference = Annotated[
    list[str] | None, typer.Option(help="The right translation, for the loss; once for each SENTENCE, in order.")
]
References = Annotated[Path | None, typer.Option(help="The right translations of --input, one per line.")]
Beam = Annotated[
    int | None, typer.Option(min=1, max=64, help="Beams. Default: those that the run was trained with, or 4.")
]
Candidates = Annotated[
    int | None, typer.Option(min=1, help="Continuations that the operator chooses from. Default: the run's, or 32.")
]
OperatorOption = Annotated[
    str | None,
    typer.Option(
        "--operator",
        help="The differentiable top-k, such as NeuralSort, or as in a config: {class_path: ..., init_args: ...}. "
        "Default: the run's, or SoftTopK.",
    ),
]
Temperature = Annotated[
    str | None, typer.Option(help="Of the soft searches, such as 0.5 or 0.1,1. Default: six from 0.05 to 2.")
]
Show = Annotated[str, typer.Option(help="What terminal and picture show: soft, hard or trained.")]
Step = Annotated[
    list[int] | None,
    typer.Option(min=1, help="Show the matrix of this step; repeatable. Default: where the loss pushes hardest."),
]
Html = Annotated[Path | None, typer.Option(help="Write a page to this file, and its data as JSON beside it.")]
Picture = Annotated[Path | None, typer.Option(help="Draw the beam of the first sentence to this file, .svg or .png.")]


def inspect(
    run: RunFolder,
    sentences: Sentences = None,
    imports: Imports = None,
    input: Input = None,
    reference: Reference = None,
    references: References = None,
    beam: Beam = None,
    candidates: Candidates = None,
    operator: OperatorOption = None,
    temperature: Temperature = None,
    show: Show = "soft",
    step: Step = None,
    html: Html = None,
    picture: Picture = None,
    format: ReportFormatOption = ReportFormat.text,
    json: JsonFile = None,
    device: Device = "auto",
) -> None:
    """Look into the search: its beams, the operator's choices, and what the loss would change, step by step."""
    if html is not None and str(html) == "-":
        raise UserError("--html -: must be a file")
    if picture is not None and picture.suffix not in (".svg", ".png"):
        raise UserError(f"--picture {picture}: must end in .svg or .png")
    check_report(json, None, html, picture)
    if show not in ("soft", "hard", "trained"):
        raise UserError(f"--show {show}: must be soft, hard or trained")
    temperatures = _temperatures(temperature)
    asked = _sentences(sentences, reference, input, references)

    from beamtrain.base.text_io import write_output
    from beamtrain.inspecting.document import MOST_TOKENS, Sentence, document, sentence_document
    from beamtrain.inspecting.searches import searches
    from beamtrain.inspecting.terminal import print_document
    from beamtrain.scoring.reports import to_json
    from beamtrain.translating.translator import Translator

    model = load_named_run(run, device, "fp32", imports)
    objective = _objective(model)
    chosen = searches(objective, _operator(operator), temperatures, beam, candidates)
    shown = _shown(chosen, show, objective)
    translator = Translator(model.network, model.tokenizer, model.description.search, max_source_tokens=MOST_TOKENS)
    try:
        found = []
        for (source, right), translation in progress(
            zip(asked, translator.translate(source for source, _ in asked), strict=True), len(asked), to_file=True
        ):
            sentence = Sentence(translation.line, source, translation.text, right, translation.problem)
            found.append(sentence_document(model.network, model.tokenizer, sentence, chosen))
    except ValueError as error:  # what an operator says that cannot do it
        raise UserError(f"--operator {operator}: {error}" if operator else str(error)) from error
    whole = document(model, found)
    if json is not None:
        write_output(json, to_json(whole))
    if html is not None:
        from beamtrain.inspecting.page import write_inspection

        write_inspection(html, whole)
    if picture is not None and any(each["searches"] for each in found):
        from beamtrain.inspecting.picture import write_picture

        write_picture(picture, whole, shown)
    if output_is_closed():
        return
    if format is ReportFormat.json:
        write_output(None, to_json(whole))
    else:
        print_document(whole, shown, step)


def _temperatures(text: str | None) -> Sequence[float]:
    from beamtrain.inspecting.searches import TEMPERATURES

    if text is None:
        return TEMPERATURES
    try:
        given = [float(each) for each in text.split(",")]
    except ValueError:
        given = [0.0]
    if not all(1e-3 <= each <= 1e3 for each in given) or len(given) > 20:
        raise UserError(f"--temperature {text}: must be a number from 0.001 to 1000, or up to 20 such as 0.1,0.5,1")
    return sorted(set(given))


def _sentences(
    typed: list[str] | None, reference: list[str] | None, input: Path | None, references: Path | None
) -> list[tuple[str, str | None]]:
    """What to look at, and the right translation of each, if it was given.

    Raises UserError for text that is given twice or does not fit together.
    """
    from beamtrain.base.text_io import check_one_standard

    if typed and input is not None:
        raise UserError("both SENTENCE and --input were given; choose one")
    if reference and references is not None:
        raise UserError("both --reference and --references were given; choose one")
    if reference and not typed:
        raise UserError("--reference goes with SENTENCE; the translations of the lines of a file are --references FILE")
    if not typed and references is not None:
        check_one_standard([("--input", input), ("--references", references)])
    sources = typed or _lines(input)
    right: Sequence[str | None] = reference or [None] * len(sources)
    if references is not None:
        right = _lines(references)
    if len(right) != len(sources):
        raise UserError(f"there are {len(sources):,} sentences and {len(right):,} references; give one for each")
    for text in (*sources, *right):
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{text!r:.100} is not valid UTF-8")
    return list(zip(sources, right, strict=True))


def _lines(path: Path | None) -> list[str]:
    """The lines of a file or of standard input."""
    from beamtrain.base.text_io import open_lines

    with open_lines(path) as lines:
        found = list(islice(lines, MOST_SENTENCES + 1))
    if len(found) > MOST_SENTENCES:
        name = "standard input" if path is None else path
        raise UserError(f"{name} has more than {MOST_SENTENCES} lines; inspect is for looking: choose some of them")
    return found


def _objective(model: "Run") -> "Objective":
    """That of the run; teacher forcing for one that was not made by training, and says nothing of it."""
    from beamtrain.objectives import TeacherForcing
    from beamtrain.objectives.rewards.text_reward import TextReward
    from beamtrain.runs.objectives import load_objective

    objective = load_objective(model.path) or TeacherForcing()
    for part in objective.modules():
        if isinstance(part, TextReward):
            part.workers = 0  # which take longer to start than to score these few
    return objective


def _operator(text: str | None) -> "Operator | None":
    """The operator that is named, or written as in a config.

    Raises UserError when there is none like that.
    """
    import yaml

    from beamtrain.runs.objectives import built
    from beamtrain.topk import Operator

    if text is None:
        return None
    try:
        return built(yaml.safe_load(text), Operator, f"--operator {text}")
    except yaml.YAMLError as error:
        raise UserError(f"--operator {text}: must be a name, or {{class_path: NAME, init_args: {{...}}}}") from error


def _shown(searches: Sequence["LookedAt"], kind: str, objective: "Objective") -> int:
    """The place of the search that terminal and picture show: of the soft ones that nearest to the run's temperature.

    Raises UserError for a run that was not trained with a search.
    """
    from beamtrain.objectives import BeamTraining

    usual = objective.operator.temperature if isinstance(objective, BeamTraining) else 0.5
    places = [place for place, each in enumerate(searches) if each.kind == kind]
    if not places:
        raise UserError(f"--show {kind}: the run was trained without a search in the loop; choose soft or hard")
    temperatures = {place: operator.temperature for place in places if (operator := searches[place].operator)}
    return min(places, key=lambda place: abs(math.log(temperatures.get(place, usual) / usual)))
