"""Sorting images of four-digit numbers of which only the order is known (Grover et al. 2019, section 6.1).

    python scripts/experiments/ranking/sort_numbers.py                            # numbers of scikit-learn's digits
    python scripts/experiments/ranking/sort_numbers.py --task mnist

A network gives each image a score; the loss is the cross-entropy of the true permutation under the operator's rows, or,
from operators that only rank, the squared distance of their soft ranks. Every method is trained on sets of 5, and
NeuralSort and SOFT, with the first seed, on sets of 3, 7, 9 and 15 too; each network is tested on sets of all sizes.
Deviations from the paper: one small convolution network is applied to each of the four digits; 2,500 steps of 125
images instead of 27,500 of 300 to 1,500.

What a step of each method costs on a CPU is measured first (20 steps) and kept. With --seconds every method trains for
so many CPU seconds, on sets of 5, instead of the same number of steps, on whatever --device.
"""

from functools import partial
from pathlib import Path
from typing import Any

import arguments
import torch
from cached import Cells, digest, spread, table
from images import Images, held_out, load_task, on
from methods import SORTS
from numbers_of_digits import NumberNetwork, Numbers, optimised, scored
from plots import save_plot
from torch import Tensor

from beamtrain.ranking import permutation, soft_ranks
from beamtrain.topk import Operator

SIZES = [3, 5, 7, 9, 15]
IMAGES = 125  # in a batch, in sets
TEMPERATURE = 1.0  # the scores' scale is free
STEPS = {"digits": 1000, "mnist": 2500}
RATE = 5e-3
ON_EVERY_SIZE = ["NeuralSort", "sorted SOFT"]
PAPER = {3: ".919 (.945)", 5: ".777 (.901)", 7: ".610 (.862)", 9: ".434 (.824)", 15: ".097 (.716)"}


def main() -> None:
    parser = arguments.image_parser(__doc__)
    parser.add_argument("--task", choices=STEPS, default="digits")
    parser.add_argument("--methods", nargs="+", choices=SORTS, default=list(SORTS))
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=[5, 3, 7, 9, 15], help="in training")
    parser.add_argument("--steps", type=arguments.whole(arguments.LEAST_STEPS), help="other than the task's")
    parser.add_argument("--seconds", type=arguments.whole(1), help="CPU seconds of training, alike for every method")
    options = parser.parse_args()
    if 5 not in options.sizes and not set(options.methods) & set(ON_EVERY_SIZE):
        parser.error(f"--sizes: only {' and '.join(ON_EVERY_SIZE)} are trained on others than 5; name one by --methods")
    train, test = load_task(options.task, options.source)
    train, _ = held_out(train, len(train.labels) // 12)
    steps = options.steps or STEPS[options.task]
    cells = Cells(options.out / f"sort_numbers-{options.task}.jsonl")
    cells.belong_to(digest(*train, *test))
    for name in options.methods:
        cells.seconds_a_step(cost_of(name), partial(run, name, 5, 1, train=train, test=test, tested=5))
    if options.costs:
        return
    for seed in options.seeds:
        for size in [5] if options.seconds else options.sizes:
            for name in options.methods:
                if size == 5 or (name in ON_EVERY_SIZE and seed == options.seeds[0]):
                    length = {"steps": steps}
                    if options.seconds:
                        length = {"seconds": options.seconds}
                    count = steps
                    if options.seconds:
                        count = max(arguments.LEAST_STEPS, round(options.seconds / cells.cost(cost_of(name))))
                    cells.run(
                        {"method": name, "size": size, "seed": seed, **length, "images": IMAGES},
                        partial(run, name, size, seed, count, train, test, options.device),
                        options.device,
                    )
    print(report(cells, steps))
    plot(cells, options.pictures / f"sort_numbers-{options.task}.png", steps)


def cost_of(name: str) -> dict[str, Any]:
    """The cell of what a step costs, on sets of 5."""
    return {"method": name, "size": 5, "images": IMAGES}


def run(
    name: str, size: int, seed: int, steps: int, train: Images, test: Images, device: str = "cpu", tested: int = 1000
) -> dict[str, float]:
    """Accuracies of the orders of so many test sets of every size."""
    torch.manual_seed(seed)
    train, test = on(device, train, test)
    network = NumberNetwork(train.pixels.shape[-1]).to(device)
    fit(network, SORTS[name](TEMPERATURE), Numbers(train, seed), size, steps, seed)
    result: dict[str, float] = {"steps": steps}
    every = scored(network, Numbers(test, seed), tested * max(SIZES))
    for other in SIZES:
        scores, numbers = (tensor[: tested * other].view(tested, other) for tensor in every)
        right = numbers.gather(-1, scores.argsort(-1, descending=True)) == numbers.sort(-1, descending=True).values
        result[f"all {other}"] = round(right.all(-1).double().mean().item(), 4)
        result[f"each {other}"] = round(right.double().mean().item(), 4)
    return result


def fit(network: NumberNetwork, operator: Operator, numbers: Numbers, size: int, steps: int, seed: int) -> None:
    """Train on sets of `size` numbers."""
    generator = torch.Generator(numbers.pixels.device).manual_seed(seed)
    optimizer, schedule = optimised(network, RATE, steps)
    for _ in range(steps):
        images, values = numbers.draw(IMAGES // size, size)
        loss = order_loss(network(images), values, operator, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def order_loss(scores: Tensor, values: Tensor, operator: Operator, generator: torch.Generator) -> Tensor:
    """How far the scores' soft order (B, N) is from that of the values (B, N)."""
    order = values.argsort(-1, descending=True)
    if "order" in operator.gives:
        rows = permutation(scores, operator, generator)  # (B, N, N)
        return -rows.gather(-1, order.unsqueeze(-1)).clamp_min(1e-20).log().mean()
    return (soft_ranks(scores, operator) - (order.argsort(-1) + 1)).square().mean()


def report(cells: Cells, steps: int) -> str:
    """Accuracies after so many steps, and after equal CPU seconds where that has been run."""
    rows = [["NeuralSort, Grover et al., each trained for its size", *PAPER.values(), ""]]
    for seconds in [None, *sorted({each["seconds"] for each, _ in cells.finished if "seconds" in each})]:
        for name in SORTS:
            on_five = of_method(cells, name, 5, steps, seconds)
            cost = cells.cost(cost_of(name))
            if on_five:
                took = "" if cost is None else f"{on_five[0]['steps'] * cost:.0f}"
                trained = "trained on sets of 5" + (f" for {seconds} CPU seconds" if seconds else "")
                rows.append([f"{name}, {trained}", *(accuracies(on_five, size) for size in SIZES), took])
            on_own = {size: of_method(cells, name, size, steps, seconds) for size in SIZES}
            if any(results for size, results in on_own.items() if size != 5):
                rows.append([f"{name}, each trained for its size", *(accuracies(on_own[n], n) for n in SIZES), ""])
    return table(["all in order (each in its place)", *(f"n = {size}" for size in SIZES), "CPU seconds"], rows)


def of_method(cells: Cells, name: str, size: int, steps: int, seconds: int | None = None) -> list[dict[str, float]]:
    """The results of all seeds."""
    return cells.results(method=name, size=size, images=IMAGES, steps=None if seconds else steps, seconds=seconds)


def accuracies(results: list[dict[str, float]], size: int) -> str:
    """Sets all in order, and in brackets elements in their place."""
    both = (spread((result[f"{kind} {size}"] for result in results), 3) for kind in ("all", "each"))
    return "{} ({})".format(*both) if results else ""


def plot(cells: Cells, path: Path, steps: int) -> None:
    """Sets all in order against their size, by networks trained on sets of 5; means over seeds."""
    lines = {}
    for name in SORTS:
        mine = of_method(cells, name, 5, steps)
        lines[name] = (SIZES if mine else [], [sum(r[f"all {n}"] for r in mine) / len(mine) for n in SIZES if mine])
    save_plot(path, {"trained on sets of 5": lines}, "numbers in a set", "share of sets all in order")


if __name__ == "__main__":
    arguments.run(main)
