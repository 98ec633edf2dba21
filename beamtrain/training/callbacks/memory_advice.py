"""What to change when training runs out of memory."""

import lightning.pytorch as pl
import torch

from beamtrain.base.errors import UserError


class MemoryAdvice(pl.Callback):
    """Turns running out of memory into a line that says which setting to lower, and to what.

    Args:
        batch_tokens, eval_batch_tokens, max_length: the settings of the data.
        accumulation: batches of an optimiser step.
        beam_size: of the search at validation.
    """

    def __init__(
        self, *, batch_tokens: int, eval_batch_tokens: int, max_length: int, accumulation: int, beam_size: int
    ) -> None:
        self._batch_tokens, self._eval_batch_tokens, self._max_length = batch_tokens, eval_batch_tokens, max_length
        self._accumulation, self._beam_size = accumulation, beam_size

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, torch.OutOfMemoryError) or "can't allocate memory" in str(exception):
            what, advice = (
                ("validation", self._at_validation()) if trainer.validating else ("training", self._at_step())
            )
            raise UserError(
                f"a {what} batch did not fit into memory after step {trainer.global_step:,}: {advice}; "
                "then go on with --resume"
            ) from exception

    def _at_step(self) -> str:
        half = self._batch_tokens // 2
        if half <= self._max_length:  # which a batch has to hold
            return f"lower data.max_length from {self._max_length:,} to {self._max_length // 2:,}"
        return (
            f"lower data.batch_tokens from {self._batch_tokens:,} to {half:,}, and for steps on as much text raise "
            f"trainer.accumulate_grad_batches from {self._accumulation} to {2 * self._accumulation}"
        )

    def _at_validation(self) -> str:
        half = f"lower data.eval_batch_tokens from {self._eval_batch_tokens:,} to {self._eval_batch_tokens // 2:,}"
        return half + (f", or model.search.beam_size from {self._beam_size}" if self._beam_size > 1 else "")
