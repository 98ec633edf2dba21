"""kNN on learned features: the network trained through each operator, beside what needs no operator.

    python scripts/experiments/ranking/knn.py                                     # the digits: two minutes
    python scripts/experiments/ranking/knn.py --task mnist
    python scripts/experiments/ranking/knn.py --task fashion --source FOLDER
    python scripts/experiments/ranking/knn.py --task cifar10
    python scripts/experiments/ranking/knn.py --task cifar10-full --device cuda   # never run

Without --source the images come from the hub; see images.py for folders. A batch is its own set of neighbours: each of
its images is a query among all others. After training, the test images are classified by exact kNN among all training
images. 5,000 training images (digits: 200, cifar10: 1,000) are held out of both; --tune measures temperatures on them.
Finished cells are kept in --out.

What a step of each method costs on a CPU is measured first (20 steps) and kept. With --seconds every method trains for
so many CPU seconds instead of the same number of epochs, on whatever --device.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import arguments
import torch
from cached import Cells, digest, spread, table
from image_networks import Sphere, convolutional, in_blocks, placed, resnet18
from images import CLASSES, Images, batches, held_out, load_task, on, shifted
from methods import SETS
from plots import Points, save_plot
from torch import Tensor, nn
from torch.nn import functional as F

from beamtrain.ranking import DifferentiableKNN
from beamtrain.topk import Operator

Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (B, ...) and classes (B,) -> ()
K = 9
UNTRAINED = ["pixels", "PCA"]
BASELINES = ["pixels", "PCA", "autoencoder", "cross-entropy", "classifier"]
ALIKE = 1.01  # times of training that differ by less than this factor are the same
TEMPERATURES = {  # chosen on the digits' held-out images
    "SOFT": 0.1,
    "sorted SOFT": 0.1,
    "NeuralSort": 1.0,
    "NeuralSort, stochastic": 10.0,
    "SoftSort": 0.1,
    "Sinkhorn (Cuturi)": 0.1,
    "k softmaxes": 0.1,
    "relaxed subset": 1.0,
    "LapSum": 0.1,
    "fast soft rank": 0.03,
}
SLOW = {"Sinkhorn (Cuturi)": {"batch": 100, "queries": 10}}  # an N x N plan for each query
RADIUS = {"NeuralSort, stochastic": 4.0, "relaxed subset": 4.0}  # of the features' sphere: the Gumbel noise has size 1


class Task(NamedTuple):
    """Sizes of one data set's experiment."""

    held_out: int
    epochs: int
    width: int
    reach: int = 2  # of the random shifts, in pixels
    flip: bool = False
    batch: int = 200
    features: int = 64
    rate: float = 5e-3
    network: str = "convolutional"


TASKS = {
    "digits": Task(held_out=200, epochs=20, width=16, reach=1, batch=100),
    "mnist": Task(held_out=5000, epochs=6, width=16),
    "fashion": Task(held_out=5000, epochs=6, width=16, reach=1, flip=True),
    "cifar10": Task(held_out=1000, epochs=15, width=32, reach=3, flip=True),
    "cifar10-full": Task(5000, 200, 0, 4, True, batch=200, features=512, rate=1e-3, network="resnet18"),
}


def main() -> None:
    parser = arguments.image_parser(__doc__)
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--methods", nargs="+", choices=[*BASELINES, *SETS], default=[*BASELINES, *SETS])
    parser.add_argument(
        "--tune", type=arguments.temperature, nargs="+", metavar="TEMPERATURE", help="only measure these, held out"
    )
    parser.add_argument("--epochs", type=arguments.whole(1), help="other than the task's")
    parser.add_argument("--seconds", type=arguments.whole(1), help="CPU seconds of training, alike for every method")
    options = parser.parse_args()
    if options.tune and not set(options.methods) & set(SETS):
        parser.error(f"--tune: none of --methods {', '.join(options.methods)} has a temperature")
    task = TASKS[options.task]._replace(**({"epochs": options.epochs} if options.epochs else {}))
    train, test = load_task(options.task, options.source)
    train, validation = held_out(train, task.held_out)
    cells = Cells(options.out / f"knn-{options.task}.jsonl")
    cells.belong_to(digest(*train, *test))
    for name in options.methods:
        if name not in UNTRAINED:
            cells.seconds_a_step(cost_of(task, name), partial(learned, task, name, TEMPERATURES.get(name), 1, train))
    if options.costs:
        return
    for seed in options.seeds:
        for name in options.methods:
            for temperature in options.tune or [TEMPERATURES.get(name)]:
                if options.tune and name not in SETS:
                    continue
                settings = {"method": name, "seed": seed, "temperature": temperature, "task": task._asdict()}
                settings |= {"images": "held out"} if options.tune else {}
                steps, used = steps_of(task, name, len(train.labels)), validation if options.tune else test
                if options.seconds and name not in UNTRAINED:
                    settings |= {"seconds": options.seconds}
                    steps = max(arguments.LEAST_STEPS, round(options.seconds / cells.cost(cost_of(task, name))))
                cells.run(
                    settings,
                    partial(run, task, name, temperature, seed, train, used, options.device, steps),
                    options.device,
                )
    if options.tune:
        print(tuned(cells, task, options.tune))
    else:
        print(report(cells, task))
        plot(cells, options.pictures / f"knn-{options.task}.png", task)


def cost_of(task: Task, name: str) -> dict[str, Any]:
    """The cell of what a step costs, which depends on all but the number of steps."""
    return {"method": name, "task": {**task._asdict(), "epochs": None}}


def batch_of(task: Task, name: str) -> int:
    return SLOW.get(name, {}).get("batch", task.batch)


def steps_of(task: Task, name: str, images: int) -> int:
    """Those of the task's epochs."""
    return task.epochs * (images // batch_of(task, name))


def run(
    task: Task,
    name: str,
    temperature: float | None,
    seed: int,
    train: Images,
    test: Images,
    device: str = "cpu",
    steps: int | None = None,
) -> dict[str, Any]:
    """The test accuracy, in per cent, of one method after so many steps (default: the task's epochs)."""
    torch.manual_seed(seed)
    train, test = on(device, train, test)
    if name in UNTRAINED:
        return {"accuracy": by_knn(*linear_features(name, train, test), train, test)}
    steps = steps or steps_of(task, name, len(train.labels))
    network = learned(task, name, temperature, seed, train, steps)
    if name == "classifier":
        return {"steps": steps, "accuracy": percent(in_blocks(network, test.pixels).argmax(-1), test)}
    if name == "cross-entropy":
        assert isinstance(network, nn.Sequential)
        network = Sphere(network[:-1])
    features, queries = (in_blocks(network, images.pixels) for images in (train, test))
    return {"steps": steps, "accuracy": by_knn(features, queries, train, test)}


def learned(task: Task, name: str, temperature: float | None, seed: int, train: Images, steps: int) -> nn.Module:
    """The network of one method."""
    if name == "autoencoder":
        return autoencoder(task, train, seed, steps)
    if name in SETS:
        assert temperature is not None, name
        return through_operator(task, SETS[name](temperature), name, train, seed, steps)
    return classifier(task, train, seed, steps)


def by_knn(features: Tensor, queries: Tensor, train: Images, test: Images) -> float:
    """Exact kNN among all training images."""
    judge = DifferentiableKNN(SETS["SOFT"](1.0), K, CLASSES)
    return percent(judge.predict(queries, features, train.labels), test)


def percent(found: Tensor, test: Images) -> float:
    return round(100 * (found == test.labels).double().mean().item(), 3)


def linear_features(name: str, train: Images, test: Images) -> tuple[Tensor, Tensor]:
    """Pixels as they are, or on their first 50 principal components."""
    flat, queries = train.pixels.flatten(1), test.pixels.flatten(1)
    if name == "pixels":
        return flat, queries
    centred = flat - flat.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -50:]  # ascending
    return flat @ directions, queries @ directions


def embedding(task: Task, pixels: Tensor) -> nn.Module:
    _, channels, size, _ = pixels.shape
    if task.network == "resnet18":
        return resnet18(channels, task.features)
    return convolutional(channels, size, task.width, task.features)


def through_operator(task: Task, operator: Operator, name: str, train: Images, seed: int, steps: int) -> nn.Module:
    """A network trained on the label mass of the k nearest in the batch."""
    knn = DifferentiableKNN(operator, K, CLASSES, "ranks" if "weights" not in operator.gives else "log")
    network = Sphere(embedding(task, train.pixels), RADIUS.get(name, 1.0))
    generator = torch.Generator(train.pixels.device).manual_seed(seed)
    batch = batch_of(task, name)
    queries = SLOW.get(name, {}).get("queries", batch)

    def loss(features: Tensor, labels: Tensor) -> Tensor:
        itself = torch.eye(len(features), dtype=torch.bool, device=features.device)[:queries]
        return knn.loss(features[:queries], labels[:queries], features, labels, generator, itself).mean()

    return trained(task._replace(batch=batch), network, loss, train, seed, steps)


def classifier(task: Task, train: Images, seed: int, steps: int) -> nn.Module:
    """The same network with one more layer, trained by cross-entropy."""
    network = nn.Sequential(embedding(task, train.pixels), nn.Sequential(nn.ReLU(), nn.Linear(task.features, CLASSES)))
    return trained(task, network, F.cross_entropy, train, seed, steps)


def autoencoder(task: Task, train: Images, seed: int, steps: int) -> nn.Module:
    """An encoder from which a two-layer network rebuilds the pixels."""
    encoder = embedding(task, train.pixels)
    pixels = train.pixels[0].numel()
    decoder = nn.Sequential(nn.ReLU(), nn.Linear(task.features, 512), nn.ReLU(), nn.Linear(512, pixels))
    trained(task, nn.Sequential(encoder, decoder), None, train, seed, steps)
    return encoder


def trained(task: Task, network: nn.Module, loss: Loss | None, train: Images, seed: int, steps: int) -> nn.Module:
    """The network after some steps of Adam with a one-cycle rate; loss None: rebuild the input."""
    placed(network, train.pixels.device).train()
    optimizer = torch.optim.AdamW(network.parameters(), task.rate, weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, task.rate, total_steps=steps, pct_start=0.2)
    generator = torch.Generator().manual_seed(seed)
    for chosen in islice(batches(len(train.labels), task.batch, generator), steps):
        seen = shifted(train.pixels[chosen.to(train.pixels.device)], task.reach, generator, task.flip)
        output = network(seen.contiguous(memory_format=torch.channels_last))
        labels = train.labels[chosen.to(train.labels.device)]
        value = F.mse_loss(output, seen.flatten(1)) if loss is None else loss(output, labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return network


def report(cells: Cells, task: Task) -> str:
    """Accuracies after the task's epochs, and after equal CPU seconds where that has been run."""
    budgets = sorted({each["seconds"] for each, _ in cells.finished if of_task(each, task) and "seconds" in each})
    rows = []
    for name in [*BASELINES, *SETS]:
        found = of_method(cells, name, task)
        equal = [of_method(cells, name, task, seconds) for seconds in budgets]
        if found or any(equal):
            accuracies = (spread(result["accuracy"] for result in each) for each in (found, *equal))
            seconds = seconds_of(cells, name, task, found)
            rows.append([name, next(accuracies), f"{seconds[0]:.0f}" if seconds else "", *accuracies])
    head = ["method", "test accuracy", "CPU seconds of training"]
    return table([*head, *(f"accuracy after {seconds} CPU seconds" for seconds in budgets)], rows)


def tuned(cells: Cells, task: Task, temperatures: list[float]) -> str:
    """Accuracies on the held-out images."""
    rows = []
    for name in SETS:
        of_each = {"method": name, "task": task._asdict(), "images": "held out"}
        found = [cells.results(temperature=temperature, **of_each) for temperature in temperatures]
        if any(found):
            rows.append([name, *(spread(result["accuracy"] for result in each) for each in found)])
    return table(["held-out accuracy", *map(str, temperatures)], rows)


def of_task(settings: dict[str, Any], task: Task) -> bool:
    return settings["task"] == task._asdict()


def of_method(cells: Cells, name: str, task: Task, seconds: int | None = None) -> list[dict[str, Any]]:
    """The test results of all seeds."""
    return cells.results(method=name, task=task._asdict(), seconds=seconds, images=None)


def seconds_of(cells: Cells, name: str, task: Task, found: list[dict[str, Any]]) -> list[float]:
    """CPU seconds of training of each of these results: of their steps, at what one costs."""
    cost = cells.cost(cost_of(task, name))
    return [] if cost is None else [result["steps"] * cost for result in found]


def plot(cells: Cells, path: Path, task: Task) -> None:
    """Accuracy against CPU seconds, one point for each seed; side by side where all have trained for as long."""
    points: dict[str, Points] = {}
    for name in ["cross-entropy", "classifier", *SETS]:
        found = [result for result in cells.results(method=name, task=task._asdict(), images=None) if "steps" in result]
        seconds = seconds_of(cells, name, task, found)
        points[name] = seconds, [result["accuracy"] for result in found][: len(seconds)]
    times = [each for seconds, _ in points.values() for each in seconds]
    if times and max(times) < ALIKE * min(times):
        title = f"{path.stem} after {min(times):.0f} CPU seconds"
        apart = {name: ([place] * len(found), found) for place, (name, (_, found)) in enumerate(points.items())}
        save_plot(path, {title: apart}, "", "test accuracy, %", "o", list(points))
    else:
        save_plot(path, {path.stem: points}, "CPU seconds of training", "test accuracy, %", "o")


if __name__ == "__main__":
    arguments.run(main)
