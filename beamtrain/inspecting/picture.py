"""The beams of a search and the matrix of one of its steps as one picture, by matplotlib."""

import warnings
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from beamtrain.base.text_io import open_output
from beamtrain.inspecting.words import NO_PUSH, hardest_step, name, push
from beamtrain.scoring.reports import printable

STEPS = 9
"""Of the picture, around the step whose matrix is shown."""
_HEAT = LinearSegmentedColormap.from_list("heat", ["#f4f6f8", "#f7a44a"])
_INK, _FAINT, _LINE, _ACCENT, _UP, _DOWN = "#1b1f24", "#57616c", "#c3cad2", "#0b5cad", "#1f9d55", "#d64545"
_WIDE, _HIGH = 0.8, 0.6  # of a beam's box, in columns and rows
_LINE_OF_TITLE = 120  # letters
_ROWS = 8  # candidates of the matrix
_STYLE: Any = {"svg.hashsalt": "beamtrain", "font.family": "DejaVu Sans", "text.parse_math": False}

Json = dict[str, Any]


def write_picture(path: Path, inspection: Json, search: int) -> None:
    """Draw a search of the first sentence of an inspection that was searched, to a .png or .svg file.

    Raises:
        UserError: it cannot be written.
    """
    sentence = next(each for each in inspection["sentences"] if each["searches"])
    kind = path.suffix.removeprefix(".")
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # of a script that the font lacks: an empty box
        data = BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}  # the same picture, the same bytes
        figure(sentence, sentence["searches"][search]).savefig(data, format=kind, dpi=110, metadata=metadata)
    with open_output(path) as file:
        file.write(data.getvalue())


def pixels(sentence: Json, search: Json) -> numpy.ndarray:
    """The picture as (height, width, 3) bytes, for a logger."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        canvas = FigureCanvasAgg(figure(sentence, search))
        canvas.draw()
        return numpy.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure(sentence: Json, search: Json) -> Figure:
    """The beams above, below them the matrix of the step at which the loss pushes hardest, candidates in columns."""
    K, chosen = search["beam_size"], hardest_step(search)
    drawn = Figure(figsize=(9.2, 0.66 * K + 2.7), facecolor="white", layout="constrained")
    above, below = drawn.subplots(2, 1, height_ratios=[0.5 * K + 0.9, 0.18 * K + 0.9])
    drawn.suptitle(_plain(sentence["source"], 90), x=0.01, ha="left", fontsize=11, color=_INK, weight="bold")
    first = min(max(chosen - STEPS // 2, 0), max(len(search["steps"]) - STEPS, 0))
    _beams(above, search, range(first, min(first + STEPS, len(search["steps"]))), chosen)
    _matrix(below, search["steps"][chosen], K, chosen)
    return drawn


def _beams(axes: Axes, search: Json, shown: range, chosen: int) -> None:
    K, steps, ancestry = search["beam_size"], search["steps"], search["ancestry"]
    axes.set_xlim(shown.start - 0.55, shown.stop - 0.45)
    axes.set_ylim(K + 0.2, -0.75)
    axes.axis("off")
    axes.set_title(fill(search["about"], _LINE_OF_TITLE), loc="left", fontsize=9, color=_FAINT)
    axes.axvspan(chosen - 0.5, chosen + 0.5, color=_ACCENT, alpha=0.12, lw=0)
    for t in shown:
        axes.text(t, -0.55, f"step {t + 1}", ha="center", va="center", fontsize=7.5, color=_FAINT)
        for rank, slot in enumerate(steps[t]["slots"]):
            if slot["score"] is None:
                continue
            best = ancestry[t + 1][0][rank] if t + 1 < len(ancestry) else float(rank == 0)
            for j, share in enumerate(slot["parents"]):
                if t > shown.start and share >= 0.01:
                    _line(axes, t, j, rank, share, best * share > 0.1)
            _box(axes, t, rank, steps[t], search["selection"], best > 0.1)
        pruned = next((each for each in steps[t]["candidates"] if each["behind"] is not None), None)
        if pruned is not None:
            text = f"{_plain(name(pruned), 12)} −{pruned['behind']:.2f}"
            axes.text(t, K - 0.15, text, ha="center", va="center", fontsize=6.5, color=_FAINT)
    axes.text(
        shown.start - 0.5,
        K + 0.15,
        "last row: the best that is pruned, and by how many nats",
        fontsize=6.5,
        color=_FAINT,
    )


def _line(axes: Axes, t: int, start: int, end: int, share: float, best: bool) -> None:
    left, right = t - 1 + _WIDE / 2, t - _WIDE / 2
    middle = (left + right) / 2
    curve = Curve(
        [(left, start), (middle, start), (middle, end), (right, end)],
        [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4],
    )
    colour, alpha = (_ACCENT if best else _FAINT), 0.2 + 0.8 * share
    axes.add_patch(PathPatch(curve, fill=False, color=colour, lw=0.6 + 2.2 * share, alpha=alpha, zorder=1))


def _box(axes: Axes, t: int, rank: int, step: Json, selection: str, best: bool) -> None:
    slot = step["slots"][rank]
    place, soft = slot["candidate"], selection == "soft"
    share = 0.0 if place is None else step["matrix"][rank][place] if soft else 1.0
    corner = (t - _WIDE / 2 + 0.06, rank - _HIGH / 2 + 0.06)
    box = FancyBboxPatch(
        corner, _WIDE - 0.12, _HIGH - 0.12, boxstyle="round,pad=0.06,rounding_size=0.07", facecolor=_HEAT(share),
        edgecolor=_ACCENT if best else _LINE, lw=1.6 if best else 0.8, zorder=2,
    )  # fmt: skip
    axes.add_patch(box)
    label = "(many)" if place is None else _plain(name(step["candidates"][place]), 11)
    size, y = (8.5 if len(label) <= 8 else 7), rank - (0.1 if soft else 0)
    axes.text(t, y, label, ha="center", va="center", fontsize=size, color=_INK, zorder=3)
    if soft:
        axes.text(t, rank + 0.16, f"{share:.0%}", ha="center", va="center", fontsize=6.5, color=_FAINT, zorder=3)
    if slot["finished"] > 0.005:
        ends = (t - _WIDE / 2 + 0.03, t - _WIDE / 2 + 0.03 + (_WIDE - 0.06) * slot["finished"])
        axes.plot(ends, [rank + _HIGH / 2 - 0.03] * 2, color=_ACCENT, lw=2, zorder=3, solid_capstyle="butt")


def _matrix(axes: Axes, step: Json, K: int, chosen: int) -> None:
    """Rows are ranks, columns candidates; under them the push."""
    places = list(range(min(len(step["candidates"]), _ROWS + 2)))
    candidates = [step["candidates"][place] for place in places]
    weights = numpy.array([[step["matrix"][rank][place] for place in places] for rank in range(K)])
    axes.imshow(weights, cmap=_HEAT, vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(K), [f"rank {rank + 1}" for rank in range(K)], fontsize=7.5, color=_FAINT)
    labels = [f"{_plain(name(each), 12)}\nof beam {each['slot'] + 1}" for each in candidates]
    axes.xaxis.tick_top()
    axes.set_xticks(places, labels, fontsize=7.5, color=_INK)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for rank, row in enumerate(weights):
        for place, weight in enumerate(row):
            axes.text(place, rank, f"{weight:.0%}", ha="center", va="center", fontsize=7.5, color=_INK)
    if any(abs(push(each)) > NO_PUSH for each in candidates):
        for place, each in enumerate(candidates):
            colour = _UP if push(each) > NO_PUSH else _DOWN if push(each) < -NO_PUSH else _FAINT
            axes.text(
                place,
                K - 0.2,
                f"{push(each):+.1g}",
                ha="center",
                va="center",
                fontsize=7.5,
                color=colour,
                weight="bold",
            )
        axes.text(-0.62, K - 0.2, "push", ha="right", va="center", fontsize=7.5, color=_FAINT)
        axes.set_ylim(K + 0.1, -0.5)
    axes.set_title(f"step {chosen + 1}: the operator's matrix", loc="left", fontsize=9, color=_FAINT)


def _plain(text: str, most: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
