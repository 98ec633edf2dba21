"""Soft survival: a good hypothesis must stay in the beam at every step."""

import math
from typing import Literal

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.survival import check_settings, log_membership
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.soft_beams import SoftBeams


class SoftSurvival(BeamLoss):
    """-sum_t log m_t(y*), with m_t(y*) the membership of y*'s beginning in the K best of position t; see
    `survival.log_membership`.

    Ours: a smooth form of beam search optimisation (Wiseman and Rush 2016, see GoldMargin). Their violation
    max(0, margin + c_(K) - c*) becomes log(1 + exp((theta - c*) / temperature)), where the threshold theta of SOFT
    top-k (Xie et al. 2020) stands for the K-th score c_(K) and moves with all that compete. Candidates are compared by
    accumulated score, as in the search, and the prefixes are those of a hard search: no gradient recurs through
    choices, and all positions are differentiated together.

    Args:
        target: y*. "best": that of the final beams whose reward is the highest, of equals the one that the search ranks
            first; it says only what the network would say. "reference": the gold sentence, which is put among the
            candidates where the search has not found it.
        after_fall: what follows the first position at which the reference falls out of the beam. "stop": nothing (early
            update, Collins and Roark 2004). "put_back": it takes the last slot of the beam there, and the search and
            the sum go on with it (LaSO, Daume and Marcu 2005); all losses of a WeightedSum see that search.
        temperature: of the membership, in nats of accumulated log-probability.
        rivals: how many candidates on either side of the K-th place set the threshold; null for all.
        reward: by which "best" is best, counted; GLEU of n-grams up to 4 by default.

    Raises:
        UserError: another target or after_fall, "put_back" for a target that never falls out, a temperature that is
            not positive, or rivals below 1.
    """

    reads_hard_prefixes = True

    def __init__(
        self,
        target: Literal["best", "reference"] = "best",
        after_fall: Literal["stop", "put_back"] = "stop",
        temperature: float = 0.5,
        rivals: int | None = None,
        reward: Reward | None = None,
    ) -> None:
        super().__init__()
        if target not in ("best", "reference"):
            raise UserError(f"target is {target!r}; it must be best or reference")
        if after_fall not in ("stop", "put_back"):
            raise UserError(f"after_fall is {after_fall!r}; it must be stop or put_back")
        if target == "best" and after_fall == "put_back":
            raise UserError("after_fall is put_back, but the best of the final beams never falls; leave it at stop")
        check_settings(temperature, rivals)
        self.target, self.temperature, self.rivals, self.reward = target, temperature, rivals, reward or Gleu()
        self.compares_beams = target == "best"
        self.follows_reference, self.keeps_reference = target == "reference", after_fall == "put_back"

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        if self.target == "best":
            places = self._best(beams, batch)  # (B, T)
            return -log_membership(beams, places.unsqueeze(2), self.temperature, self.rivals).sum((1, 2))
        assert beams.followed is not None
        M = beams.matrices.size(3)
        among = beams.followed < M  # (B, T): one of the candidates; a fallen one is not, after its fall
        places = beams.followed.clamp(max=M - 1)
        log_m = log_membership(beams, places.unsqueeze(2), self.temperature, self.rivals).squeeze(2)
        return -log_m.masked_fill(~among, 0.0).sum(1)

    def _best(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B, T) which candidate the final beam of the highest reward is."""
        with torch.no_grad():
            rewards = self.reward.hard(beams, batch).masked_fill(beams.scores == -math.inf, -math.inf)  # (B, K)
        beaten = rewards < rewards.amax(1, keepdim=True)
        best = beams.scores.masked_fill(beaten, -math.inf).argmax(1)  # (B,)
        best = best[:, None, None].expand(-1, beams.weights.size(1), 1)  # (B, T, 1)
        return beams.weights.argmax(-1).gather(2, best).squeeze(2)
