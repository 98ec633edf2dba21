"""Mixed embeddings that are moved to the nearest token's, as vector quantisation does (van den Oord et al. 2017)."""

import torch
from torch import Tensor

from beamtrain.model.base import Seq2Seq
from beamtrain.topk.transforms import product


class Snapping:
    """What the decoder reads is the table's row nearest to the mixture x, forward; backward it is the mixture
    (straight-through): x + sg(E[v] - x), v = argmin_w |x - E[w]|, sg that stops the gradient.

    The commitment is the mean of |x - sg(E[v])|^2 over the slots and positions that went on, by how much they did. It
    draws the choices to where a mixture is a token; the table has no part in it. The paper's other term, which draws
    the table to the mixtures, has no place here: the table is trained by what is said with it.
    """

    def __init__(self, network: Seq2Seq, device: torch.device) -> None:
        with torch.no_grad():
            self._table = network.embed(torch.arange(network.vocab_size, device=device))  # (V, D)
        self._squares = self._table.square().sum(1)  # (V,)
        self._distances: list[Tensor] = []  # T times (B, K)
        self._going: list[Tensor] = []

    def __call__(self, mixed: Tensor, A: Tensor, tokens: Tensor, finished: Tensor) -> Tensor:
        """(B, K, D) the snapped mixtures.

        Args:
            mixed: (B, K, D)
            A: (B, K, M) by which they are mixed, with its gradient, of the tokens (B, M).
            finished: (B, K) how much of each slot has ended.
        """
        table = self._table.to(A.dtype)  # whose precision autocast leaves alone
        with torch.no_grad():
            nearest = table[(self._squares - 2 * product(mixed.to(A.dtype), table.t())).argmin(-1)]  # (B, K, D)
        self._distances.append((product(A, table[tokens]) - nearest).square().sum(-1))
        self._going.append(1 - finished.detach())
        return mixed + (nearest.to(mixed.dtype) - mixed).detach()

    def commitment(self) -> Tensor:
        """(B,)"""
        distances, going = torch.stack(self._distances, dim=1), torch.stack(self._going, dim=1)  # (B, T, K)
        return (distances * going).sum((1, 2)) / going.sum((1, 2)).clamp(min=1e-6)
