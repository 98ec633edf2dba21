"""Minimum risk over samples: good ones gain probability at the expense of the others."""

import math

from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives import samples
from beamtrain.objectives.mixture import Mixture
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu


class SampledRisk(Mixture):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of

        sum_i q_i (1 - R(y_i)),    q_i = p(y_i)^alpha / sum_j p(y_j)^alpha

    over the distinct ones of N samples y from the network (Shen et al. 2016, "Minimum Risk Training for Neural Machine
    Translation", equations 9 to 11; against other such losses in Edunov et al. 2018). Over the beam instead it is the
    loss `MinimumRisk` of `BeamTraining`.

    Since q is renormalised over what was drawn, the gradient is not that of the expected risk under p^alpha: its bias
    falls with the probability that N samples leave out, and is gone where they leave out nothing. `SelfCritical` has
    no bias, and more variance. Our deviations: the reference is not put among the samples; p is the sampler's own
    probability, which leaves out PAD and BOS and ends for certain at the limit.

    Logged: `sampled_loss`; `reward`, the mean over samples; `distinct`, the share of samples that are no copies; and
    what every `Mixture` logs.

    Args:
        reward: R of a hypothesis, a number being enough; GLEU of n-grams up to 4 by default.
        samples: N, 2 or more.
        alpha: how sharply q follows p. Sentences of 20 tokens differ by several nats, so 1 gives nearly all to one.
        weight, start_step, label_smoothing, margin, dropout, max_gradient_norm: as in `BeamTraining`.

    Raises:
        UserError: a value out of its range.
    """

    name = "sampled"

    def __init__(
        self,
        reward: Reward | None = None,
        samples: int = 8,
        alpha: float = 0.1,
        weight: float = 0.9,
        start_step: int = 0,
        label_smoothing: float = 0.1,
        margin: int = 4,
        dropout: bool = False,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__(weight, start_step, label_smoothing, margin, dropout, max_gradient_norm)
        if samples < 2:
            raise UserError(
                f"samples is {samples}, but must be 2 or more: one hypothesis has nothing to be better than"
            )
        if not 0 < alpha < math.inf:
            raise UserError(f"alpha is {alpha}, but must be positive; 0.1 is usual")
        self.reward, self.samples, self.alpha = reward or Gleu(), samples, alpha

    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        limits = self.limits(network, batch)
        memory = network.encode_counted(batch.source, batch.source_lengths)
        drawn = samples.draw(network, memory, limits, self.samples)  # (B, N, T)
        rewards, distinct = self.reward.of(drawn, batch), samples.first_of_each(drawn)  # (B, N)
        scores = self.alpha * samples.log_probs(network, memory, drawn, limits)
        weights = scores.masked_fill(~distinct, -math.inf).softmax(-1)
        mean = (weights * (1 - rewards)).sum(-1).mean()
        figures = {"sampled_loss": mean.detach(), "reward": rewards.mean(), "distinct": distinct.float().mean()}
        return mean, figures
