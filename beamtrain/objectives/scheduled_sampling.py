"""Teacher forcing whose inputs are the network's own words now and then, more often as training goes on."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.transformer import Transformer
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.cross_entropy import smoothed_cross_entropy
from beamtrain.objectives.gold_share import GoldShare
from beamtrain.objectives.teacher_forcing import check_smoothing
from beamtrain.search.sampling import draw

Own = Literal["argmax", "sample", "expected"]


class ScheduledSampling(Objective):
    """Cross-entropy of the gold tokens, of which the decoder reads each only with probability `gold_share`(step).

    Else it reads what the network predicts at that place, of all tokens that can be read (not PAD, BOS or EOS):

        argmax     the likeliest one
        sample     one drawn from softmax(logits / temperature)
        expected   the expected embedding under it, with a gradient to the prediction

    A recurrent network predicts from what it has read so far, step by step (Bengio et al. 2015; `expected` as in Goyal
    et al. 2017, "Differentiable Scheduled Sampling for Credit Assignment"). The Transformer predicts in a first pass
    over the gold inputs and reads the mixture in a second one (Mihaylova and Martins 2019, "Scheduled Sampling for
    Transformers"), so its own words follow gold ones; `argmax` and `sample` have no gradient to the first pass.

    Logged: `nll`, of the inputs that were read; `gold_share`.

    Args:
        gold_share: the schedule.
        own: argmax, sample or expected.
        temperature: of sample and expected; below 1 sharper than the model.
        label_smoothing: as in `TeacherForcing`.

    Raises:
        UserError: a value out of its range.
    """

    def __init__(
        self,
        gold_share: GoldShare = GoldShare(),  # noqa: B008 (frozen)
        own: Own = "sample",
        temperature: float = 1.0,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        check_smoothing(label_smoothing)
        if own not in get_args(Own):
            raise UserError(f"own is {own!r}; it must be one of {', '.join(get_args(Own))}")
        if not 0 < temperature < math.inf:
            raise UserError(
                f"temperature is {temperature}, but must be positive and finite; for the likeliest token, own: argmax"
            )
        self.gold_share, self.own, self.temperature = gold_share, own, temperature
        self.label_smoothing = label_smoothing

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        share = self.gold_share(step)
        memory = network.encode_counted(batch.source, batch.source_lengths)
        is_gold = torch.rand(batch.target_in.shape, device=batch.source.device) < share
        is_gold[:, : 1 if network.first_token is None else 2] = True  # BOS, and what every target begins with
        is_gold |= batch.target_in == PAD
        read = self._in_two_passes if isinstance(network, Transformer) else self._step_by_step
        hidden = read(network, memory, batch.target_in, is_gold)  # (B, T, D)
        logits, gold = network.logits(batch.at_targets(hidden)), batch.at_targets(batch.target_out)
        smoothed, likelihood = smoothed_cross_entropy(logits, gold, self.label_smoothing, network.unsaid)
        tokens = batch.num_target_tokens
        return Loss(smoothed, tokens, {"nll": likelihood, "gold_share": likelihood.new_full((), share * tokens)})

    def _in_two_passes(self, network: Seq2Seq, memory: Memory, target_in: Tensor, is_gold: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.own == "expected"):
            first = network.decode(memory, target_in)[:, :-1]  # (B, T - 1, D), what predicts the next input
        own = torch.cat((network.embed(target_in[:, :1]), self._own(network, first)), dim=1)  # (B, T, D)
        return network.decode(memory, torch.where(is_gold.unsqueeze(2), network.embed(target_in), own))

    def _step_by_step(self, network: Seq2Seq, memory: Memory, target_in: Tensor, is_gold: Tensor) -> Tensor:
        state, hidden = network.start(memory, 1), []
        gold = network.embed(target_in)  # (B, T, D)
        inputs = gold[:, :1]
        for position in range(1, target_in.size(1) + 1):
            hidden.append(network.step(inputs, state))  # (B, 1, D)
            if position < target_in.size(1):
                chosen = is_gold[:, position, None, None]
                inputs = torch.where(chosen, gold[:, position : position + 1], self._own(network, hidden[-1]))
        return torch.cat(hidden, dim=1)

    def _own(self, network: Seq2Seq, hidden: Tensor) -> Tensor:
        """Vectors of what is predicted from decoder outputs, (B, T, D) -> (B, T, D)"""
        if self.own != "expected":
            with torch.no_grad():
                predicted = self._predicted(network, hidden)
            return network.embed(predicted)
        table = network.embed(torch.arange(network.vocab_size, device=hidden.device))  # (V, D)
        return self._probs(network, hidden).to(table.dtype) @ table

    def _predicted(self, network: Seq2Seq, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T)"""
        probs = self._probs(network, hidden)
        if self.own == "argmax":
            return probs.argmax(-1)
        return draw(probs, torch.rand(probs.shape[:-1], device=probs.device))

    def _probs(self, network: Seq2Seq, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V), in float32 or better"""
        never = torch.tensor([PAD, BOS, EOS], device=hidden.device)
        logits = network.logits(hidden).index_fill(-1, never, -torch.inf) / self.temperature
        return logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
