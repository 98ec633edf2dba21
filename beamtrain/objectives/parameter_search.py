"""Maximum likelihood guided search among neighbouring weights, by the task loss of what the decoder says with them."""

import math
import time

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives import samples
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.directions import Directions
from beamtrain.objectives.mixture import gold_limits, gradient_by, with_gradient
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.teacher_forcing import TeacherForcing


class ParameterSearch(Objective):
    """MGS (Welleck and Cho 2021, "MLE-guided parameter search for task loss minimization in neural sequence modeling").

    The step is a weighted mean of candidate directions in weight space:

        D_j ~ q = 1/2 N(0, s^2 I) + 1/2 N(g, s^2 I)
        w_j proportional to exp(-[C(theta + D_j) - C(theta)] / alpha) p0(D_j) / q(D_j)
        step = sum_j w_j D_j

    with g the step that maximum likelihood would take, C the task loss, 1 - the reward of what the decoder says, and
    p0 a prior over directions. The optimiser gets -step in the units of the gradient, so that a step of g alone is
    teacher forcing, with any optimiser: learning rate, momentum and clipping keep their meaning.

    C is that of the greedy decoder in evaluation mode, on the batch; with `pooled`, on all batches of the step, those
    of an accumulation window and of all processes, which then all take one and the same step. Without, every batch has
    its own candidates, and the step is their mean. Directions are drawn again from their seeds instead of being kept:
    one copy of the weights is all that is held beyond what teacher forcing needs.

    Our deviations. g is scaled to a length in weight space, `radius`, and s to a noise of length `noise` * radius, as a
    gradient alone says nothing of how far to look. The candidates of either half are as many as those of the other,
    instead of a number that is drawn. And with `prior: proposal`, the default, p0 is q, so that the weights are those
    of the task loss alone. `prior: zero`, N(0, s^2 I), is the formula as it stands in the paper's derivation: with d
    weights, log p0 - log q of a candidate around g is about -d / (2 noise^2), so it never chooses one unless the noise
    is longer than g by a factor of the order of sqrt(d).

    Logged: `task_loss`, C(theta); `candidate_J_task_loss` and `candidate_J_weight` of each, the first half of them
    around 0; `largest_weight`; `guided_weight`, that of the half around g; `search_seconds`, what the search costs a
    step beyond teacher forcing.

    Args:
        reward: of a hypothesis, a number being enough; GLEU of n-grams up to 4 by default.
        candidates: J, an even number.
        alpha: how much less task loss makes a candidate e times as heavy.
        radius: the 2-norm of g in weight space.
        noise: the length of the noise, as a share of the radius.
        prior: p0, "proposal" or "zero".
        pooled: whether the task loss is that of all batches of a step.
        margin: what an output may have beyond its gold length, in tokens.
        start_step: optimiser steps of teacher forcing alone, before the search begins.
        label_smoothing: of the likelihood.

    Raises:
        UserError: a value out of its range.
    """

    def __init__(
        self,
        reward: Reward | None = None,
        candidates: int = 4,
        alpha: float = 0.01,
        radius: float = 0.1,
        noise: float = 1.0,
        prior: str = "proposal",
        pooled: bool = False,
        margin: int = 4,
        start_step: int = 0,
        label_smoothing: float = 0.1,
    ) -> None:
        super().__init__()
        if candidates < 2 or candidates % 2:
            raise UserError(f"candidates is {candidates}, but must be even and 2 or more: half of them are around 0")
        for name, value in (("alpha", alpha), ("radius", radius), ("noise", noise)):
            if not 0 < value < math.inf:
                raise UserError(f"{name} is {value}, but must be positive")
        if prior not in ("proposal", "zero"):
            raise UserError(f"prior is {prior!r}; it must be proposal or zero")
        for name, number in (("margin", margin), ("start_step", start_step)):
            if number < 0:
                raise UserError(f"{name} is {number}, but must be 0 or more")
        self.teacher_forcing, self.reward = TeacherForcing(label_smoothing), reward or Gleu()
        self.candidates, self.alpha, self.radius, self.noise, self.prior = candidates, alpha, radius, noise, prior
        self.pooled, self.margin, self.start_step = pooled, margin, start_step
        self._window: list[Batch] = []  # since the last step
        self._gradient: list[Tensor] = []  # of their likelihoods

    @property
    def needs_trained_network(self) -> bool:
        return self.start_step == 0

    @property
    def takes_loss_scale(self) -> bool:
        return False  # the likelihood's gradient is taken by itself

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        gold = self.teacher_forcing(network, batch)
        if step < self.start_step or not torch.is_grad_enabled():
            return gold
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._add(batch, gradient_by(parameters, gold.total))
        if self.pooled and not self.ends_step:
            none = [torch.zeros_like(parameter) for parameter in parameters]
            return gold._replace(total=with_gradient(gold.total.detach(), parameters, none))
        window, gradient = self._window, self._gradient
        self._window, self._gradient = [], []
        step_of_all, figures = self._search(network, parameters, window, gradient)
        weight = sum(each.num_target_tokens for each in window)
        return Loss(
            with_gradient(gold.total.detach(), parameters, [each.mul_(weight) for each in step_of_all]),
            gold.weight,
            {**gold.figures, **{name: value * gold.weight for name, value in figures.items()}},
        )

    def _add(self, batch: Batch, gradient: list[Tensor]) -> None:
        self._window.append(batch)
        if self._gradient:
            torch._foreach_add_(self._gradient, gradient)
        else:
            self._gradient = gradient

    def _search(
        self, network: Seq2Seq, parameters: list[nn.Parameter], window: list[Batch], gradient: list[Tensor]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The gradient whose descent is the step, in the place of the likelihood's summed one, and figures to watch."""
        begin, device = time.perf_counter(), parameters[0].device
        tokens = torch.tensor(float(sum(batch.num_target_tokens for batch in window)), device=device)
        if self.pooled:
            for each in (*gradient, tokens):
                _add_up(each)
        torch._foreach_div_(gradient, float(tokens))
        length = get_total_norm(gradient)
        seeds = torch.randint(2**62, (self.candidates,)).to(device)
        if self.pooled and _together():
            torch.distributed.broadcast(seeds, 0)
        if not bool(length.isfinite()):  # training skips such a step
            nothing = torch.full((self.candidates,), math.nan, dtype=torch.float64)
            return gradient, self._figures(math.nan, nothing, nothing, begin, device)
        directions = Directions(parameters, gradient, length, self.radius, self.noise, seeds)
        start, found = self._task_loss(network, window), []
        with directions.moving() as move:
            for candidate in range(self.candidates):
                move(candidate)
                found.append(self._task_loss(network, window))
        losses = torch.tensor(found, dtype=torch.float64)
        logits = (start - losses) / self.alpha
        weights = (logits + directions.log_ratios() if self.prior == "zero" else logits).softmax(0)
        step = directions.mean(weights.tolist())
        torch._foreach_mul_(step, -float(length) / self.radius)
        return step, self._figures(start, losses, weights, begin, device)

    def _figures(
        self, start: float, losses: Tensor, weights: Tensor, begin: float, device: torch.device
    ) -> dict[str, Tensor]:
        figures = {
            "task_loss": start,
            "largest_weight": float(weights.max()),
            "guided_weight": float(weights[self.candidates // 2 :].sum()),
            **{f"candidate_{number}_task_loss": value for number, value in enumerate(losses.tolist(), 1)},
            **{f"candidate_{number}_weight": share for number, share in enumerate(weights.tolist(), 1)},
            "search_seconds": time.perf_counter() - begin,
        }
        return {name: torch.tensor(value, device=device) for name, value in figures.items()}

    @torch.no_grad()
    def _task_loss(self, network: Seq2Seq, window: list[Batch]) -> float:
        """C, the mean over sentences of 1 - the reward of the greedy output."""
        training = network.training
        network.eval()
        lost = torch.zeros(2, dtype=torch.float64, device=window[0].source.device)  # of all sentences, and how many
        for batch in window:
            memory = network.encode_counted(batch.source, batch.source_lengths)
            said = samples.greedy(network, memory, gold_limits(batch, self.margin, network.max_positions))
            lost[0] += (1 - self.reward.of(said, batch)).sum()
            lost[1] += len(batch)
        network.train(training)
        if self.pooled:
            _add_up(lost)
        return float(lost[0] / lost[1])


def _together() -> bool:
    """Whether there are several processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _add_up(value: Tensor) -> None:
    """Over all processes, in place."""
    if _together():
        torch.distributed.all_reduce(value)
