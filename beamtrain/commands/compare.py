"""`beamtrain compare`: which of several outputs is better, how sure that is, and where they differ most."""

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beamtrain.base.errors import UserError
from beamtrain.base.streams import output_is_closed
from beamtrain.commands.options import (
    BleuTokenizerOption,
    HtmlFile,
    JsonFile,
    ReportFormat,
    ReportFormatOption,
    WordVectors,
    check_page,
    check_report,
    scoring_options,
)

if TYPE_CHECKING:
    from beamtrain.runs.scoring_options import ScoringOptions
    from beamtrain.scoring.metrics import Estimate

Outputs = Annotated[list[Path], typer.Argument(help="Translations, one per line; the first file is the baseline.")]
References = Annotated[list[Path], typer.Option(help="Reference translations; more than one file may be given.")]
Samples = Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples.")]
Language = Annotated[str, typer.Option(help="Language of the text, such as zh, for BLEU's tokenizer. Default: 13a.")]
Changed = Annotated[int, typer.Option(min=0, help="Show this many of the sentences that changed most.")]


def compare(
    outputs: Outputs,
    reference: References,
    samples: Samples = 1000,
    changed: Changed = 10,
    tokenizer: BleuTokenizerOption = None,
    target_lang: Language = "",
    vectors: WordVectors = None,
    format: ReportFormatOption = ReportFormat.text,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Compare outputs by paired bootstrap on BLEU and chrF2, and show the sentences that changed most."""
    from beamtrain.base.text_io import check_one_standard, write_output
    from beamtrain.data.lines import read_lines
    from beamtrain.runs.scoring_options import ScoringOptions
    from beamtrain.scoring.metrics import paired_bootstrap
    from beamtrain.scoring.reports import to_json
    from beamtrain.scoring.word_vectors import check_vectors, check_words

    check_page(html)
    check_report(json, None, html)
    names = [str(path) for path in outputs]
    if len(set(names)) < len(names):
        raise UserError(f"a file is given twice ({', '.join(names)}); give each output once, the baseline first")
    check_one_standard([*(("an output", path) for path in outputs), *(("--reference", path) for path in reference)])
    if vectors is not None:
        check_vectors(vectors)
    scoring = scoring_options(ScoringOptions(), tokenizer).of_language(target_lang)
    references = [list(read_lines(path)) for path in reference]
    if vectors is not None:
        check_words(vectors, chain(*references))
    systems = {str(path): list(read_lines(path)) for path in outputs}
    estimates = paired_bootstrap(systems, *references, samples=samples, options=scoring, vectors=vectors)
    report = {
        "baseline": names[0],
        "references": [str(path) for path in reference],
        "systems": [{"system": name, "scores": list(map(asdict, row))} for name, row in estimates.items()],
        "changed_most": _changed_most(systems, references, changed),
    }
    if json is not None:
        write_output(json, to_json(report))
    if html is not None:
        _write_page(html, systems, references, scoring, samples, vectors)
    if output_is_closed():
        return
    if format is ReportFormat.json:
        write_output(None, to_json(report))
    else:
        _print_estimates(estimates)
        _print_changes(report)


def _write_page(
    path: Path,
    systems: dict[str, list[str]],
    references: list[list[str]],
    scoring: "ScoringOptions",
    samples: int,
    vectors: Path | None,
) -> None:
    from beamtrain.reporting.data import report
    from beamtrain.reporting.page import write_report_page
    from beamtrain.reporting.systems import System
    from beamtrain.scoring.parallel_text import ParallelText

    compared = [System(name, hypotheses) for name, hypotheses in systems.items()]
    text = ParallelText("the reference", [], references)
    write_report_page(path, report("A comparison", text, compared, scoring, samples=samples, vectors=vectors))


def _changed_most(systems: dict[str, list[str]], references: list[list[str]], most: int) -> list[dict[str, Any]]:
    """For each system after the baseline, the sentences whose chrF2 differs most from the baseline's."""
    from beamtrain.scoring.metrics import sentence_chrf

    (_, baseline), *others = systems.items()
    before = sentence_chrf(baseline, *references)
    changes = []
    for name, hypotheses in others:
        after = sentence_chrf(hypotheses, *references)
        differing = [line for line in range(len(before)) if after[line] != before[line]]
        for line in sorted(differing, key=lambda line: (-abs(after[line] - before[line]), line))[:most]:
            changes.append(
                {
                    "system": name,
                    "line": line + 1,
                    "baseline_chrf": before[line],
                    "system_chrf": after[line],
                    "references": [lines[line] for lines in references],
                    "baseline_text": baseline[line],
                    "system_text": hypotheses[line],
                }
            )
    return changes


def _print_estimates(estimates: dict[str, list["Estimate"]]) -> None:
    """Names, however long, each on a line of its own; the table calls them by their numbers."""
    from beamtrain.scoring.reports import print_table, printable

    for number, name in enumerate(estimates, start=1):
        print(f"{number}  {printable(name)}")
    columns = ["", "system", "score", "bootstrap mean ± 95%", "difference from 1 [95%]", "p"]
    rows = []
    for of_one_metric in zip(*estimates.values(), strict=True):
        for number, estimate in enumerate(of_one_metric, start=1):
            name = estimate.score.name if number == 1 else ""
            rows.append([name, str(number), *_cells(estimate)])
    print_table(columns, rows)
    print("p: probability of such a difference from the first system by chance; * below 0.05")
    for estimate in next(iter(estimates.values())):
        print(f"{estimate.score.name}: {estimate.score.signature}")


def _cells(estimate: "Estimate") -> list[str]:
    figures = [f"{estimate.score.value:.2f}", f"{estimate.mean:.2f} ± {estimate.half_width:.2f}"]
    difference = estimate.difference
    if difference is None:
        return [*figures, "", ""]
    interval = f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
    return [*figures, interval, f"{difference.p_value:.4f}{'*' if difference.p_value < 0.05 else ' '}"]


def _print_changes(report: dict[str, Any]) -> None:
    from beamtrain.scoring.reports import printable

    for change in report["changed_most"]:
        before, after = change["baseline_chrf"], change["system_chrf"]
        print(
            f"\nline {change['line']}: chrF2 {before:.1f} -> {after:.1f} ({after - before:+.1f})"
            f" in {printable(change['system'])}"
        )
        for reference in change["references"]:
            print(f"  reference  {printable(reference)}")
        print(f"  baseline   {printable(change['baseline_text'])}")
        print(f"  system     {printable(change['system_text'])}")
