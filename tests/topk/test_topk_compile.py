"""The family under torch.compile: one graph with the same numbers and gradients, or a break, as documented."""

from collections.abc import Callable

import pytest
import torch
from topk_family import SELECTORS, random_scores

from beamtrain.topk import Gumbel, SinkhornTopK, SoftTopK, soft_rank, soft_topk, unchecked

QUICK = ["softsort", "lapsum set", "hard"]
OTHERS = sorted(name for name, maker in SELECTORS.items() if not maker(1.0, None).draws and name not in QUICK)


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def outputs_and_gradient(function: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor) -> list[torch.Tensor]:
    scores = scores.clone().requires_grad_()
    output = function(scores)
    if not output.requires_grad:
        return [output]
    gain = random_scores(*output.shape, seed=4, dtype=output.dtype)
    return [output.detach(), *torch.autograd.grad((output * gain).sum(), scores)]


def assert_same_compiled(function: Callable[[torch.Tensor], torch.Tensor], backend: str, fullgraph: bool) -> None:
    scores = random_scores(2, 20, dtype=torch.float32)
    compiled = torch.compile(function, backend=backend, fullgraph=fullgraph)
    pairs = zip(outputs_and_gradient(compiled, scores), outputs_and_gradient(function, scores), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", QUICK + [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS])
def test_compiles_as_one_graph(name: str) -> None:
    operator = SELECTORS[name](0.3, 8)
    if isinstance(operator, SinkhornTopK):
        operator.iterations = 20  # every one of them is traced
    assert_same_compiled(lambda scores: operator.select(scores, 3).weights, "aot_eager", fullgraph=True)


def test_soft_topk_compiles_as_one_graph() -> None:
    def weights(scores: torch.Tensor) -> torch.Tensor:
        with unchecked():  # a word that compiled code need not hear
            return soft_topk(scores, 2, 0.3, candidates=6).weights

    assert_same_compiled(weights, "aot_eager", fullgraph=True)


@pytest.mark.slow
def test_soft_topk_compiles_to_native_code() -> None:
    assert_same_compiled(lambda scores: soft_topk(scores, 2, 0.3, candidates=6).weights, "inductor", fullgraph=True)


def test_soft_rank_breaks_the_graph() -> None:
    """It leaves PyTorch for NumPy: correct within compiled code, but not as part of one graph."""
    assert_same_compiled(lambda scores: soft_rank(2 * scores, 0.3) + 1, "aot_eager", fullgraph=False)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(soft_rank, backend="aot_eager", fullgraph=True)(random_scores(2, 5))


def test_compiled_code_looks_at_no_value() -> None:
    compiled = torch.compile(lambda scores: soft_topk(scores, 1).weights, backend="aot_eager", fullgraph=True)
    assert compiled(torch.tensor([[0.0, torch.nan, 1.0]])).isnan().any()


def test_drawing_is_left_out_of_the_graph() -> None:
    """A generator cannot enter a compiled graph: the call breaks it, and draws what it draws outside."""
    operator = Gumbel(SoftTopK(0.3, 6))
    scores = random_scores(2, 9)
    compiled = torch.compile(lambda x, generator: operator.select(2 * x, 2, generator).weights, backend="aot_eager")
    expected = operator.select(2 * scores, 2, torch.Generator().manual_seed(3)).weights
    torch.testing.assert_close(compiled(scores, torch.Generator().manual_seed(3)), expected)
