"""The development set in training, translated as `beamtrain evaluate --split validation` translates it."""

import copy
import sys
from itertools import chain, islice
from typing import Any

import lightning.pytorch as pl
import torch

from beamtrain.model.base import Seq2Seq
from beamtrain.scoring.evaluation import translate_share
from beamtrain.search.options import SearchOptions


class DevelopmentSet:
    """Translates the development set, each process its share.

    What comes out is what `evaluate` makes of the weights when they are saved: the same lines are left empty, the same
    sentences stand in the same batches, and all is computed in float32, whatever precision training has.
    """

    def __init__(self, search: SearchOptions) -> None:
        self._search = search
        self._told = False

    def translated(self, trainer: pl.Trainer, network: Seq2Seq) -> dict[int, str]:
        """Row of the development set -> its translation, in every process for all rows that validation looks at."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sources, _ = data.pairs("validation")
        rows = _rows(trainer, len(sources))
        share = translate_share(
            _in_float32(network),
            data.tokenizer,
            self._search,
            [sources[row] for row in rows],
            number=trainer.global_rank,
            shares=trainer.world_size,
        )
        translations = {rows[line - 1]: each for part in _gathered(trainer, share) for line, each in part.items()}
        if trainer.is_global_zero and not self._told:
            for row, translation in sorted(translations.items()):
                if translation.problem:
                    print(f"validation, line {row + 1:,}: {translation.problem}", file=sys.stderr, flush=True)
        self._told = True
        return {row: translation.text for row, translation in translations.items()}


def _rows(trainer: pl.Trainer, total: int) -> list[int]:
    """All rows, or those of the batches that `limit_val_batches` leaves."""
    loader: Any = trainer.val_dataloaders
    (batches,) = trainer.num_val_batches
    if batches >= len(loader):
        return list(range(total))
    own = [row for _, pairs in islice(loader.sampler, int(batches)) for row in pairs.tolist()]
    return sorted(chain.from_iterable(_gathered(trainer, own)))


def _gathered(trainer: pl.Trainer, own: Any) -> list[Any]:
    """What each process has."""
    parts = [own] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(parts, own)
    return parts


def _in_float32(network: Seq2Seq) -> Seq2Seq:
    """The network as it is loaded from a run's folder."""
    if all(parameter.dtype == torch.float32 for parameter in network.parameters()):
        return network
    return copy.deepcopy(network).float()
