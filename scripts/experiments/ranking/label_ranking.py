"""Label ranking with a linear model: what is gained by ranking its scores softly before they meet the true ranks.

    python scripts/experiments/ranking/label_ranking.py --source FOLDER                  # 21 sets, 25 CPU minutes
    python scripts/experiments/ranking/label_ranking.py --source FOLDER --sets iris wine

FOLDER holds the sets of Cheng, Huehn and Huellermeier 2009 as NAME.csv.gz: a line `n,p,k`, then p features and k ranks
in each line, 1 for the best label. As in Blondel et al. 2020, section 6.3: the loss is the squared distance of the true
ranks to the model's outputs (no projection) or to their soft ranks; ten-fold cross-validation, repeated with another
split for each seed; Spearman's rho on what was left out. Deviations: one temperature (the model's scale is free), the
same weight decay everywhere instead of a search, Adam on batches of 256 (no projection: solved exactly).
"""

import gzip
import statistics
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import arguments
import numpy as np
import torch
from cached import Cells, digest, spread, table
from plots import Points, points, save_plot
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.ranking import kendall, spearman, spearman_loss
from beamtrain.topk import FastSoftSort, LapSum, NeuralSort, Operator, SoftSort, SoftTopK

FOLDS, BATCH, STEPS, RATE, DECAY = 10, 256, 300, 0.1, 1e-3
NONE = "no projection"
METHODS: dict[str, Operator | None] = {
    NONE: None,
    "quadratic": FastSoftSort(1.0),
    "entropic": FastSoftSort(1.0, "entropic"),
    "sorted SOFT": SoftTopK(1.0, None),
    "LapSum": LapSum(1.0, None),
    "NeuralSort": NeuralSort(1.0, None),
    "SoftSort": SoftSort(1.0, None),
}


class Labelled(NamedTuple):
    """features (n, p) and the labels' ranks (n, k), float32."""

    features: Tensor
    ranks: Tensor


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", help="default: all of the folder")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    names = options.sets or sets_of(options.source)
    cells = Cells(options.out / "label_ranking.jsonl")
    for data, name in [(read(options.source, name), name) for name in names]:
        cells.belong_to(digest(*data), name)
    for seed in options.seeds:
        for method in options.methods:
            for name in names:
                cells.run(
                    {"set": name, "method": method, "seed": seed, "steps": STEPS},
                    partial(cross_validated_set, options.source, name, METHODS[method], seed),
                )
    print(report(cells))
    plot(cells, options.pictures / "label_ranking.png")


def sets_of(folder: Path) -> list[str]:
    """The names of a folder's sets. Raises UserError where there is none."""
    names = sorted(path.name.removesuffix(".csv.gz") for path in folder.glob("*.csv.gz"))
    if not names:
        raise UserError(f"--source {folder}: no such folder, or no NAME.csv.gz in it")
    return names


def read(folder: Path, name: str) -> Labelled:
    """One set. Raises UserError where it is missing or broken."""
    path = folder / f"{name}.csv.gz"
    if not path.exists():
        raise UserError(f"{path}: there is no such set; those of the folder are {', '.join(sets_of(folder))}")
    try:
        with gzip.open(path, "rt") as file:
            count, inputs, labels = (int(value) for value in file.readline().split(","))
            values = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32, ndmin=2))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path}: not a line n,p,k and n lines of p features and k ranks: {error}") from error
    ranks = values[:, inputs:]
    if values.shape != (count, inputs + labels) or not torch.equal(
        ranks.sort(-1).values, torch.arange(1.0, labels + 1).expand(count, -1)
    ):
        raise UserError(f"{path}: not {count} lines of {inputs} features and {labels} ranks from 1 to {labels}")
    if count < FOLDS or labels < 2 or not values.isfinite().all():
        raise UserError(
            f"{path}: {FOLDS} folds of finite features with 2 or more labels are needed, got {count} lines of {labels} "
            "labels" + ("" if values.isfinite().all() else ", not all finite") + "; leave it out by --sets"
        )
    return Labelled(values[:, :inputs], ranks)


def cross_validated_set(folder: Path, name: str, operator: Operator | None, seed: int) -> dict[str, float]:
    return cross_validated(read(folder, name), operator, seed)


def cross_validated(data: Labelled, operator: Operator | None, seed: int, steps: int = STEPS) -> dict[str, float]:
    """Mean rank correlations of the ten left-out parts; all ten models are fitted at once."""
    generator = torch.Generator().manual_seed(seed)
    count = len(data.ranks)
    fold = torch.arange(count) % FOLDS
    order = torch.randperm(count, generator=generator)
    rest = [order[fold != number] for number in range(FOLDS)]
    shortest = min(len(part) for part in rest)
    training = torch.stack([part[:shortest] for part in rest])  # (F, n'): at most one example less than there are
    inputs = standardised(data.features, training)  # (F, n, p + 1)
    seen = inputs.gather(1, training.unsqueeze(-1).expand(-1, -1, inputs.shape[-1]))  # (F, n', p + 1)
    ranks = data.ranks[training]  # (F, n', k)
    model = least_squares(seen, ranks) if operator is None else fitted(seen, ranks, operator, generator, steps)
    scores = inputs @ model  # (F, n, k)
    left = [order[fold == number] for number in range(FOLDS)]
    correlations = [
        torch.stack([measure(scores[number, part], data.ranks[part]) for measure in (spearman, kendall)]).mean(-1)
        for number, part in enumerate(left)
    ]
    rho, tau = torch.stack(correlations).mean(0).tolist()
    return {"spearman": round(rho, 5), "kendall": round(tau, 5)}


def standardised(features: Tensor, training: Tensor) -> Tensor:
    """(n, p) -> (F, n, p + 1), by the mean and deviation of each fold's training part (F, n'), and a column of 1."""
    parts = features[training]  # (F, n', p)
    scale = parts.std(1, keepdim=True).clamp_min(1e-6)
    scaled = (features - parts.mean(1, keepdim=True)) / scale
    return torch.cat([scaled, torch.ones_like(scaled[..., :1])], -1)


def least_squares(inputs: Tensor, ranks: Tensor) -> Tensor:
    """The linear model (F, p + 1, k) of the negative ranks."""
    weight = DECAY * torch.eye(inputs.shape[-1])
    count = inputs.shape[1]
    return torch.linalg.solve(inputs.mT @ inputs / count + weight, -inputs.mT @ ranks / count)


def fitted(inputs: Tensor, ranks: Tensor, operator: Operator, generator: torch.Generator, steps: int) -> Tensor:
    """The linear model (F, p + 1, k) whose soft ranks are nearest to the true ones."""
    folds, count, columns = inputs.shape
    start = 0.1 * torch.randn(folds, columns, ranks.shape[-1], generator=generator)  # SoftSort has no gradient at ties
    model = start.requires_grad_()
    optimizer = torch.optim.AdamW([model], RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(count, (folds, min(BATCH, count), 1), generator=generator)
        batch = inputs.gather(1, chosen.expand(-1, -1, columns))
        right = ranks.gather(1, chosen.expand(-1, -1, ranks.shape[-1]))
        loss = spearman_loss(batch @ model, right, operator).mean(-1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.detach()


Found = dict[str, dict[str, dict[int, float]]]


def collected(cells: Cells) -> Found:
    """Spearman's rho by set, method and seed."""
    found: Found = {}
    for settings, result in cells.finished:
        if settings["steps"] == STEPS:
            of_set = found.setdefault(settings["set"], {})
            of_set.setdefault(settings["method"], {})[settings["seed"]] = result["spearman"]
    return found


def report(cells: Cells) -> str:
    found = collected(cells)
    methods = [name for name in METHODS if any(name in row for row in found.values())]
    rows = []
    for name, row in sorted(found.items()):
        rows.append([name, *(spread(row[m].values(), 3) if m in row else "" for m in methods)])
    gains = {m: [gain for row in found.values() if (gain := gained(row, m)) is not None] for m in methods if m != NONE}
    for title, sign in (("above no projection, sets", 1), ("below", -1)):
        counts = {method: sum(sign * gain > 0 for gain in of_sets) for method, of_sets in gains.items()}
        rows.append([title, *(str(counts[m]) if m in counts else "" for m in methods)])
    rows.append(["CPU seconds of a seed", *(f"{seconds_of(cells, method):,.0f}" for method in methods)])
    return table(["Spearman's rho", *methods], rows)


def seconds_of(cells: Cells, method: str) -> float:
    """CPU seconds of all sets, in the mean over the seeds of each."""
    of_sets: dict[str, list[float]] = {}
    for settings, result in cells.finished:
        if settings["method"] == method:
            of_sets.setdefault(settings["set"], []).append(result["cpu_seconds"])
    return sum(statistics.mean(of_set) for of_set in of_sets.values())


def gained(row: dict[str, dict[int, float]], method: str) -> float | None:
    """How much higher rho is than without a projection, in the mean over the seeds that both have; None: none."""
    with_it, without = row.get(method, {}), row.get(NONE, {})
    gains = [rho - without[seed] for seed, rho in with_it.items() if seed in without]
    return sum(gains) / len(gains) if gains else None


def plot(cells: Cells, path: Path) -> None:
    """What each method gains on each set."""
    found = {name: row for name, row in collected(cells).items() if NONE in row}
    names = sorted(found, key=lambda name: statistics.mean(found[name][NONE].values()))
    gains: dict[str, Points] = {}
    for method in [m for m in METHODS if m != NONE]:
        of_sets = [gained(found[name], method) for name in names]
        gains[method] = points((place, gain) for place, gain in enumerate(of_sets) if gain is not None)
    save_plot(path, {"what the projection gains": gains}, "", "rho less that without a projection", "o", names)


if __name__ == "__main__":
    arguments.run(main)
