"""The median of images of four-digit numbers: nothing else is known of a set (Grover et al. 2019, section 6.2).

    python scripts/experiments/ranking/medians.py                                 # numbers of scikit-learn's digits
    python scripts/experiments/ranking/medians.py --task mnist

A network tells each image's place in the order and its number; the number that the operator's middle row reads off is
to be the median. From operators that only sort, the network's numbers are sorted. Tested with the hard median. All
methods have sets of 5; NeuralSort, SOFT and fast soft sort also 9 and 15. Deviations from the paper: numbers of 4
digits instead of 5, two outputs of one small network instead of two networks, 1,500 steps of 135 images instead of
22,000 of 500 to 1,500. --level takes other quantiles. What a step costs on a CPU is measured first (20 steps) and kept.
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
from plots import Points, points, save_plot
from torch import Tensor

from beamtrain.ranking import quantile_loss
from beamtrain.topk import Operator

SIZES = [5, 9, 15]
IMAGES = 135  # in a batch, in sets
TEMPERATURES = {"fast soft rank": 0.3}  # of values in [-1, 1], in ranks per unit; the others' scores are free in scale
STEPS = 1500


def main() -> None:
    parser = arguments.image_parser(__doc__)
    parser.add_argument("--task", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--methods", nargs="+", choices=SORTS, default=list(SORTS))
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--level", type=arguments.level, default=0.5)
    parser.add_argument("--steps", type=arguments.whole(arguments.LEAST_STEPS), default=STEPS)
    options = parser.parse_args()
    train, test = load_task(options.task, options.source)
    train, _ = held_out(train, len(train.labels) // 12)
    cells = Cells(options.out / f"medians-{options.task}.jsonl")
    cells.belong_to(digest(*train, *test))
    for name in options.methods:
        cells.seconds_a_step(
            cost_of(name), partial(run, name, 5, 1, level=options.level, train=train, test=test, tested=5)
        )
    if options.costs:
        return
    for seed in options.seeds:
        for size in options.sizes:
            for name in options.methods:
                settings = {"method": name, "size": size, "seed": seed, "steps": options.steps}
                cells.run(
                    settings | {"level": options.level},
                    partial(run, name, size, seed, options.steps, options.level, train, test, options.device),
                    options.device,
                )
    print(report(cells, options.steps, options.level))
    plot(cells, options.pictures / f"medians-{options.task}.png", options.steps, options.level)


def cost_of(name: str) -> dict[str, Any]:
    """The cell of what a step costs, on sets of 5."""
    return {"method": name, "size": 5}


def run(
    name: str,
    size: int,
    seed: int,
    steps: int,
    level: float,
    train: Images,
    test: Images,
    device: str = "cpu",
    tested: int = 1000,
) -> dict[str, float]:
    """R2, and the mean error in units of the numbers, of so many test sets' quantiles."""
    torch.manual_seed(seed)
    train, test = on(device, train, test)
    operator = SORTS[name](TEMPERATURES.get(name, 1.0))
    network = NumberNetwork(train.pixels.shape[-1], outputs=2).to(device)
    fit(network, operator, Numbers(train, seed), size, steps, level, seed)
    found, numbers = (each[: tested * size] for each in scored(network, Numbers(test, seed), tested * size))
    order, value = found.view(tested, size, 2).unbind(-1)
    true = scaled(numbers.view(tested, size)).quantile(level, dim=-1, interpolation="nearest")
    if "weights" in operator.gives:
        place = order.argsort(-1, descending=True)[:, round((1 - level) * (size - 1)), None]
        guess = value.gather(-1, place).squeeze(-1)
    else:
        guess = value.quantile(level, dim=-1, interpolation="nearest")
    error = guess - true
    return {
        "R2": round((1 - error.square().mean() / true.var()).item(), 4),
        "error": round(5000 * error.abs().mean().item(), 1),
    }


def fit(
    network: NumberNetwork, operator: Operator, numbers: Numbers, size: int, steps: int, level: float, seed: int
) -> None:
    """Train on the quantiles of sets of `size` numbers."""
    generator = torch.Generator(numbers.pixels.device).manual_seed(seed)
    optimizer, schedule = optimised(network, 5e-3, steps)
    for _ in range(steps):
        images, values = numbers.draw(IMAGES // size, size)
        order, value = network(images).unbind(-1)
        target = scaled(values).quantile(level, dim=-1)
        loss = (
            quantile_loss(order, target, level, operator, value, generator)
            if "weights" in operator.gives
            else quantile_loss(value, target, level, operator)
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def scaled(numbers: Tensor) -> Tensor:
    """0..9999 as -1..1."""
    return numbers / 5000 - 1.0


def report(cells: Cells, steps: int, level: float) -> str:
    rows = []
    for name in SORTS:
        row, cost = [name], cells.cost(cost_of(name))
        found = {size: of_method(cells, name, size, steps, level) for size in SIZES}
        for size in SIZES:
            row += [spread((r["R2"] for r in found[size]), 3), spread((r["error"] for r in found[size]), 0)]
        if any(found.values()):
            rows.append([*row, "" if cost is None else f"{steps * cost:.0f}"])
    figures = (f"n = {size}: {what}" for size in SIZES for what in ("R2", "error"))
    return table(["method", *figures, "CPU seconds, n = 5"], rows)


def of_method(cells: Cells, name: str, size: int, steps: int, level: float) -> list[dict[str, float]]:
    """The results of all seeds."""
    return cells.results(method=name, size=size, steps=steps, level=level)


def plot(cells: Cells, path: Path, steps: int, level: float) -> None:
    """R2 against the size of the sets, means over seeds."""
    lines: dict[str, Points] = {}
    for name in SORTS:
        found = {size: [r["R2"] for r in of_method(cells, name, size, steps, level)] for size in SIZES}
        lines[name] = points((size, sum(each) / len(each)) for size, each in found.items() if each)
    save_plot(path, {f"quantile at {level}": lines}, "numbers in a set", "R2")


if __name__ == "__main__":
    arguments.run(main)
