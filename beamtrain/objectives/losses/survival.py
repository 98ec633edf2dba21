"""How likely a candidate of the search was to stay in the beam: its membership of the K best, by SOFT top-k."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from beamtrain.base.errors import UserError
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.checks import unchecked
from beamtrain.topk.soft import soft_topk


def log_membership(beams: SoftBeams, places: Tensor, temperature: float, rivals: int | None = None) -> Tensor:
    """(B, T, R) the logarithm of each candidate's membership, for R of the M candidates of each position, `places`.

    With c_i the candidates' accumulated scores, unsorted SOFT top-k (`beamtrain.topk.soft`) gives

        m_i = sigmoid((c_i - theta) / temperature),      theta such that sum_j m_j = K

        d log m_i / d c_j  =  (1 - m_i) / temperature  ([i is j] - w_j / sum_l w_l),      w_j = m_j (1 - m_j)

    so a candidate is raised, the less safe it is the more, and those around the K-th place are lowered by as much in
    sum. It is 0 where nothing is chosen: at a position with K candidates or fewer, or once all slots have finished.

    With `rivals` R, theta is that of the R last of the K best and the R next, of which R are chosen. It stays between
    the K-th and the next if those are many temperatures apart, and for R = 1 it is their mean. Fewer prefixes have a
    gradient then.

    The search must have followed hard prefixes: then c_i is the log-probability of one hypothesis' beginning, and the
    gradient goes through no choice.
    """
    K = beams.matrices.size(2)
    there = (beams.candidate_scores != -math.inf).sum(-1, keepdim=True)  # (B, T, 1)
    chosen = (there > K) & beams.open.any(-1, keepdim=True)
    scores = torch.where(chosen, beams.candidate_scores, 0.0)  # (B, T, M)
    with unchecked():  # a look is a wait, and a step that is not finite is skipped as a whole
        threshold = _threshold(scores, K, temperature, rivals)
    return logsigmoid((scores.gather(-1, places) - threshold) / temperature).masked_fill(~chosen, 0.0)


def _threshold(scores: Tensor, K: int, temperature: float, rivals: int | None) -> Tensor:
    """(B, T, 1) between the K best of scores (B, T, M) and the others"""
    chosen = K
    if rivals is not None:
        chosen = min(rivals, K)
        scores = scores.sort(dim=-1, descending=True).values[..., K - chosen : K + rivals]
    return soft_topk(scores, chosen, temperature, sorted=False, candidates=None).thresholds


def check_settings(temperature: float, rivals: int | None) -> None:
    """Raises UserError unless the temperature is positive and finite, and rivals, if any, are 1 or more."""
    if rivals is not None and rivals < 1:
        raise UserError(f"rivals is {rivals}; it must be 1 or more on each side of the last place, or null for all")
    if not 0 < temperature < math.inf:
        raise UserError(f"temperature is {temperature}, but must be positive, in nats; 0.5 is usual")
