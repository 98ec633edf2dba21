"""Each task in seconds, on the digits of scikit-learn: learned through the operator, and not learned with its gradient
cut."""

from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall_loss,
    ndcg_loss,
    permutation,
    permutation_expectation,
    quantile_loss,
    soft_median,
    soft_trimmed_mean,
    spearman,
    spearman_loss,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.topk import FastSoftSort, Gumbel, LapSum, NeuralSort, Operator, Selection, SinkhornSort, SoftTopK

SETS, SIZE = 40, 5  # images in a set


class Cut(Operator):
    """An operator whose gradient is zero."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.temperature, operator.candidates)
        self.operator, self.gives, self.draws = operator, operator.gives, operator.draws  # type: ignore[misc]

    def select(self, scores: Tensor, k: int, generator: torch.Generator | None = None) -> Selection:
        weights, indices = self.operator.select(scores.detach(), k, generator)
        return Selection(weights + nothing(scores), indices)

    def rank(self, scores: Tensor) -> Tensor:
        return self.operator.rank(scores.detach()) + nothing(scores)

    def sort(self, scores: Tensor) -> Tensor:
        return self.operator.sort(scores.detach()) + nothing(scores)


def nothing(scores: Tensor) -> Tensor:
    """0, with a gradient of 0."""
    return 0.0 * scores.masked_fill(scores == -torch.inf, 0.0).sum()


class Digits:
    """Pixels (B, 64) and labels, four fifths for training, and random draws of them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        pixels, labels = load_digits(return_X_y=True)
        self.pixels, self.labels = torch.tensor(pixels / 16).float(), torch.tensor(labels)
        self.is_test = torch.arange(len(labels)) % 5 == 4
        self.generator = torch.Generator().manual_seed(0)

    def draw(self, *shape: int, test: bool = False) -> tuple[Tensor, Tensor]:
        """Images (*shape, 64) and labels (*shape)."""
        pool = torch.nonzero(self.is_test == test).squeeze(-1)
        chosen = pool[torch.randint(len(pool), shape, generator=self.generator)]
        return self.pixels[chosen], self.labels[chosen]

    def sets(self, count: int, test: bool = False) -> tuple[Tensor, Tensor]:
        """Sets of SIZE images (count, SIZE, 64) with different labels (count, SIZE)."""
        images, labels = self.draw(20 * count, SIZE, test=test)
        different = (labels.sort(-1).values.diff(dim=-1) > 0).all(-1)
        return images[different][:count], labels[different][:count]


def perceptron(outputs: int, hidden: int = 32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def train(network: nn.Module, loss: Callable[[], Tensor], steps: int = 120, rate: float = 0.01) -> None:
    optimizer = torch.optim.Adam(network.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def both(learn: Callable[[Callable[[Operator], Operator]], float]) -> tuple[float, float]:
    """The result with the operator as it is, and with its gradient cut."""
    return learn(lambda operator: operator), learn(Cut)


KNNS = {
    "SOFT": (SoftTopK(0.1, sorted=False), "log"),
    "NeuralSort": (NeuralSort(1.0, None), "linear"),
    "fast soft rank": (FastSoftSort(0.03), "ranks"),
}


@pytest.mark.parametrize("name", KNNS)
def test_knn(name: str) -> None:
    def learn(wrap: Callable[[Operator], Operator]) -> float:
        digits, (operator, form) = Digits(), KNNS[name]
        network, knn = perceptron(3), DifferentiableKNN(wrap(operator), 5, 10, form)  # type: ignore[arg-type]
        itself = torch.eye(100, dtype=torch.bool)

        def loss() -> Tensor:
            pixels, labels = digits.draw(100)
            found = nn.functional.normalize(network(pixels), dim=-1)
            return knn.loss(found, labels, found, labels, excluded=itself).mean()

        train(network, loss, steps=200)
        known, queries = (nn.functional.normalize(network(digits.pixels[digits.is_test == t]), dim=-1) for t in (0, 1))
        found = knn.predict(queries, known, digits.labels[~digits.is_test])
        return (found == digits.labels[digits.is_test]).double().mean().item()

    learned, cut = both(learn)
    assert learned > 0.85 > 0.7 > cut  # two numbers for each image: where it lies on a sphere


def right_order(labels: Tensor) -> Tensor:
    """Ranks (..., N), 1 for the greatest digit."""
    return (labels.argsort(-1, descending=True).argsort(-1) + 1).float()


def row_cross_entropy(scores: Tensor, labels: Tensor, operator: Operator, generator: torch.Generator) -> Tensor:
    """Grover et al. 2019: each row of the relaxed permutation against that of the true one."""
    rows = permutation(scores, operator, generator)
    return -rows.gather(-1, labels.argsort(-1, descending=True).unsqueeze(-1)).clamp_min(1e-20).log().mean((-1, -2))


ORDERS: dict[str, Callable[[Tensor, Tensor, Callable[[Operator], Operator], torch.Generator], Tensor]] = {
    "NeuralSort": lambda x, y, w, g: row_cross_entropy(x, y, w(NeuralSort(1.0, None)), g),
    "NeuralSort, stochastic": lambda x, y, w, g: row_cross_entropy(x, y, w(Gumbel(NeuralSort(1.0, None))), g),
    "sorted SOFT": lambda x, y, w, g: row_cross_entropy(x, y, w(SoftTopK(1.0, None)), g),
    "Sinkhorn": lambda x, y, w, g: row_cross_entropy(x, y, w(SinkhornSort(1.0, None, iterations=10)), g),
    "Spearman": lambda x, y, w, g: spearman_loss(x, right_order(y), w(FastSoftSort(1.0))),
    "Kendall": lambda x, y, w, g: kendall_loss(x, right_order(y), w(LapSum(1.0, None))),
    "NDCG": lambda x, y, w, g: ndcg_loss(x, y.float(), w(NeuralSort(1.0, None))),
    "NDCG by ranks": lambda x, y, w, g: ndcg_loss(x, y.float(), w(FastSoftSort(1.0))),
}


@pytest.mark.parametrize("name", ORDERS)
def test_sorting(name: str) -> None:
    def learn(wrap: Callable[[Operator], Operator]) -> float:
        digits = Digits()
        network = perceptron(1)

        def loss() -> Tensor:
            images, labels = digits.sets(SETS)
            return ORDERS[name](network(images).squeeze(-1), labels, wrap, digits.generator).mean()

        train(network, loss)
        images, labels = digits.sets(200, test=True)
        return spearman(network(images).squeeze(-1), right_order(labels)).mean().item()

    learned, cut = both(learn)
    assert learned > 0.65 > 0.4 > cut


@pytest.mark.parametrize("estimator", ["reinforce", "reparameterised"])
def test_expectation_over_permutations(estimator: str) -> None:
    digits = Digits()
    network = perceptron(1)

    def loss() -> Tensor:
        images, labels = digits.sets(SETS)
        values, places = labels.float().unsqueeze(-1) / 9, torch.arange(SIZE, 0.0, -1.0)
        gain = permutation_expectation(
            lambda rows: (rows @ values).squeeze(-1) @ places,
            network(images).squeeze(-1),
            digits.generator,
            estimator,  # type: ignore[arg-type]
        )
        return -gain.mean()

    images, labels = digits.sets(200, test=True)
    before = spearman(network(images).squeeze(-1), right_order(labels)).mean()
    train(network, loss)
    assert spearman(network(images).squeeze(-1), right_order(labels)).mean() > 0.75 > 0.4 > before


def scaled(labels: Tensor) -> Tensor:
    """The digits 0..9 as -1..1."""
    return labels.float() / 4.5 - 1.0


@pytest.mark.parametrize("operator", [NeuralSort(3.0, None), SoftTopK(0.3, None)], ids=["NeuralSort", "sorted SOFT"])
def test_median_of_images(operator: Operator) -> None:
    """A network learns which image is in the middle, from the number there."""

    def learn(wrap: Callable[[Operator], Operator]) -> float:
        digits = Digits()
        network = perceptron(1)

        def loss() -> Tensor:
            images, labels = digits.sets(100)
            numbers = scaled(labels)
            found = soft_median(network(images).squeeze(-1), wrap(operator), numbers)
            return (found - numbers.median(-1).values).square().mean()

        train(network, loss, steps=200)
        images, labels = digits.sets(400, test=True)
        found = network(images).squeeze(-1).median(-1).indices
        return (found == labels.median(-1).indices).double().mean().item()

    learned, cut = both(learn)
    assert learned > 0.45 > 0.3 > cut  # of 5 images


@pytest.mark.parametrize("operator", [FastSoftSort(0.5), SinkhornSort(0.1, None, iterations=10)], ids=str)
def test_quantile_of_one_network(operator: Operator) -> None:
    def learn(wrap: Callable[[Operator], Operator]) -> float:
        digits = Digits()
        network = perceptron(1)

        def loss() -> Tensor:
            images, labels = digits.sets(SETS)
            values = network(images).squeeze(-1)
            return quantile_loss(values, scaled(labels).quantile(0.75, dim=-1), 0.75, wrap(operator)).mean()

        train(network, loss, steps=300)
        images, labels = digits.sets(400, test=True)
        found = network(images).squeeze(-1).quantile(0.75, dim=-1)
        true = scaled(labels).quantile(0.75, dim=-1)
        return (1 - (found - true).square().mean() / true.var()).item()

    learned, cut = both(learn)
    assert learned > 0.2 > -0.5 > cut


TOPS: dict[str, Callable[[Tensor, Tensor, Callable[[Operator], Operator]], Tensor]] = {
    "hinge": lambda x, y, w: topk_hinge(x, y, 1, w(FastSoftSort(1.0))),
    "SOFT": lambda x, y, w: topk_cross_entropy(x, y, 2, w(SoftTopK(1.0, sorted=False))),
}


@pytest.mark.parametrize("name", TOPS)
def test_topk_classification(name: str) -> None:
    def learn(wrap: Callable[[Operator], Operator]) -> float:
        digits = Digits()
        network = perceptron(10)

        def loss() -> Tensor:
            pixels, labels = digits.draw(100)
            return TOPS[name](network(pixels), labels, wrap).mean()

        train(network, loss)
        scores, labels = network(digits.pixels[digits.is_test]), digits.labels[digits.is_test]
        return (scores.topk(2).indices == labels.unsqueeze(-1)).any(-1).double().mean().item()

    learned, cut = both(learn)
    assert learned > 0.93 > 0.5 > cut


@pytest.mark.parametrize("operator", [FastSoftSort(0.1), SoftTopK(0.1, None, sorted=False)], ids=str)
def test_trimmed_squares(operator: Operator) -> None:
    """A pixel from the others, where a fifth of the targets are wrong; from softly sorted values whose gradient is cut
    nothing is learned."""
    digits = Digits()
    inputs, targets = digits.pixels[:, :40], digits.pixels[:, 42:43]
    dirty = targets.clone()
    wrong = torch.rand(len(targets), generator=digits.generator) < 0.2
    dirty[wrong] += 10.0

    def fitted(trimmed: int, wrap: Callable[[Operator], Operator]) -> float:
        torch.manual_seed(0)
        network = nn.Linear(40, 1)

        def loss() -> Tensor:
            residuals = (network(inputs) - dirty).squeeze(-1)[~digits.is_test]
            return soft_trimmed_mean(residuals.square(), trimmed, wrap(operator))

        train(network, loss, steps=200, rate=0.03)
        found, true = network(inputs)[digits.is_test], targets[digits.is_test]
        return (1 - (found - true).square().mean() / true.var()).item()

    share = int(0.3 * (~digits.is_test).sum())
    assert fitted(share, lambda o: o) > 0.4
    assert fitted(0, lambda o: o) < 0.0  # least squares
    if "values" in operator.gives:
        assert fitted(share, Cut) < 0.0
