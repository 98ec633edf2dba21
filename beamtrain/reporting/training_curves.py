"""What a run's folder says of its training: every figure over the steps, and the phases it went through."""

import csv
import math
from pathlib import Path
from typing import Any

import yaml

_TEACHER_FORCING = "teacher forcing"


def training_of(folder: Path, best_step: int | None) -> dict[str, Any] | None:
    """The figures of logs/metrics.csv and the phases of config.yaml; None for a folder without such figures.

    Args:
        best_step: the optimiser step that the run's weights are from, where it is known.
    """
    try:
        with open(folder / "logs" / "metrics.csv", encoding="utf-8", newline="") as file:
            curves = _curves(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    last = max((int(points[-1][0] or 0) for points in curves.values()), default=0)
    settings = _settings(folder / "config.yaml")
    return {
        "steps": last,
        "best_step": best_step,
        "started_from": settings.get("init_from"),
        "phases": _phases(settings, last),
        "curves": curves,
    }


def _curves(rows: csv.DictReader) -> dict[str, list[list[float | None]]]:
    """Name -> [step, value] in the order of the steps; None for a value that was not finite."""
    curves: dict[str, list[list[float | None]]] = {}
    for row in rows:
        step = row.pop("step", None) or ""
        row.pop("epoch", None)
        if not step.isdecimal():
            continue
        for name, text in row.items():
            try:
                value = float(text)
            except (TypeError, ValueError):  # not measured at this step
                continue
            curves.setdefault(str(name), []).append([int(step), value if math.isfinite(value) else None])
    return curves


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _phases(settings: dict[str, Any], last: int) -> list[dict[str, Any]]:
    """What was minimised from which step to which."""
    objective = _at(settings, "model", "objective") or {}
    name = str(_at(objective, "class_path") or "").rpartition(".")[2]
    if name in ("", "TeacherForcing"):
        return [{"name": _TEACHER_FORCING, "first": 0, "last": last}]
    start = _at(objective, "init_args", "start_step")
    start = min(start, last) if isinstance(start, int) else 0
    loss = str(_at(objective, "init_args", "loss", "class_path") or name).rpartition(".")[2]
    selection = _at(objective, "init_args", "unroll", "selection")
    searched = {"name": f"{loss}, {selection}" if selection else loss, "first": start, "last": last}
    before = [{"name": _TEACHER_FORCING, "first": 0, "last": start}] if start else []
    return before + ([searched] if start < last else [])


def _at(settings: Any, *keys: str) -> Any:
    for key in keys:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings
