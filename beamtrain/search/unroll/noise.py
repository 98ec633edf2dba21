"""A search that chooses at random: Gumbel noise on what it compares."""

import math

import torch
from torch import Tensor

from beamtrain.search.step import Candidates
from beamtrain.topk.gumbel import gumbel_noise


def perturbed(found: Candidates, scale: float, over: Tensor, generator: torch.Generator) -> Candidates:
    """The candidates in the order of their scores plus `scale` times standard Gumbel noise, which they keep.

    With scale 1 and one slot, that is sampling from the network (the Gumbel-max trick); with more slots the beam is
    drawn without replacement from the candidates of each position, anew at each (Kool et al. 2019 draw whole sentences
    so, with noise that is conditioned on its past). The scores themselves stay as they are.

    Args:
        over: (B,) sentences whose slots have all finished; they keep their order.
    """
    there = found.scores != -math.inf
    noise = (scale * gumbel_noise(found.scores, generator)).masked_fill(~there | over.unsqueeze(1), 0.0)
    keys = torch.where(over.unsqueeze(1), -found.parents.to(noise.dtype), found.scores + noise)
    order = keys.masked_fill(~there, -math.inf).sort(dim=1, descending=True, stable=True).indices
    return Candidates(found.scores, found.log_probs, found.parents, found.tokens, noise).ordered(order)
