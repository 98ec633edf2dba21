"""REINFORCE whose baseline is the network's own greedy output: samples that beat it gain probability."""

from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives import samples
from beamtrain.objectives.mixture import Mixture
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu


class SelfCritical(Mixture):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of

        -(1/N) sum_i (R(y_i) - R(y*)) log q(y_i)

    over N samples y from the network's distribution q, with y* its greedy output (Rennie et al. 2017, "Self-Critical
    Sequence Training for Image Captioning", equation 8; mixed with likelihood as in Ranzato et al. 2016 and Wu et al.
    2018). Its mean over draws is the gradient of the expected 1 - R, since y* does not depend on the draws. The value
    that is shown is 1 - the mean reward of the samples. Rennie et al. take one sample.

    Logged: `sampled_loss`; `reward`, the mean over samples; `greedy_reward`, that of y*; and what every `Mixture` logs.

    Args:
        reward: R of a hypothesis, a number being enough; GLEU of n-grams up to 4 by default.
        samples: N.
        weight, start_step, label_smoothing, margin, dropout, max_gradient_norm: as in `BeamTraining`.

    Raises:
        UserError: a value out of its range.
    """

    name = "sampled"

    def __init__(
        self,
        reward: Reward | None = None,
        samples: int = 4,
        weight: float = 0.9,
        start_step: int = 0,
        label_smoothing: float = 0.1,
        margin: int = 4,
        dropout: bool = False,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__(weight, start_step, label_smoothing, margin, dropout, max_gradient_norm)
        if samples < 1:
            raise UserError(f"samples is {samples}, but must be 1 or more")
        self.reward, self.samples = reward or Gleu(), samples

    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        limits = self.limits(network, batch)
        memory = network.encode_counted(batch.source, batch.source_lengths)
        drawn = samples.draw(network, memory, limits, self.samples)  # (B, N, T)
        rewards = self.reward.of(drawn, batch)  # (B, N)
        baseline = self.reward.of(samples.greedy(network, memory, limits), batch)  # (B, 1)
        log_probs = samples.log_probs(network, memory, drawn, limits)  # (B, N)
        credit = -((rewards - baseline) * log_probs).mean()
        mean = 1 - rewards.mean() + credit - credit.detach()
        return mean, {"sampled_loss": mean.detach(), "reward": rewards.mean(), "greedy_reward": baseline.mean()}
