"""One training run's network, objective, optimiser, schedule, and validation by real decoding."""

import math
from dataclasses import asdict
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import AdamW, Optimizer

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.base import Loss, Objective
from beamtrain.objectives.rewards.text_reward import give_text
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import Score, corpus_score
from beamtrain.search.options import SearchOptions
from beamtrain.search.unroll.log_probs import token_log_probs
from beamtrain.training.development_set import DevelopmentSet
from beamtrain.training.schedule import InverseSquareRoot, Schedule
from beamtrain.training.trained import train_only
from beamtrain.training.typed_optimizer import TypedRate, keep_settings
from beamtrain.training.weighted_means import WeightedMeans


class TranslationModule(pl.LightningModule):
    """Trains a network on batches and validates it as its users will run it.

    The development set is translated as `beamtrain evaluate` translates it, in float32; its likelihood is computed in
    the precision of training.

    Args:
        network: the encoder-decoder.
        objective: what is minimised.
        optimizer: a torch optimiser; its learning rate is the schedule's peak.
        schedule: how the learning rate changes with the optimiser's steps.
        max_gradient_norm: gamma, the 2-norm that `gradient_rule` works with; 0 leaves gradients alone.
        gradient_rule: "clip" scales a gradient of norm n > gamma by gamma / n (Pascanu et al. 2013); "rescale" scales
            every gradient by gamma / (n + gamma), which is smooth in n.
        max_bad_steps: a step whose loss or gradient is not finite is skipped; so many in a row end training.
        search: the beam search of the development and the test set.
        scoring: how their translations are scored, and the best checkpoint is chosen.
        trained: shell patterns of names of the network's parameters; those that fit none stay as they are. None: all
            are trained. ["*bias*", "*norm*"] are the biases and normalisations (Ben Zaken et al. 2022, and more).

    Raises:
        UserError: a value out of its range, or a pattern that fits no parameter.
    """

    def __init__(
        self,
        network: Seq2Seq,
        objective: Objective | None = None,
        optimizer: OptimizerCallable = lambda params: AdamW(params, lr=1e-3, weight_decay=0.0),
        schedule: Schedule | None = None,
        max_gradient_norm: float = 1.0,
        gradient_rule: Literal["clip", "rescale"] = "clip",
        max_bad_steps: int = 20,
        search: SearchOptions = SearchOptions(),  # noqa: B008 (frozen)
        scoring: ScoringOptions = ScoringOptions(),  # noqa: B008 (frozen)
        trained: list[str] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= max_gradient_norm < math.inf:
            raise UserError(f"max_gradient_norm is {max_gradient_norm}, but must be positive, or 0 for no limit")
        if max_bad_steps < 1:
            raise UserError(f"max_bad_steps is {max_bad_steps}, but must be 1 or more; 20 is usual")
        if trained is not None:
            train_only(network, trained)
        self.network = network
        self.objective = objective or TeacherForcing()
        self.search, self.scoring = search, scoring
        self._optimizer = optimizer
        self.schedule = schedule or InverseSquareRoot()
        self._max_gradient_norm, self._gradient_rule = max_gradient_norm, gradient_rule
        self.max_bad_steps = max_bad_steps
        self.skipped_step = False
        """Whether the last optimiser step was skipped, for a loss or gradient that is not finite."""
        self._development_set = DevelopmentSet(search)
        self.translations: dict[int, str] = {}
        """Of the last validation: row of the development set -> its translation."""
        self.dev_score: Score | None = None
        """Of the last validation."""
        self._window: list[Tensor] = []  # weights of the batches since the last optimiser step
        self._means = WeightedMeans()  # of training
        self._nll, self._tokens = torch.zeros(()), 0  # of the development set

    def setup(self, stage: str) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is not None:
            give_text(self.objective, data.tokenizer)

    def configure_optimizers(self) -> Any:
        try:
            optimizer = self._optimizer(each for each in self.parameters() if each.requires_grad)  # the objective's too
        except (ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"model.optimizer: {error}") from error
        if isinstance(optimizer, torch.optim.SparseAdam):
            raise UserError("model.optimizer: SparseAdam is for sparse gradients, and these are dense: take AdamW")
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        if not all(map(math.isfinite, rates)):
            raise UserError(f"model.optimizer: its learning rate is {rates[0]}, but must be a number")
        keep_settings(optimizer)
        scheduler = TypedRate(optimizer, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=device.type == "cuda")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        closed = (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0
        self.objective.ends_step = closed or self.trainer.is_last_batch
        loss = self.objective(self.network, batch, self.global_step)
        averages = self._averages_over_processes(loss)
        self._log_figures(["loss", *loss.figures], averages)
        weight, total = averages[0], averages[1]
        self._window.append(weight)
        idle = sum(0 * own.sum() for own in self.objective.parameters())  # DDP waits for each, whether it was of use
        finite = 1 + 0 * total  # or no number, and then no gradient is one
        return (loss.total + idle) / self._window[0] * finite

    def _log_figures(self, names: list[str], weight_and_sums: Tensor) -> None:
        """Log the means since the last line that `log_every_n_steps` has written, and the learning rate."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not self._window and self.global_step % every == 0:
            self._means.clear()
        self._means.add(names, weight_and_sums)
        for name, mean in self._means.means().items():
            self.log(f"train/{name}", mean)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/lr", torch.full((), rate, device=self.device))  # made there: a number would be copied

    def _averages_over_processes(self, loss: Loss) -> Tensor:
        """The weight, the total and the figures, each averaged over all processes.

        Gradients are averaged too, so that of totals over the average weight is the mean over the items of all.
        """
        weight = torch.full((), loss.weight, device=self.device)
        own = [weight, loss.total.detach(), *loss.figures.values()]
        return self._sums_over_processes(torch.stack([each.float() for each in own])) / self.trainer.world_size

    def _sums_over_processes(self, own: Tensor) -> Tensor:
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(own)
        return own

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        scale = self._scale_of_window()
        norm = get_total_norm(gradients) * scale
        self.log("train/gradient_norm", norm)
        self.skipped_step = not bool(norm.isfinite())  # the only wait for the device in a step
        if self.skipped_step:
            self.zero_grad()  # to None: the optimiser leaves such weights, and what it knows of them, alone
            return
        scale = scale * self._limit(norm)
        if isinstance(scale, Tensor):
            torch._foreach_mul_(gradients, scale)

    def _limit(self, norm: Tensor) -> Tensor | float:
        """What a gradient of that norm has to be multiplied with by the `gradient_rule`."""
        gamma = self._max_gradient_norm
        if not gamma:
            return 1.0
        return (gamma / (norm + 1e-6)).clamp(max=1.0) if self._gradient_rule == "clip" else gamma / (norm + gamma)

    def _scale_of_window(self) -> Tensor | float:
        """What gradients have to be multiplied with to be those of the mean over all that the window's batches count.

        Each batch's total was divided by the weight of the first one, and by as many batches as a full window has.
        """
        weights, self._window = self._window, []
        if self.trainer.accumulate_grad_batches == 1:
            return 1.0
        return self.trainer.accumulate_grad_batches * weights[0] / torch.stack(weights).sum()

    def on_validation_epoch_start(self) -> None:
        """Translate here, where the weights are already those that will be saved and autocast is off."""
        self._nll, self._tokens = torch.zeros((), device=self.device), 0
        if not self.trainer.sanity_checking:
            self.translations = self._development_set.translated(self.trainer, self.network)

    def validation_step(self, batch: Batch) -> None:
        memory = self.network.encode_counted(batch.source, batch.source_lengths)
        hidden = batch.at_targets(self.network.decode(memory, batch.target_in))  # (B, T, D) -> (N, D)
        self._nll -= token_log_probs(self.network, hidden, batch.at_targets(batch.target_out)).sum()
        self._tokens += batch.num_target_tokens

    def on_validation_epoch_end(self) -> None:
        if self.trainer.sanity_checking:
            return
        _, references = self.trainer.datamodule.pairs("validation")  # type: ignore[attr-defined]
        rows = sorted(self.translations)
        translations, references = ([lines[row] for row in rows] for lines in (self.translations, references))
        self.dev_score = corpus_score(translations, references, options=self.scoring)
        self.log(self.scoring.monitor, self.dev_score.value)
        tokens = torch.full_like(self._nll, self._tokens)
        nll, tokens = self._sums_over_processes(torch.stack([self._nll, tokens]))
        self.log("dev/nll", nll / tokens)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["dev_score"] = self.dev_score and asdict(self.dev_score)
        checkpoint["means"] = self._means.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        score = checkpoint["dev_score"]
        self.dev_score = score and Score(**score)
        self._means.load_state_dict(checkpoint["means"], self.device)
