"""Optimal transport between the vectors of the tokens that the search says and those of the reference."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.base import BeamLoss, order_weights
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.sinkhorn_iteration import scalings
from beamtrain.topk.transforms import product

_SHORTEST = 1e-6  # a vector's 2-norm, where it is divided by it


class OptimalTransport(BeamLoss):
    """sum_r w_r W_r over the K final beams, w as in `order_weights`, and for each of them

        W = min_P  sum_tu P_tu C_tu + temperature KL(P | a b')
        C_tu = 1 - cos(x_t, e(y_u)) + position |(t - 1/2) / n - (u - 1/2) / U|

    over the plans P that carry the beam's n tokens, of mass a_t = 1 / n each, to the U of the reference, of mass
    b_u = 1 / U, EOS included. x_t = sum_m A_tm e(m) is what the beam has at position t, mixed from the token vectors e
    of the network's table.

    Chen et al. 2019 ("Improving Sequence-to-Sequence Learning via Optimal Transport", section 3), who use it beside
    likelihood on greedily decoded soft tokens. Deviations: the transport is entropic, by the Sinkhorn iteration of
    `beamtrain.topk`, not proximal; its gradient is that of the optimum, with P held (envelope theorem), hence exact
    where the iteration has converged; the table of vectors is held too, or it would shrink the distances by making all
    tokens alike; and `position` is an addition, since without it the order of words does not matter.

    Args:
        temperature: of the plan, in units of the cost.
        position: the cost of carrying a token from the beginning of a sentence to the end of the other.
        iterations: of Sinkhorn's algorithm.
        sharpness: temperature of w, in units of the normalised score (nats).

    Raises:
        UserError: a value out of its range.
    """

    reads_vectors = compares_beams = reads_choices = takes_gold_prefixes = True

    def __init__(
        self, temperature: float = 0.1, position: float = 0.0, iterations: int = 50, sharpness: float = 0.3
    ) -> None:
        super().__init__()
        for name, value in (("temperature", temperature), ("sharpness", sharpness)):
            if not 0 < value < math.inf:
                raise UserError(f"{name} is {value}, but must be positive and finite")
        if not 0 <= position < math.inf:
            raise UserError(f"position is {position}, but must be 0 or more, in units of the cosine distance")
        if iterations < 1:
            raise UserError(f"iterations is {iterations}; Sinkhorn's algorithm needs at least 1, and 50 are usual")
        self.temperature, self.position, self.iterations, self.sharpness = temperature, position, iterations, sharpness

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        assert beams.vectors is not None and beams.reference_vectors is not None
        real = (batch.target_out != PAD).to(beams.weights.dtype)  # (B, U)
        ended = (beams.weights * (beams.tokens == PAD).unsqueeze(2)).sum(-1)  # (B, T, K, M) -> (B, T, K)
        missing = (beams.scores == -math.inf).unsqueeze(2)  # (B, K, 1)
        masses = (1 - ended).clamp(min=0).transpose(1, 2).masked_fill(missing, 1.0)  # (B, K, T)
        of_reference = real.unsqueeze(1)  # (B, 1, U)
        said, wanted = beams.vectors.transpose(1, 2), beams.reference_vectors.unsqueeze(1)  # (B, K, T, D), (B, 1, U, D)
        cosines = product(normalize(said, dim=-1, eps=_SHORTEST), normalize(wanted, dim=-1, eps=_SHORTEST).mT)
        cost = 1 - cosines + self.position * _apart(masses.detach(), of_reference)  # (B, K, T, U)
        value = entropic_transport(
            cost, _normalised(masses), _normalised(of_reference), self.temperature, self.iterations
        )
        return (order_weights(beams, self.sharpness) * value.masked_fill(missing.squeeze(2), 0.0)).sum(1)


def entropic_transport(cost: Tensor, rows: Tensor, columns: Tensor, temperature: float, iterations: int) -> Tensor:
    """(...) min_P <P, cost> + temperature KL(P | rows columns'), with the gradient of the optimum.

    The dual with the columns' potentials g that the iteration has found, which at the optimum do not count,

        W = sum_i rows_i softmin_j(cost_ij - g_j) + sum_j columns_j g_j,
        softmin_j(z_j) = -temperature log sum_j columns_j exp(-z_j / temperature)

    Args:
        cost: (..., N, R)
        rows: (..., N) masses that add up to 1, some of them 0.
        columns: the same (..., R).
    """
    affinity, log_columns = -cost / temperature, columns.log()
    with torch.no_grad():
        shape = cost.shape
        log_rows = rows.log().expand(shape[:-1])
        fitted = scalings(affinity, log_rows, log_columns.expand(*shape[:-2], shape[-1]), iterations)[1]  # (..., 1, R)
        potentials = (fitted.squeeze(-2) - log_columns).masked_fill(columns == 0, 0.0)  # (..., R)
    weighted = affinity + (potentials + log_columns).unsqueeze(-2)
    return temperature * ((columns * potentials).sum(-1) - (rows * weighted.logsumexp(-1)).sum(-1))


def _normalised(masses: Tensor) -> Tensor:
    return masses / masses.sum(-1, keepdim=True)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """(..., T, U) how far apart the tokens lie in the two sentences, whose positions have masses (..., T), (..., U)"""
    places = [(each.cumsum(-1) - each / 2) / each.sum(-1, keepdim=True) for each in (one, other)]
    return (places[0].unsqueeze(-1) - places[1].unsqueeze(-2)).abs()
