"""Classification by losses on the right class's rank: accuracy against time (Blondel et al. 2020, section 6.2).

    python scripts/experiments/ranking/topk_classification.py                            # the digits: a minute
    python scripts/experiments/ranking/topk_classification.py --task cifar10

Losses: cross-entropy; max(0, soft rank - k) by the permutahedron, by all pairs, and by optimal transport; -log of the
membership in the k best by SOFT, LapSum and SoftSort. After each epoch the accuracy on the test images is kept. What a
step costs on a CPU is measured first (20 steps) and kept; the seconds of table and plot are of that. Deviations from
the paper: a network of three convolutions, 10,000 images of CIFAR-10, 12 epochs instead of 600; the
temperature 1 everywhere.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import arguments
import torch
from cached import Cells, digest, spread, table
from image_networks import convolutional, in_blocks, placed
from images import CLASSES, Images, batches, load_task, on, shifted
from methods import AllPairs
from plots import Points, points, save_plot
from torch import Tensor
from torch.nn import functional as F

from beamtrain.ranking import topk_cross_entropy, topk_hinge
from beamtrain.topk import FastSoftSort, LapSum, SinkhornSort, SoftSort, SoftTopK

Loss = Callable[[Tensor, Tensor, int], Tensor]  # scores (B, C), classes (B,), k -> (B,)
LOSSES: dict[str, Loss] = {
    "cross-entropy": lambda x, y, k: F.cross_entropy(x, y, reduction="none"),
    "rank, quadratic": lambda x, y, k: topk_hinge(x, y, k, FastSoftSort(1.0)),
    "rank, entropic": lambda x, y, k: topk_hinge(x, y, k, FastSoftSort(1.0, "entropic")),
    "rank, all pairs": lambda x, y, k: topk_hinge(x, y, k, AllPairs(1.0)),
    "rank, Sinkhorn": lambda x, y, k: topk_hinge(x, y, k, SinkhornSort(1.0, None, iterations=20)),
    "membership, SOFT": lambda x, y, k: topk_cross_entropy(x, y, k, SoftTopK(1.0, None, sorted=False)),
    "membership, LapSum": lambda x, y, k: topk_cross_entropy(x, y, k, LapSum(1.0, None, sorted=False)),
    "membership, SoftSort": lambda x, y, k: topk_cross_entropy(x, y, k, SoftSort(1.0, None)),
}
TASKS: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 20, "width": 16, "reach": 1, "flip": False, "batch": 100},
    "cifar10": {"epochs": 12, "width": 32, "reach": 3, "flip": True, "batch": 100},
}
RATE = 3e-3


def main() -> None:
    parser = arguments.image_parser(__doc__)
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--k", type=arguments.whole(1, CLASSES), default=1)
    options = parser.parse_args()
    train, test = load_task(options.task, options.source)
    task = TASKS[options.task]
    cells = Cells(options.out / f"topk_classification-{options.task}.jsonl")
    cells.belong_to(digest(*train, *test))
    for name in options.losses:
        cells.seconds_a_step(cost_of(name), partial(run, task, LOSSES[name], options.k, 1, train, test, "cpu"))
    if options.costs:
        return
    for seed in options.seeds:
        for name in options.losses:
            cells.run(
                {"loss": name, "seed": seed, "k": options.k, "task": task},
                partial(run, task, LOSSES[name], options.k, seed, train, test, options.device),
                options.device,
            )
    print(report(cells, options.k, task))
    plot(cells, options.pictures / f"topk_classification-{options.task}.png", options.k, task)


def cost_of(name: str) -> dict[str, Any]:
    """The cell of what a step costs."""
    return {"loss": name}


def run(
    task: dict[str, Any],
    loss: Loss,
    k: int,
    seed: int,
    train: Images,
    test: Images,
    device: str = "cpu",
    steps: int | None = None,
) -> dict[str, Any]:
    """Top-1 to top-5 accuracies in per cent, and the curve of (steps, top-1); steps: one epoch of so many."""
    torch.manual_seed(seed)
    train, test = on(device, train, test)
    generator = torch.Generator().manual_seed(seed)
    _, channels, size, _ = train.pixels.shape
    network = placed(convolutional(channels, size, task["width"], CLASSES), device)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3, fused=True)
    epochs, epoch = (1, steps) if steps else (task["epochs"], len(train.labels) // task["batch"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * epoch)
    drawn, curve = batches(len(train.labels), task["batch"], generator), []
    for number in range(1, epochs + 1):
        network.train()
        for chosen in islice(drawn, epoch):
            place = chosen.to(device)
            seen = shifted(train.pixels[place], task["reach"], generator, task["flip"])
            scores = network(seen.contiguous(memory_format=torch.channels_last))
            optimizer.zero_grad()
            loss(scores, train.labels[place], k).mean().backward()
            optimizer.step()
            schedule.step()
        if steps:
            return {}
        best = in_blocks(network, test.pixels).topk(5).indices
        hits = 100 * (best == test.labels.unsqueeze(-1)).double().cumsum(-1).mean(0)  # (5,)
        curve.append((number * epoch, round(hits[0].item(), 2)))
    return {**{f"top-{place}": round(hits[place - 1].item(), 2) for place in (1, 2, 3, 5)}, "curve": curve}


def report(cells: Cells, k: int, task: dict[str, Any]) -> str:
    columns = ["top-1", "top-2", "top-3", "top-5"]
    rows = []
    for name in LOSSES:
        mine = cells.results(loss=name, k=k, task=task)
        if mine:
            accuracies = [spread(result[column] for result in mine) for column in columns]
            cost = cells.cost(cost_of(name))
            rows.append([name, *accuracies, "" if cost is None else f"{mine[0]['curve'][-1][0] * cost:.0f}"])
    return table(["loss", *columns, "CPU seconds of training"], rows)


def plot(cells: Cells, path: Path, k: int, task: dict[str, Any]) -> None:
    """Top-1 accuracy against CPU seconds of training, of each loss's first seed."""
    curves: dict[str, Points] = {}
    for name in LOSSES:
        mine, cost = cells.results(loss=name, k=k, task=task), cells.cost(cost_of(name))
        if mine and cost is not None:
            curves[name] = points((step * cost, accuracy) for step, accuracy in mine[0]["curve"])
    save_plot(path, {f"k = {k}": curves}, "CPU seconds of training", "top-1 accuracy, %")


if __name__ == "__main__":
    arguments.run(main)
