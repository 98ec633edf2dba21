"""Pictures of the experiments, in one style."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from beamtrain.base.files import atomic_path

Points = tuple[Sequence[float], Sequence[float]]
"""x and y."""


def points(pairs: Iterable[tuple[float, float]]) -> Points:
    """Of pairs of x and y."""
    kept = list(pairs)
    return [x for x, _ in kept], [y for _, y in kept]


def save_plot(
    path: Path, panels: Mapping[str, Mapping[str, Points]], x: str, y: str, style: str = "o-", ticks: Sequence[str] = ()
) -> None:
    """One panel for each title, one colour for each name that has points; ticks: names of the places 0, 1, .. on x."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    width = max(6.0, 0.45 * len(ticks))
    figure, all_axes = plt.subplots(1, len(panels), figsize=(width * len(panels), 4.3), squeeze=False)
    markers = "osD^v<>PX*dph8"
    for axes, (title, lines) in zip(all_axes[0], panels.items(), strict=True):
        for number, (name, points) in enumerate(lines.items()):
            if len(points[0]):
                marker = style.replace("o", markers[number % len(markers)])
                axes.plot(*points, marker, markersize=5, label=name)
        axes.set(title=title, xlabel=x, ylabel=y)
        if ticks:
            axes.set_xticks(range(len(ticks)), ticks, rotation=60, ha="right")
        axes.grid(alpha=0.3)
    fullest = max(all_axes[0], key=lambda axes: len(axes.lines))
    all_axes[0][-1].legend(handles=fullest.lines, fontsize=8, bbox_to_anchor=(1.02, 1), loc="upper left")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
    plt.close(figure)
