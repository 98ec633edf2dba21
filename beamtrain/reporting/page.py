"""The page of a report, made from its data and from nothing else."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from beamtrain.reporting import charts
from beamtrain.reporting.charts import Chart, Point, Series
from beamtrain.reporting.page_base import SYSTEM_COLOURS, draw, write_page

Data = Mapping[str, Any]
_CURVES = {
    "dev/nll": "Development: negative log-likelihood of a token, nats",
    "train/loss": "Loss",
    "train/nll": "Training: negative log-likelihood of a token, nats",
    "train/beam_loss": "Loss on the beam",
    "train/reward": "Reward of the beam",
    "train/agreement": "Agreement of the operator with the hard choice",
    "train/gradient_norm": "Gradient norm",
    "train/beam_gradient_norm": "Gradient norm of the beam part",
    "train/gold_gradient_norm": "Gradient norm of the teacher-forced part",
    "train/gradient_cosine": "Cosine of the two parts' gradients",
    "train/lr": "Learning rate",
    "train/sharpness": "Sharpness: largest weight of a row of the operator",
    "train/recombined": "Rows that continue another slot than that of their rank",
    "train/pruned": "Bound on the mass beyond the candidates",
    "train/tokens_per_second": "Target tokens a second",
}
"""Columns of metrics.csv in the order in which they are drawn; the others follow, under their own names."""
_FEWEST = 5
"""Sentences of a group that is drawn."""
_EXAMPLES = 3
"""Of each verdict and system."""
_DEVELOPMENT = {"dev_bleu": "BLEU", "dev_chrf": "chrF2", "dev_chrf++": "chrF2++", "dev_ter": "TER"}


def write_report_page(path: Path, report: Data) -> None:
    """Write the page, and beside it the data that it was made from.

    Raises:
        UserError: they cannot be written.
    """
    write_page(path, page(report), report)


def page(report: Data) -> str:
    """The HTML of a report."""
    systems = report["systems"]
    has_scores = report["text"] is not None
    tabs = [("scores", "Scores")] if has_scores else []
    if any(system["training"] for system in systems):
        tabs.append(("training", "Training"))
    if any(system.get("beam_sweep") or system.get("oracle") for system in systems):
        tabs.append(("beam", "Beam"))
    if has_scores:
        tabs.append(("parts", "Parts"))
    if any(system.get("errors") for system in systems):
        tabs.append(("errors", "Errors"))
    if has_scores:
        tabs.append(("sentences", "Sentences"))
    return draw(
        "report.html",
        title=report["title"],
        tabs=tabs,
        scripts=["report.js"] if has_scores else [],
        data=_for_the_browser(report) if has_scores else None,
        report=report,
        systems=systems,
        geometry=charts,
        examples=_examples(report) if has_scores else [],
        charts={
            "scores": _score_charts(systems) if has_scores else [],
            "training": _training_charts(systems),
            "beam": _beam_charts(systems),
            "parts": _part_charts(systems) if has_scores else [],
            "errors": _error_charts(systems),
        },
    )


def _for_the_browser(report: Data) -> dict[str, Any]:
    """What the browser of sentences shows."""
    systems = report["systems"]
    return {
        "sources": report["text"]["sources"],
        "references": report["text"]["references"],
        "systems": [
            {"name": each["name"], "outputs": each["outputs"], "exact": _criteria(each["exact_search"])}
            for each in systems
        ],
    }


def _criteria(exact: Sequence[Data]) -> list[str]:
    return [penalty(each) for each in exact]


def penalty(search: Data) -> str:
    """A length penalty in words."""
    return (
        "no length penalty" if search["length_penalty"] == "none" else f"{search['length_penalty']} {search['alpha']:g}"
    )


def _score_charts(systems: Sequence[Data]) -> list[Chart]:
    """Every system's score with its interval."""
    found = []
    for metric, first in enumerate(systems[0]["bootstrap"]):
        series = []
        for number, system in enumerate(systems):
            each = system["bootstrap"][metric]
            low, high = each["mean"] - each["half_width"], each["mean"] + each["half_width"]
            value = each["score"]["value"]
            point = Point(number, value, low, high, f"system {number + 1}: {value:.2f} [{low:.2f}, {high:.2f}]")
            series.append(Series(system["name"], number % SYSTEM_COLOURS, [point]))
        numbers = [str(number + 1) for number in range(len(systems))]
        found.append(Chart(first["score"]["name"] + " with 95% interval", "system", series, numbers, joined=False))
    return found if len(systems) > 1 else []


def _training_charts(systems: Sequence[Data]) -> list[Chart]:
    trained = [(number, system) for number, system in enumerate(systems) if system["training"]]
    there = dict.fromkeys(name for _, system in trained for name in system["training"]["curves"])
    development = [name for name in there if name.startswith("dev_")]
    order = [*development, *(name for name in _CURVES if name in there)]
    order += [name for name in there if name not in order and name != "train/bad_steps"]
    found = []
    for name in order:
        series, not_finite = [], 0
        for number, system in trained:
            curve = system["training"]["curves"].get(name, [])
            points = [Point(x, y, says=f"system {number + 1}, step {x:,}: {y:.6g}") for x, y in curve if y is not None]
            not_finite += len(curve) - len(points)
            if points:
                series.append(Series(system["name"], number % SYSTEM_COLOURS, points))
        title = f"Development: {_DEVELOPMENT.get(name, name)}" if name in development else _CURVES.get(name, name)
        title += f" (not finite, and not drawn: {not_finite:,})" if not_finite else ""
        alone = trained[0][1]["training"] if len(trained) == 1 else None
        found.append(
            Chart(
                title,
                "optimiser step",
                series,
                phases=[(p["name"], p["first"], p["last"]) for p in alone["phases"]] if alone else [],
                marks=_phase_marks(trained),
                first=0.0,
                dots=max((len(each.points) for each in series), default=0) <= 40,
            )
        )
    return found


def _phase_marks(trained: Sequence[tuple[int, Data]]) -> list[tuple[str, float]]:
    """Where a later phase begins."""
    return [
        (f"system {number + 1}: {phase['name']} from step {phase['first']:,}", phase["first"])
        for number, system in trained
        for phase in system["training"]["phases"]
        if phase["first"]
    ]


def _beam_charts(systems: Sequence[Data]) -> list[Chart]:
    swept = [(number, system) for number, system in enumerate(systems) if system.get("beam_sweep")]
    found = []
    for title, value in (
        ("BLEU", lambda each: each["scores"][0]["value"]),
        ("chrF2", lambda each: each["scores"][1]["value"]),
        ("Output words over reference words", lambda each: each["length_ratio"]),
    ):
        if swept:
            found.append(_sweep_chart(swept, title, value))
    with_oracle = [(number, system) for number, system in enumerate(systems) if system.get("oracle")]
    for metric, title in enumerate(("BLEU", "chrF2")):
        series = [
            Series(
                system["name"],
                number % SYSTEM_COLOURS,
                [
                    Point(
                        each["n"],
                        (y := each["scores"][metric]["value"]),
                        says=f"system {number + 1}, {each['n']}: {y:.2f}",
                    )
                    for each in system["oracle"]
                ],
            )
            for number, system in with_oracle
        ]
        if series:
            found.append(Chart(f"{title} of the best of the first n candidates (oracle)", "n", series))
    return found


def _sweep_chart(swept: Sequence[tuple[int, Data]], title: str, value: Callable[[Data], float]) -> Chart:
    series = []
    for number, system in swept:
        for without in (False, True):
            points = [
                Point(
                    each["beam_size"],
                    value(each),
                    says=f"system {number + 1}, beam {each['beam_size']}, {penalty(each)}: {value(each):.4g}",
                )
                for each in system["beam_sweep"]
                if (each["length_penalty"] == "none") == without
            ]
            if points:
                series.append(Series(system["name"], number % SYSTEM_COLOURS, points, dashed=without))
    return Chart(title, "beam size", series, powers=True)


def _part_charts(systems: Sequence[Data]) -> list[Chart]:
    found = []
    for metric in (0, 1):
        name = ("BLEU", "chrF2")[metric]
        for field, words in (
            ("by_source_length", "words of the source"),
            ("by_length_ratio", "output / reference words"),
        ):
            if systems[0][field]:
                found.append(_grouped(systems, f"{name} by {words}", words, field, _score_of(metric)))
    if systems[0]["by_word_frequency"]:
        title = "F1 of words by their frequency in training"
        found.append(_grouped(systems, title, "occurrences", "by_word_frequency", _f1))
    return found


def _score_of(metric: int) -> Callable[[Data], Data | None]:
    return lambda group: (
        {**group["scores"][metric], "of": f"{group['sentences']:,} sentences"}
        if group["sentences"] >= _FEWEST
        else None
    )


def _f1(group: Data) -> Data | None:
    if not group["reference_words"]:
        return None
    return {
        "value": group["f1"],
        "low": group["low"],
        "high": group["high"],
        "of": f"{group['reference_words']:,} words",
    }


def _grouped(
    systems: Sequence[Data], title: str, x_label: str, field: str, figure: Callable[[Data], Data | None]
) -> Chart:
    labels = [group["label"] for group in systems[0][field]]
    series = []
    for number, system in enumerate(systems):
        points = []
        for place, group in enumerate(system[field]):
            each = figure(group)
            if each is not None:
                x = place + 0.12 * (number - (len(systems) - 1) / 2)
                says = f"system {number + 1}, {group['label']} ({each['of']}): {each['value']:.2f}"
                says += f" [{each['low']:.2f}, {each['high']:.2f}]"
                points.append(Point(x, each["value"], each["low"], each["high"], says))
        series.append(Series(system["name"], number % SYSTEM_COLOURS, points))
    return Chart(title, x_label, series, labels)


def _examples(report: Data) -> list[dict[str, Any]]:
    """Of each system the search errors that are clearest, and the model errors that are worst."""
    text, found = report["text"], []
    for number, system in enumerate(report["systems"]):
        for verdict, order in (
            ("search error", lambda output: output["n_best"][0]["score"] - output["reference_score"]),
            ("model error", lambda output: output["chrf"]),
        ):
            places = [place for place, output in enumerate(system["outputs"]) if output.get("verdict") == verdict]
            for place in sorted(places, key=lambda place: order(system["outputs"][place]))[:_EXAMPLES]:
                output = system["outputs"][place]
                found.append(
                    {
                        "colour": number % SYSTEM_COLOURS,
                        "system": f"system {number + 1}",
                        "verdict": verdict,
                        "line": place + 1,
                        "texts": [
                            ("source", text["sources"][place]),
                            ("reference", text["references"][0][place]),
                            ("output", output["text"]),
                        ],
                        "score": output["n_best"][0]["score"],
                        "reference_score": output["reference_score"],
                    }
                )
    return found


def _error_charts(systems: Sequence[Data]) -> list[Chart]:
    """Search errors by the size of the beam, where exact search knows them."""
    found = []
    deepest = max((len(system.get("exact_search") or []) for system in systems), default=0)
    for criterion in range(deepest):
        series, name, sizes = [], "", list[float]()
        for number, system in enumerate(systems):
            if criterion >= len(system["exact_search"]) or not system["exact_search"][criterion]["decided"]:
                continue
            exact = system["exact_search"][criterion]
            name = name or penalty(exact)
            sizes = sorted({*sizes, *(each["beam_size"] for each in exact["missed"])})
            beside = 2 ** (0.08 * (number - (len(systems) - 1) / 2))  # no interval on another
            points = [
                Point(
                    each["beam_size"] * beside,
                    100 * each["share"],
                    100 * each["low"],
                    100 * each["high"],
                    f"system {number + 1}, beam {each['beam_size']}: {each['count']} of {each['of']}",
                )
                for each in exact["missed"]
            ]
            series.append(Series(system["name"], number % SYSTEM_COLOURS, points))
        if series:
            title = f"Optimum missed, % of sentences ({name})"
            found.append(Chart(title, "beam size", series, powers=True, x_ticks=sizes))
    return found
