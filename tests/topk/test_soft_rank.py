"""Fast soft ranking and sorting against brute force, published values, and its limits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from topk_family import random_scores

from beamtrain.topk import FastSoftSort, soft_rank, soft_sort
from beamtrain.topk.isotonic import entropic_blocks, quadratic_fit

BOTH = ["quadratic", "entropic"]


def log_sum(values: np.ndarray) -> float:
    return float(np.log(np.exp(values - values.max()).sum()) + values.max())


def rising_fit(level, count: int) -> np.ndarray:
    """Isotonic regression by its min-max formula: v_i = min_{b>=i} max_{a<=i} level(a, b), level of the block a..b."""
    table = [[level(a, b) for b in range(count)] for a in range(count)]
    return np.array([min(max(table[a][b] for a in range(i + 1)) for b in range(i, count)) for i in range(count)])


def ranks_by_brute_force(scores: np.ndarray, temperature: float, regularization: str) -> np.ndarray:
    order = np.argsort(-scores)
    s, rho = -scores[order] / temperature, np.arange(1.0, len(scores) + 1)
    if regularization == "quadratic":
        sorted_ranks = s - rising_fit(lambda a, b: (s - rho)[a : b + 1].mean() if a <= b else -np.inf, len(s))
    else:
        fit = rising_fit(
            lambda a, b: log_sum(s[a : b + 1]) - np.log(rho[a : b + 1].sum()) if a <= b else -np.inf, len(s)
        )
        sorted_ranks = np.exp(s - fit)
    ranks = np.empty_like(sorted_ranks)
    ranks[order] = sorted_ranks
    return ranks


@pytest.mark.parametrize("regularization", BOTH)
@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.3, 1.0, 10.0])
def test_ranks_are_the_projection(temperature: float, regularization: str) -> None:
    scores = random_scores(4, 9, seed=2)
    for row, found in zip(scores, soft_rank(scores, temperature, regularization), strict=True):
        np.testing.assert_allclose(found, ranks_by_brute_force(row.numpy(), temperature, regularization), atol=1e-9)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_sorted_values_are_the_projection(temperature: float) -> None:
    scores = random_scores(8, seed=3).numpy()
    w, s = np.sort(scores)[::-1], np.arange(8, 0, -1) / temperature
    fit = rising_fit(lambda a, b: (w - s)[a : b + 1].mean() if a <= b else -np.inf, 8)
    np.testing.assert_allclose(soft_sort(torch.from_numpy(scores), temperature), s + fit, atol=1e-9)
    fit = rising_fit(lambda a, b: log_sum(w[a : b + 1]) - log_sum(s[a : b + 1]) if a <= b else -np.inf, 8)
    np.testing.assert_allclose(soft_sort(torch.from_numpy(scores), temperature, "entropic"), s + fit, atol=1e-9)


def test_published_values() -> None:
    """The example of torchsort's README (ascending there)."""
    scores = torch.tensor([[8.0, 0, 5, 3, 2, 1, 6, 7, 9]])
    torch.testing.assert_close(soft_rank(-scores), torch.tensor([[8.0, 1, 5, 4, 3, 2, 6, 7, 9]]))
    expected = torch.arange(9.0).unsqueeze(0) + 0.5556
    torch.testing.assert_close(-soft_sort(-scores), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(-soft_sort(-scores, 0.1), scores.sort().values)


@pytest.mark.parametrize("regularization", BOTH)
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_gradients(temperature: float, regularization: str) -> None:
    scores = random_scores(3, 7).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_rank(x, temperature, regularization), (scores,))
    assert torch.autograd.gradcheck(lambda x: soft_sort(x, temperature, regularization), (scores,))


@pytest.mark.parametrize("regularization", BOTH)
def test_limits(regularization: str) -> None:
    scores = random_scores(2, 6)
    hard = scores.argsort(-1, descending=True).argsort(-1) + 1.0
    torch.testing.assert_close(soft_rank(scores, 1e-6, regularization), hard.double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(soft_rank(scores, 1e6, regularization), torch.full_like(scores, 3.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        soft_sort(scores, 1e-6, regularization), scores.sort(descending=True).values, atol=1e-5, rtol=0
    )
    assert soft_rank(random_scores(1), 0.5, regularization).item() == pytest.approx(1.0)


@pytest.mark.parametrize("regularization", BOTH)
@pytest.mark.parametrize("temperature", [0.01, 0.5, 20.0])
def test_masked_scores_come_last_and_change_nothing(temperature: float, regularization: str) -> None:
    scores = random_scores(2, 6)
    masked = torch.full((2, 9), -torch.inf, dtype=torch.float64)
    masked[0, :6], masked[1, 3:] = scores[0], scores[1]
    masked.requires_grad_()
    ranks, values = soft_rank(masked, temperature, regularization), soft_sort(masked, temperature, regularization)
    torch.testing.assert_close(ranks[1, 3:], soft_rank(scores, temperature, regularization)[1])
    torch.testing.assert_close(ranks[0, 6:], torch.full((3,), 8.0, dtype=torch.float64))
    torch.testing.assert_close(values[:, :6], soft_sort(scores, temperature, regularization))
    assert (values[:, 6:] == -torch.inf).all()
    for output in (ranks, values[:, :6]):
        (gradient,) = torch.autograd.grad((output * random_scores(*output.shape, seed=1)).sum(), masked)
        assert gradient.isfinite().all() and (gradient[masked == -torch.inf] == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 30), st.floats(-4, 2), st.booleans())
def test_both_poolings_find_the_blocks_of_the_fit(
    seed: int, rows: int, columns: int, log_temperature: float, ties: bool
) -> None:
    """Pooling in rounds with equal weights is quadratic pooling in the log domain: blocks by brute force for both."""
    values = random_scores(rows, columns, seed=seed).numpy()
    values = np.sort(values.round(1) if ties else values, 1) / 10**log_temperature - np.arange(columns)
    for bounds, level in (
        (quadratic_fit(values)[1], lambda row, a, b: values[row, a : b + 1].mean()),
        (
            entropic_blocks(values, np.zeros(columns)),
            lambda row, a, b: log_sum(values[row, a : b + 1]) - np.log(b + 1 - a),
        ),
    ):
        starts, ends = bounds[:-1], bounds[1:]
        assert (starts // columns == (ends - 1) // columns).all()  # no block spans rows
        for row in range(rows):
            fit = rising_fit(lambda a, b, row=row, level=level: level(row, a, b) if a <= b else -np.inf, columns)
            mine = [
                (a % columns, b - 1 - a // columns * columns)
                for a, b in zip(starts, ends, strict=True)
                if a // columns == row
            ]
            found = np.concatenate([np.full(b - a + 1, level(row, a, b)) for a, b in mine])
            np.testing.assert_allclose(found, fit, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_types(dtype: torch.dtype) -> None:
    scores = random_scores(2, 9, dtype=dtype).requires_grad_()
    for output in (soft_rank(scores, 0.3), soft_sort(scores, 0.3)):
        assert output.dtype == dtype and output.isfinite().all()
        (gradient,) = torch.autograd.grad(output.square().sum(), scores)
        assert gradient.dtype == dtype and gradient.isfinite().all()


def test_it_ranks_but_cannot_select() -> None:
    operator = FastSoftSort(0.5)
    scores = random_scores(2, 5)
    torch.testing.assert_close(operator.rank(scores), soft_rank(scores, 0.5))
    torch.testing.assert_close(operator.sort(scores), soft_sort(scores, 0.5))
    with pytest.raises(
        ValueError, match=r"FastSoftSort gives no weights over the candidates.*Operators that do:.*SoftTopK"
    ):
        operator.select(scores, 2)
