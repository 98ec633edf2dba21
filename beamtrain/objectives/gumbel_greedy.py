"""Greedy decoding with Gumbel noise whose tokens pass a gradient on to the reward."""

import math

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.mixture import Mixture
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.ngram_counts import is_word, shared_counts
from beamtrain.objectives.rewards.ngram_reward import differentiable
from beamtrain.search.unroll.log_probs import next_log_probs
from beamtrain.topk.gumbel import gumbel_noise


class GumbelGreedy(Mixture):
    """(1 - weight) * teacher forcing + weight * the mean over sentences of 1 - R(y), of one hypothesis y each:

        z_t = softmax((log p(. | y_1 ... y_(t-1)) + Gumbel noise) / temperature)
        y_t = one-hot of the greatest entry, with the gradient of z_t

    (Gu et al. 2018, "Neural Machine Translation with Gumbel-Greedy Decoding"; the tokens are Jang et al. 2017's
    straight-through Gumbel-softmax.) y is an exact sample, so the loss has no bias; the straight-through gradient has
    one, and more variance the lower the temperature. It goes on through y_t's embedding to all later positions. The
    reward counts the n-grams of y that stand before its end: its gradient reaches y_t's EOS by what the end cuts off at
    that position, not by what might have followed.

    Logged: `gumbel_loss`; `reward`, R(y); and what every `Mixture` logs.

    Args:
        reward: R, one of n-grams; GLEU of n-grams up to 4 by default.
        temperature: of z, in nats.
        weight, start_step, label_smoothing, margin, dropout, max_gradient_norm: as in `BeamTraining`.

    Raises:
        UserError: a value out of its range, or a reward without a gradient.
    """

    name = "gumbel"

    def __init__(
        self,
        reward: Reward | None = None,
        temperature: float = 1.0,
        weight: float = 0.9,
        start_step: int = 0,
        label_smoothing: float = 0.1,
        margin: int = 4,
        dropout: bool = False,
        max_gradient_norm: float = 0.5,
    ) -> None:
        super().__init__(weight, start_step, label_smoothing, margin, dropout, max_gradient_norm)
        if not 0 < temperature < math.inf:
            raise UserError(f"temperature is {temperature}, but must be positive and finite; 1 is usual")
        self.reward, self.temperature = differentiable(reward or Gleu(), type(self).__name__), temperature

    def part(self, network: Seq2Seq, batch: Batch, step: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        limits, reference = self.limits(network, batch), batch.target_out
        memory = network.encode_counted(batch.source, batch.source_lengths)
        state = network.start_soft(memory, 1)
        forbidden = torch.tensor([PAD, BOS], device=reference.device)
        table = network.embed(torch.arange(network.vocab_size, device=reference.device))  # (V, D)
        inputs = table[BOS].expand(len(batch), 1, -1)  # (B, 1, D)
        going = torch.ones(len(batch), 1, device=reference.device)  # (B, 1) whether y has not ended yet
        present: list[Tensor] = []  # (B, 1, U) what y has of each reference token at a position
        length = torch.zeros_like(going)
        for position in range(1, limits.most + 1):
            log_probs = next_log_probs(network, network.step(inputs, state), forbidden)  # (B, 1, V)
            token = self._straight_through(log_probs + gumbel_noise(log_probs))
            if position == 1 and network.first_token is not None:
                token = torch.zeros_like(token).index_fill_(2, reference.new_tensor([network.first_token]), 1.0)
            words = going * (1 - token[..., EOS])  # (B, 1)
            taken = token.gather(2, reference.unsqueeze(1)) * is_word(reference).unsqueeze(1)  # (B, 1, U)
            open_until = going * (position < limits.each).unsqueeze(1)  # at its limit y can only end
            present.append(open_until.unsqueeze(2) * taken)
            length = length + words * (position < limits.each).unsqueeze(1)
            going = torch.where((words > 0.5) & (position < limits.each).unsqueeze(1), words, 0.0)
            inputs = token.to(table.dtype) @ table
            if not bool(going.any()):
                break
        counts = shared_counts(torch.stack(present, dim=2), length, reference, self.reward.order)
        rewards: Tensor = self.reward(counts)  # (B, 1)
        mean = (1 - rewards).mean()
        return mean, {"gumbel_loss": mean.detach(), "reward": rewards.detach().mean()}

    def _straight_through(self, scores: Tensor) -> Tensor:
        """(B, 1, V) -> the same"""
        soft = (scores / self.temperature).softmax(-1)
        hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
        return hard + (soft - soft.detach())
