"""NeuralSort (Grover, Wang, Zweig and Ermon 2019, eq. 5): a unimodal row-stochastic relaxation of the sorting matrix.

    row r = softmax_i(((n + 1 - 2r) x_i - sum_j |x_i - x_j|) / temperature)

Over the sorted scores, with the gaps d_q = x_(q) - x_(q+1), the logit of the p-th best differs from that of the r-th
by

    -sum of d_q |2q + 1 - 2r| over the q between p and r,

which is how it is computed: O(N log N + kN) instead of O(N^2), nothing cancels, and n has dropped out, so that masked
and pruned candidates change nothing but the normalisation. Rows are independent: column sums can exceed 1.

The stochastic version is Gumbel(NeuralSort(...)): relaxed samples from the Plackett-Luce distribution.
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, split_masked
from beamtrain.topk.checks import check_sizes, check_unmasked
from beamtrain.topk.transforms import in_full_precision


def neural_topk(scores: Tensor, k: int, temperature: float = 0.1) -> Tensor:
    """The first k rows (..., k, N) of neural_sort(scores)."""
    return NeuralSort(temperature, None).select(scores, k).weights


@in_full_precision
def neural_sort(scores: Tensor, temperature: float = 0.1) -> Tensor:
    """The relaxed permutation matrix (..., N, N) that sorts scores (..., N), best first; none may be masked."""
    check_sizes(scores, temperature)
    check_unmasked(scores)
    return neural_topk(scores, scores.shape[-1], temperature)


class NeuralSort(Operator):
    """NeuralSort as an operator of the family."""

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        order = scores.argsort(-1, descending=True)  # (..., M)
        best, masked = split_masked(scores.gather(-1, order).double())
        place = torch.arange(1, best.shape[-1] + 1, device=best.device, dtype=best.dtype)  # q = 1..M
        gaps = (best[..., :-1] - best[..., 1:]).masked_fill(masked[..., 1:], 0.0)  # d_q, q = 1..M-1
        plain = torch.nn.functional.pad(gaps.cumsum(-1), (1, 0))  # (..., M): sum_{q<p} d_q
        moment = torch.nn.functional.pad((gaps * place[:-1]).cumsum(-1), (1, 0))  # sum_{q<p} q d_q
        rank = place[:k].unsqueeze(-1)  # (k, 1)
        first = 2 * (moment.unsqueeze(-2) - moment[..., :k].unsqueeze(-1))  # (..., k, M)
        logits = -(first + (1 - 2 * rank) * (plain.unsqueeze(-2) - plain[..., :k].unsqueeze(-1)))
        rows = (logits / self.temperature).masked_fill(masked.unsqueeze(-2), -torch.inf).softmax(-1)
        back = order.argsort(-1).unsqueeze(-2).expand(rows.shape)  # from places to candidates
        return rows.gather(-1, back).to(scores.dtype)
