"""Scores for people and for programs: a table for the terminal, report.md and report.json for a folder."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from beamtrain.base.streams import encodable
from beamtrain.base.text_io import make_output_folder, write_output
from beamtrain.scoring.evaluation import Evaluation

EXAMPLES = 8
WIDTH_OF_A_FILE = 120  # columns, where the output is not a terminal


def print_scores(evaluations: Sequence[Evaluation]) -> None:
    """The table of scores on standard output, with what is needed to get them again."""
    print_table(_columns(evaluations), _rows(evaluations))
    print("\n".join(_provenance(evaluations)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output: the first column is a name, the others are figures."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(encodable(column), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(encodable, row))
    console.print(table, markup=False, highlight=False)


def write_report(folder: Path, title: str, evaluations: Sequence[Evaluation]) -> None:
    """Write report.md and report.json into `folder`, which is made unless it is there.

    Raises UserError when they cannot be written.
    """
    make_output_folder(folder)
    write_output(folder / "report.md", markdown(title, evaluations))
    write_output(folder / "report.json", to_json(as_dict(title, evaluations)))


def to_json(value: Any) -> str:
    """JSON as this package writes it for people too: indented, letters as they are, one line feed at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def as_dict(title: str, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The report for a program."""
    return {"title": title, "evaluations": [_as_dict(evaluation) for evaluation in evaluations]}


def markdown(title: str, evaluations: Sequence[Evaluation]) -> str:
    """The report for a person: scores, how they were computed, and some translations to look at."""
    columns = _columns(evaluations)
    lines = [f"# {title}", "", _row(columns), _row(["---"] * len(columns))]
    lines += map(_row, _rows(evaluations))
    lines += ["", *(f"- {line}" for line in _provenance(evaluations))]
    for data, evaluation in _first_of_each_data(evaluations).items():
        lines += ["", f"## Some translations of {data} (beam {evaluation.search.beam_size})", ""]
        lines += _examples(evaluation)
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """The text without what could change its place or colour where it is shown: control characters become `\ufffd`."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _columns(evaluations: Sequence[Evaluation]) -> list[str]:
    """The evaluations of one report are scored in one way."""
    scores = [score.name for score in evaluations[0].scores.all]
    engine = ["engine"] if _of_engines(evaluations) else []
    return ["data", *engine, "beam", "length penalty", *scores, "length ratio", "sentences/s", "tokens/s"]


def _of_engines(evaluations: Sequence[Evaluation]) -> bool:
    """Whether the report has to say what searched."""
    return any(evaluation.engine != "beamtrain" for evaluation in evaluations)


def _rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    engines = _of_engines(evaluations)
    return [_cells(each, [each.engine] if engines else []) for each in evaluations]


def _cells(evaluation: Evaluation, engine: list[str]) -> list[str]:
    scores, search = evaluation.scores, evaluation.search
    return [
        evaluation.data,
        *engine,
        str(search.beam_size),
        search.length_penalty if search.length_penalty == "none" else f"{search.length_penalty} {search.alpha:g}",
        *(f"{score.value:.2f}" for score in scores.all),
        f"{scores.length_ratio:.3f}",
        f"{evaluation.sentences_per_second:,.1f}",
        f"{evaluation.tokens_per_second:,.0f}",
    ]


def _provenance(evaluations: Sequence[Evaluation]) -> list[str]:
    """Checkpoint, signatures and untranslated lines, each said once."""
    lines = [f"checkpoint: {evaluation.checkpoint}" for evaluation in evaluations]
    for evaluation in evaluations:
        scores = evaluation.scores
        lines += [f"{score.name}: {score.signature}" for score in scores.all]
        lines += [f"{evaluation.data}, {problem}" for problem in evaluation.problems]
    return list(dict.fromkeys(lines))


def _as_dict(evaluation: Evaluation) -> dict[str, Any]:
    scores = evaluation.scores
    return {
        "data": evaluation.data,
        "checkpoint": evaluation.checkpoint,
        "engine": evaluation.engine,
        "search": asdict(evaluation.search),
        "scores": [asdict(score) for score in scores.all],
        "length_ratio": scores.length_ratio,
        "sentences": scores.sentences,
        "seconds": evaluation.seconds,
        "output_tokens": evaluation.output_tokens,
        "sentences_per_second": evaluation.sentences_per_second,
        "tokens_per_second": evaluation.tokens_per_second,
        "untranslated": list(evaluation.problems),
    }


def _first_of_each_data(evaluations: Sequence[Evaluation]) -> dict[str, Evaluation]:
    return {evaluation.data: evaluation for evaluation in reversed(evaluations)}


def _examples(evaluation: Evaluation) -> list[str]:
    """Sentences spread evenly over the data, as a table."""
    count = len(evaluation.hypotheses)
    chosen = sorted({round(index * (count - 1) / max(EXAMPLES - 1, 1)) for index in range(EXAMPLES)})
    texts = (evaluation.sources, evaluation.references, evaluation.hypotheses)
    rows = [_row([str(index + 1), *(lines[index] for lines in texts)]) for index in chosen]
    return [_row(["line", "source", "reference", "translation"]), _row(["---"] * 4), *rows]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"
