"""Randomness that depends on the place in the run only."""

from hashlib import sha256

import lightning.pytorch as pl
import torch

from beamtrain.data.batch import Batch


class SeedEachBatch(pl.Callback):
    """Makes what is random in a training step (dropout, sampling) a function of the seed, the batch and the process.

    A resumed run then draws what an uninterrupted one would have drawn, on any number of processes.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        key = f"{self._seed} {trainer.current_epoch} {batch_idx} {trainer.global_rank}"
        torch.manual_seed(int.from_bytes(sha256(key.encode()).digest()[:7], "big"))
