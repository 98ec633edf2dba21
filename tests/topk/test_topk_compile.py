"""The family under torch.compile: what compiles gives the same numbers, and what breaks the graph says so."""

import pytest
import torch
from topk_family import DRAWING, SELECTORS, random_scores

WHOLE = sorted(set(SELECTORS) - DRAWING)


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def outputs_and_gradient(function, scores: torch.Tensor) -> list[torch.Tensor]:
    scores = scores.clone().requires_grad_()
    weights = function(scores)
    if not weights.requires_grad:
        return [weights]
    gain = random_scores(*weights.shape, seed=4, dtype=weights.dtype)
    return [weights.detach(), *torch.autograd.grad((weights * gain).sum(), scores)]


@pytest.mark.parametrize("name", WHOLE)
def test_compiles_as_one_graph(name: str) -> None:
    operator = SELECTORS[name](0.3, 8)

    def run(scores: torch.Tensor) -> torch.Tensor:
        return operator.select(scores, 3).weights

    scores = random_scores(2, 20, dtype=torch.float32)
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    for found, expected in zip(outputs_and_gradient(compiled, scores), outputs_and_gradient(run, scores), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
