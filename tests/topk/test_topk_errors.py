"""Every refusal of the family, with its message."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from topk_family import FAMILY, SELECTORS, random_scores, select

from beamtrain.topk import (
    FastSoftSort,
    Gumbel,
    Hard,
    Perturbed,
    SinkhornSort,
    SoftTopK,
    StraightThrough,
    gumbel_softmax,
    neural_sort,
    plackett_luce_sample,
    reparameterised,
    sinkhorn_quantile,
    sinkhorn_rank,
    sinkhorn_sort,
    sinkhorn_topk,
    soft_rank,
    soft_sort,
    soft_topk,
    unchecked,
)

FUNCTIONS = {
    "soft_topk": lambda x: soft_topk(x, 1),
    "soft_topk of all": lambda x: soft_topk(x, 1, candidates=None),
    "soft_rank": soft_rank,
    "soft_sort": soft_sort,
    "sinkhorn_rank": sinkhorn_rank,
    "sinkhorn_sort": sinkhorn_sort,
    "sinkhorn_quantile": lambda x: sinkhorn_quantile(x, 0.5),
    "plackett_luce_sample": lambda x: plackett_luce_sample(x, 2, torch.Generator()),
    "sinkhorn_topk": lambda x: sinkhorn_topk(x, 1),
    "gumbel_softmax": lambda x: gumbel_softmax(x, 1.0, torch.Generator()),
    **{name: lambda x, name=name: select(name, x, 1) for name in SELECTORS},
}


WITHOUT_K = {
    "soft_rank",
    "soft_sort",
    "sinkhorn_rank",
    "sinkhorn_sort",
    "sinkhorn_quantile",
    "gumbel_softmax",
    "plackett_luce_sample",
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.nan, "scores contain NaN; only finite"), (torch.inf, r"scores contain \+inf; only finite")],
)
def test_nan_and_infinity(name: str, value: float, message: str) -> None:
    scores = random_scores(2, 5)
    scores[1, 2] = value
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[name](scores)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_nothing_but_masked(name: str) -> None:
    scores = random_scores(2, 5)
    scores[1] = -torch.inf
    message = "k = 1 needs at least 1 finite scores in each row"
    if name in WITHOUT_K:
        message = r"each row of scores needs at least one finite score; a row has none \(-inf is masked\)"
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[name](scores)


def test_what_has_no_k_names_none() -> None:
    generator = torch.Generator().manual_seed(0)
    masked, nothing = torch.tensor([0.0, -torch.inf, 1.0]), torch.zeros(2, 0)
    with pytest.raises(ValueError, match=r"scores contain -inf \(masked\), but each of them gets a row here"):
        neural_sort(masked)
    with pytest.raises(ValueError, match=r"scores contain -inf \(masked\), but each of them gets a row here"):
        reparameterised(lambda p: p[..., 0, 0], masked, 0.1, 4, generator)
    for call in (soft_rank, soft_sort, sinkhorn_rank, neural_sort):
        with pytest.raises(ValueError, match=r"a last dimension of at least one candidate, got \(2, 0\)"):
            call(nothing)


@pytest.mark.parametrize("name", sorted(SELECTORS))
@pytest.mark.parametrize("candidates", [None, 4])
def test_fewer_than_k_finite(name: str, candidates: int | None) -> None:
    scores = random_scores(2, 5)
    scores[1, :3] = -torch.inf
    with pytest.raises(ValueError, match="k = 3 needs at least 3 finite scores in each row; a row has fewer"):
        select(name, scores, 3, candidates=candidates)


@pytest.mark.parametrize("name", sorted(SELECTORS))
@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_out_of_range(name: str, k: int) -> None:
    with pytest.raises(ValueError, match=f"k must lie between 1 and the number of candidates 5, got {k}"):
        select(name, random_scores(2, 5), k)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_temperature(temperature: float) -> None:
    message = f"temperature must be positive and finite .* got {temperature}"
    for call in (
        lambda: soft_topk(random_scores(5), 2, temperature),
        lambda: soft_rank(random_scores(5), temperature),
        lambda: SoftTopK(temperature),
        lambda: sinkhorn_topk(random_scores(5), 2, temperature),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_candidates_and_types() -> None:
    with pytest.raises(ValueError, match=r"candidates must be None \(all\) or at least k = 3, got 2"):
        soft_topk(random_scores(5), 3, candidates=2)
    with pytest.raises(ValueError, match=r"candidates must be None \(all\) or at least 1, got 0"):
        SoftTopK(candidates=0)
    with pytest.raises(ValueError, match=r"scores must be floating point, got torch.int64"):
        soft_topk(torch.arange(5), 3)
    with pytest.raises(ValueError, match=r"scores must be a torch.Tensor, got list"):
        soft_topk([0.0, 1.0], 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a last dimension of at least one candidate, got \(3, 0\)"):
        soft_topk(torch.zeros(3, 0), 1)


def test_settings_of_single_operators() -> None:
    scores = random_scores(5)
    with pytest.raises(ValueError, match='regularization must be "quadratic" or "entropic", got \'l2\''):
        soft_rank(scores, 1.0, "l2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        sinkhorn_topk(scores, 2, iterations=0)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        SinkhornSort(iterations=0)
    for function in (sinkhorn_rank, sinkhorn_sort, lambda x, **named: sinkhorn_quantile(x, 0.5, **named)):
        with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
            function(scores, iterations=0)
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        plackett_luce_sample(scores, 0, torch.Generator())
    with pytest.raises(ValueError, match=r'domain must be "log" or "plain".* got linear, kkt'):
        sinkhorn_topk(scores, 2, domain="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"samples must be at least 2 \(the gradient compares draws\), got 1"):
        Perturbed(samples=1)
    with pytest.raises(ValueError, match=r'plain Sinkhorn overflowed.*use domain="log"'):
        sinkhorn_topk(torch.tensor([0.0, 30.0, 60.0, 90.0]), 3, 0.01, domain="plain")


def test_drawing_needs_a_generator() -> None:
    for operator in (Gumbel(SoftTopK()), Perturbed()):
        with pytest.raises(ValueError, match=r"draws noise: pass generator=torch.Generator"):
            operator.select(random_scores(2, 5), 2)


def test_operators_that_are_told_instead_give_all_that_is_needed() -> None:
    for operator in (FastSoftSort(), Hard()):
        with pytest.raises(ValueError, match="Operators that do: Gumbel, LapSum") as told:
            operator.require("order", "gradient", purpose="a search")
        names = str(told.value).partition("that do: ")[2].split(", ")
        assert {"SoftTopK", "StraightThrough"} <= set(names)
        assert not {"FastSoftSort", "Hard", "Wrapper"} & set(names)


def test_what_an_operator_cannot_give() -> None:
    with pytest.raises(ValueError, match="SoftTopK gives no one row of weights for each rank, which a beam needs"):
        SoftTopK(sorted=False).require("weights", "order", purpose="a beam")
    with pytest.raises(
        ValueError, match=r"SoftTopK gives no soft ranks.*Operators that do: FastSoftSort, SinkhornSort"
    ):
        SoftTopK().rank(random_scores(5))
    with pytest.raises(ValueError, match="SoftTopK gives no softly sorted values"):
        SoftTopK().sort(random_scores(5))
    with pytest.raises(
        ValueError, match="FastSoftSort gives no weights over the candidates, which StraightThrough needs"
    ):
        StraightThrough(FastSoftSort())
    with pytest.raises(ValueError, match="FastSoftSort gives no weights over the candidates, which Gumbel needs"):
        Gumbel(FastSoftSort())
    with pytest.raises(ValueError, match=r"wrap the other way round: Gumbel\(StraightThrough\(operator\)\)"):
        StraightThrough(Gumbel(SoftTopK()))
    with pytest.raises(ValueError, match=r"would add the noise twice.*wrap the operator once: Gumbel\(operator\)"):
        Gumbel(Gumbel(SoftTopK()))


WRONG = torch.tensor([0.0, torch.nan, 1.0])


def looks() -> bool:
    try:
        soft_topk(WRONG, 1)
    except ValueError:
        return True
    return False


def test_unchecked_looks_at_no_value() -> None:
    with unchecked():
        assert soft_topk(WRONG, 1).weights.isnan().any()
        assert not sinkhorn_topk(torch.tensor([0.0, 30.0, 60.0, 90.0]), 3, 0.01, domain="plain").isfinite().all()
    with pytest.raises(ValueError, match="NaN"):
        soft_topk(WRONG, 1)


def test_unchecked_survives_interleaved_exits() -> None:
    """As where two generators or two objects hold one each."""
    first, second = unchecked(), unchecked()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not looks()
    second.__exit__(None, None, None)
    assert looks()


def test_unchecked_holds_for_its_thread_and_task_only() -> None:
    with ThreadPoolExecutor(1) as other, unchecked():
        assert other.submit(looks).result() and not looks()

    async def inside(entered: asyncio.Event, left: asyncio.Event) -> bool:
        with unchecked():
            entered.set()
            await left.wait()
            return looks()

    async def both() -> tuple[bool, bool]:
        entered, left = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(inside(entered, left))
        await entered.wait()
        outside = looks()
        left.set()
        return outside, await task

    assert asyncio.run(both()) == (True, False)
    assert looks()


def test_threads_give_the_same_results() -> None:
    scores = [random_scores(4, 9, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for name in ("soft of the best", "lapsum", "soft_rank", "sinkhorn", "gumbel softsort"):
            found = list(pool.map(FAMILY[name], scores))
            assert all(torch.equal(each, FAMILY[name](row)) for each, row in zip(found, scores, strict=True))


def test_wrappers_share_the_temperature() -> None:
    inner = SoftTopK(0.5)
    outer = Gumbel(StraightThrough(inner))
    outer.temperature = 0.25
    assert inner.temperature == outer.temperature == 0.25
    assert str(outer) == "Gumbel(StraightThrough(SoftTopK))"
