"""The map of where the search in the loop pays: what recipes gain over their controls, beside what the start has
learned by heart (its BLEU on training sentences less that on test), its size and the length of its sentences.

    python scripts/experiments/corpora_map.py --data FOLDER --out OUT
    python scripts/experiments/corpora_map.py --data FOLDER --out OUT --report docs/experiments/corpora

FOLDER and OUT are those of corpora.py; a cell of OUT counts if it and its control of the same seed are finished.
`--report FOLDER` (default: OUT/map) gets the figures, map.json, and the plot, map.png. The starts of a map.json that is
there already stay, but for those that OUT has: so one map can be made of several OUT, where `--called TEXT` tells two
starts of one name apart. The plot shows also what other scripts have measured, which FOLDER/elsewhere.json holds in
the form of map.json.
"""

import argparse
import json
import math
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from statistics import mean, median_low
from string import ascii_uppercase
from typing import Any

from command_line import run_script
from corpora import STARTS, test_sets
from corpora_cells import MINIMUM_RISK, RECIPE, WIDER
from corpora_results import (
    Corpus,
    Texts,
    control_of,
    corpora_of,
    finished_cells,
    joined,
    outputs_of_all,
    parser_for,
    translated_starts,
)
from figures import bleu, header, plain, row, signed, with_p
from kept import kept
from safetensors import SafetensorError, safe_open

from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.text_io import check_output_folder
from beamtrain.scoring.metrics import paired_bootstrap

EDGES = (1, 10, 20, 10_000)  # words of a source sentence
FEWEST = 50  # sentences of a bucket that is scored
PLOTTED = {
    RECIPE: "C0",
    MINIMUM_RISK: "C1",
    WIDER: "C2",
    f"{WIDER}, learning rate x 0.5": "C4",
    "minimum risk, hard, sentence BLEU": "C3",
}
CORRELATED = {
    RECIPE: {RECIPE},
    MINIMUM_RISK: {MINIMUM_RISK},
    f"{MINIMUM_RISK}, K and rate that gained most": {
        name + rate for name in (MINIMUM_RISK, WIDER) for rate in ("", ", learning rate x 0.5")
    },
}
BUCKET = ("bleu", "length", "control_length")
ORDER = {name: place for place, name in enumerate(STARTS)}
MARKERS = [f"${letter}$" for letter in ascii_uppercase]  # shapes are confused, where there are so many
FAINT = 0.35
SAME = 0.05  # BLEU: another machine translates a few sentences otherwise
AXES = {  # a figure of the start, its unit, a label
    "gap": (1, "learned by heart (BLEU, training sentences less test)"),
    "parameters": (1e6, "million parameters"),
    "words": (1, "words of a source sentence, median"),
}


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--report", type=Path, help="the folder for figures and plot")
    parser.add_argument("--called", metavar="TEXT", help="what stands after the names of these starts, in brackets")
    options = parser.parse_args()
    if options.called and "," in options.called:
        raise UserError(f"--called {options.called!r}: must have no comma, which stands before the name of a corpus")
    options.report = options.report or options.out / "map"
    check_output_folder(options.report)
    figures, names = options.report / "map.json", translated_starts(options)
    elsewhere = figures_in(options.report / "elsewhere.json", whole=False)
    before = {each["start"]: each for each in figures_in(figures)}
    found = [each for start in names for each in of_start(options, start)]
    found = [with_those_before(each, before.pop(each["start"], None), figures) for each in found]
    measured = [*before.values(), *found]
    starts = sorted(measured, key=order)
    write_text(figures, json.dumps(starts, indent=1) + "\n")
    print_starts(starts)
    print_gains(starts)
    print_buckets(starts)
    print_correlations(starts + elsewhere)
    plot(options.report / "map.png", starts + elsewhere)


def figures_in(path: Path, whole: bool = True) -> list[dict[str, Any]]:
    """Those of a map.json, or of its plot only; none if there is no such file. Raises UserError for another file."""
    if not path.exists():
        return []
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(figures, list):
            for each in figures:
                check_start(each, whole)
            return figures
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    raise UserError(f"{path} is no map of starts: remove it, or give another --report")


def check_start(figures: dict[str, Any], whole: bool) -> None:
    """Raises ValueError, or what else Python raises, unless these are figures of a start: all of them, or those of the
    plot."""
    recipes = figures["recipes"]
    numbers = [figures["test"], figures["words"]]
    for key in ("parameters", "train", "gap"):
        unknown = figures[key] is None and (key == "parameters" or not whole)
        numbers += [] if unknown else [figures[key]]
    for recipe in recipes:
        names = {"name", "stage"} if whole else {"name"}
        seeds = recipe["seeds"].values()
        keys = ("bleu", "p_bleu", "chrf", "p_chrf", "train") if whole else ("bleu", "p_bleu")
        numbers += [each[key] for each in seeds for key in keys]
        if whole:
            numbers += [bucket[key] for each in seeds for bucket in each["buckets"].values() for key in BUCKET]
        if not seeds or not all(isinstance(recipe[name], str) for name in names):
            raise ValueError
    counts = figures["sentences"].values() if whole else ()
    if not isinstance(figures["start"], str) or not all(isinstance(each, int | float) for each in (*numbers, *counts)):
        raise ValueError


def start_of(figures: dict[str, Any]) -> str:
    """The name of the start, without that of its corpus."""
    return str(figures["start"]).partition(",")[0]


def with_those_before(figures: dict[str, Any], before: dict[str, Any] | None, path: Path) -> dict[str, Any]:
    """A start's figures, with those of seeds that a map had and OUT has not. Raises UserError for another start."""
    if not before or not before["recipes"]:
        return figures
    if any(abs(figures[key] - before[key]) > SAME for key in ("train", "test")):
        raise UserError(
            f"{path} has a {figures['start']} of {before['test']:.2f} BLEU on test, that of --out has "
            f"{figures['test']:.2f}: tell them apart by --called, or give another --report"
        )
    recipes = {(recipe["name"], recipe["stage"]): recipe["seeds"] for recipe in before["recipes"]}
    for recipe in figures["recipes"]:
        key = recipe["name"], recipe["stage"]
        recipes[key] = dict(sorted({**recipes.get(key, {}), **recipe["seeds"]}.items(), key=lambda seed: int(seed[0])))
    return {
        **figures,
        "recipes": [{"name": name, "stage": stage, "seeds": of} for (name, stage), of in recipes.items()],
    }


def order(figures: dict[str, Any]) -> tuple[int, str]:
    name = start_of(figures)
    return ORDER.get(name.partition(" (")[0], len(ORDER)), name


def called(options: argparse.Namespace, start: str) -> str:
    return f"{start} ({options.called})" if options.called else start


def of_start(options: argparse.Namespace, start: str) -> list[dict[str, Any]]:
    """The figures of a start and of the cells that began there, on each of its corpora apart."""
    sets, folder = test_sets(options, start), options.out / "starts" / start
    sources, gold = ({name: pair[side] for name, pair in sets.items()} for side in (0, 1))
    ours, cells = outputs_of_all(folder, sets), finished_cells(options.out, start, sets)
    figures = []
    for corpus in corpora_of(sets):
        train, test = (bleu(ours[name], gold[name]).score for name in (corpus.train, corpus.test))
        buckets = by_length(joined(sources, corpus.held_out))
        recipes: dict[tuple[str, str], dict[str, Any]] = {}
        for cell in cells:
            if control := control_of(cell, cells):
                seeds = recipes.setdefault((cell.name, cell.stage), {})
                inputs = cell.outputs, control.outputs, corpus, gold, buckets
                seeds[str(cell.seed)] = kept(options.out / "map", partial(gain, *inputs), start, *inputs)
        figures.append(
            {
                "start": called(options, start) + (f", {corpus.name}" if corpus.name else ""),
                "parameters": parameters(folder),
                "words": median_low(len(line.split()) for line in sources[corpus.test]),
                "train": round(train, 2),
                "test": round(test, 2),
                "gap": round(train - test, 2),
                "sentences": {bucket: len(places) for bucket, places in buckets.items()},
                "recipes": [{"name": name, "stage": stage, "seeds": of} for (name, stage), of in recipes.items()],
            }
        )
    return figures


def by_length(sources: list[str]) -> dict[str, list[int]]:
    """The places of the sentences that have so many words."""
    words = [len(line.split()) for line in sources]
    return {
        f"{low} to {high - 1} words" if high < EDGES[-1] else f"{low} words and more": [
            place for place, count in enumerate(words) if low <= count < high
        ]
        for low, high in pairwise(EDGES)
    }


def parameters(run: Path) -> int | None:
    """How many numbers its weights are, of whatever precision; None where they are not kept."""
    for path in run.glob("model*.safetensors"):
        try:
            with safe_open(path, "np") as file:
                return sum(math.prod(file.get_slice(name).get_shape()) for name in list(file.keys()))
        except SafetensorError as error:
            raise UserError(f"{path} is damaged: {error}") from error
    return None


def gain(ours: Texts, theirs: Texts, corpus: Corpus, gold: Texts, buckets: dict[str, list[int]]) -> dict[str, Any]:
    """What a cell has over its control: on test, with p of the paired bootstrap; BLEU on training sentences; BLEU and
    length by the length of sentences, of test and validation together."""
    found: dict[str, Any] = {}
    test = corpus.test
    estimates = paired_bootstrap({"control": theirs[test], "ours": ours[test]}, gold[test])["ours"]
    for name, each in zip(("bleu", "chrf"), estimates, strict=True):
        assert each.difference
        found |= {name: round(each.difference.value, 4), f"p_{name}": round(each.difference.p_value, 4)}
    after, before = (bleu(texts[corpus.train], gold[corpus.train]) for texts in (ours, theirs))
    found["train"] = round(after.score - before.score, 4)
    found["buckets"] = {}
    lines = [joined(texts, corpus.held_out) for texts in (ours, theirs, gold)]
    for bucket, places in buckets.items():
        if len(places) >= FEWEST:
            *systems, references = ([text[place] for place in places] for text in lines)
            after, before = (bleu(system, references) for system in systems)
            found["buckets"][bucket] = {
                "bleu": round(after.score - before.score, 4),
                "length": round(after.ratio, 4),
                "control_length": round(before.ratio, 4),
            }
    return found


def print_starts(starts: list[dict[str, Any]]) -> None:
    print(header("start", "parameters", "words, median", "BLEU on training sentences", "on test", "by heart"))
    for each in starts:
        size = f"{each['parameters']:,}" if each["parameters"] else ""
        print(row(each["start"], size, each["words"], *(f"{each[key]:.2f}" for key in ("train", "test", "gap"))))


def print_gains(starts: list[dict[str, Any]]) -> None:
    """BLEU and chrF2 less the control on test; **bold where p < .05**."""
    print()
    print(header("start", "recipe", "stage", "seeds", "BLEU", "mean", "chrF2", "mean", "BLEU on training sentences"))
    for start in starts:
        for recipe in start["recipes"]:
            seeds, cells = recipe["seeds"], []
            for name in ("bleu", "chrf"):
                cells += [", ".join(with_p(each[name], each[f"p_{name}"]) for each in seeds.values())]
                cells += [signed(mean(each[name] for each in seeds.values()))]
            on_training = ", ".join(signed(each["train"]) for each in seeds.values())
            print(row(start["start"], recipe["name"], recipe["stage"], ", ".join(seeds), *cells, on_training))


def print_buckets(starts: list[dict[str, Any]]) -> None:
    """BLEU less the control, and its ratio of lengths with that of the control, by the length of the source."""
    for start in filter(lambda start: start["recipes"], starts):
        counts = start["sentences"]
        print(f"\n{start['start']}, test and validation:\n")
        print(header("recipe", "stage", "seeds", *(f"{bucket} ({counts[bucket]:,})" for bucket in counts)))
        for recipe in start["recipes"]:
            cells = []
            for bucket in counts:
                found = [each["buckets"][bucket] for each in recipe["seeds"].values() if bucket in each["buckets"]]
                gains = ", ".join(signed(each["bleu"]) for each in found)
                lengths = ", ".join(
                    f"{plain(each['length'], 3)} ({plain(each['control_length'], 3)})" for each in found
                )
                cells.append(f"{gains}; {lengths}" if found else "-")
            print(row(recipe["name"], recipe["stage"], ", ".join(recipe["seeds"]), *cells))


def print_correlations(starts: list[dict[str, Any]]) -> None:
    """Spearman's, of what was gained (mean of the seeds) with what is known of the starts, those in the plot."""
    print("\nRank correlation with the BLEU gained (p of independent starts; the corpora of one network are not):\n")
    print(header("recipe", "starts", *(label for _, label in AXES.values())))
    for name, recipes in CORRELATED.items():
        found = [(start, gains) for start in starts if (gains := gains_of(start, recipes))]
        cells = []
        for key in AXES:
            points = [(start[key], max(gains)) for start, gains in found if start[key] is not None]
            cells.append(correlation(points))
        print(row(name, len(found), *cells))


def gains_of(start: dict[str, Any], recipes: set[str]) -> list[float]:
    """Means over the seeds."""
    chosen = (recipe["seeds"].values() for recipe in start["recipes"] if recipe["name"] in recipes)
    return [mean(each["bleu"] for each in seeds) for seeds in chosen]


def correlation(points: list[tuple[float, float]]) -> str:
    from scipy.stats import spearmanr

    if min(len({point[side] for point in points}) for side in (0, 1)) < 3:
        return ""
    found = spearmanr(*zip(*points, strict=True))
    return with_p(found.statistic, max(found.pvalue, 0.001))


def plot(path: Path, starts: list[dict[str, Any]]) -> None:
    """What some recipes gain on test, a letter for each seed: faint unless p < .05."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    shown = [start for start in starts if any(recipe["name"] in PLOTTED for recipe in start["recipes"])]
    height = max(5, 0.21 * (len(PLOTTED) + len(shown)))  # of the legend
    figure, axes = plt.subplots(1, len(AXES), figsize=(15, height), sharey=True, layout="constrained")
    for start, marker in zip(shown, cycle(MARKERS), strict=False):
        for recipe in start["recipes"]:
            color = PLOTTED.get(recipe["name"])
            for each in recipe["seeds"].values() if color else []:
                shape = {"marker": marker, "color": color, "markersize": 9, "markeredgewidth": 0.5}
                shape["alpha"] = 1 if each["p_bleu"] < 0.05 else FAINT
                for axis, (key, (unit, _)) in zip(axes, AXES.items(), strict=True):
                    place = math.nan if start[key] is None else start[key] / unit
                    axis.plot(place, each["bleu"], linestyle="none", **shape)
    for axis, (_, label) in zip(axes, AXES.values(), strict=True):
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(xlabel=label)
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="BLEU on test less the control's (faint: p from .05 on)")
    legend = [Line2D([], [], color=color, marker="o", linestyle="none", label=name) for name, color in PLOTTED.items()]
    for start, marker in zip(shown, cycle(MARKERS), strict=False):
        size = f", {start['parameters'] / 1e6:.1f} million" if start["parameters"] else ""
        legend.append(Line2D([], [], color="gray", marker=marker, linestyle="none", label=start["start"] + size))
    figure.legend(handles=legend, loc="outside right upper", fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run_script(main)
