"""What a logger shows after each validation: translations, and a picture of the search that is trained through."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch

from beamtrain.base.errors import UserError
from beamtrain.inspecting.document import Sentence, sentence_document
from beamtrain.inspecting.searches import searches
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.scoring.reports import printable

COLUMNS = ["source", "reference", "translation"]
TRANSLATIONS, BEAMS = "dev/translations", "dev/beams"
"""What they are called in the logger."""


class ShowSearch(pl.Callback):
    """Gives `count` translations of the development set, the same lines each time, to each logger that takes text, and
    of the first of them a picture of the beams to each that takes pictures, once there is a search in the loss.

    Those are TensorBoard's logger and others whose `experiment` has its `add_text` and `add_image`, and that of
    Weights & Biases and others with its `log_text` and `log_image`. With no such logger, or a count of 0, nothing is
    done. The picture costs one search of one sentence, without a gradient, and its drawing: half a second.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero or not self._count:
            return
        if not (takers := [each for each in map(_taker, trainer.loggers) if each is not None]):
            return
        rows = _spread(sorted(module.translations), self._count)  # type: ignore[arg-type]
        sources, references = trainer.datamodule.pairs("validation")  # type: ignore[attr-defined]
        texts = [[sources[row], references[row], module.translations[row]] for row in rows]  # type: ignore[index]
        for taker in takers:
            taker.text(TRANSLATIONS, [[printable(each) for each in row] for row in texts], trainer.global_step)
        if texts and (drawn := self._beams(trainer, module, texts[0])) is not None:
            for taker in takers:
                taker.picture(BEAMS, drawn, trainer.global_step)

    def _beams(self, trainer: pl.Trainer, module: Any, texts: Sequence[str]) -> Any:
        """The picture as (height, width, 3) bytes; None while there is no search in the loss, or nothing to search."""
        objective, network = module.objective, module.network
        if not isinstance(objective, BeamTraining) or trainer.global_step < objective.start_step:
            return None
        from beamtrain.inspecting.picture import pixels

        source, reference, translation = texts
        own = [each for each in searches(objective, temperatures=()) if each.kind == "trained"]
        training = network.training
        network.eval()
        tokenizer = trainer.datamodule.tokenizer  # type: ignore[attr-defined]
        sentence = Sentence(1, source, translation, reference)
        try:
            with torch.no_grad():
                found = sentence_document(network, tokenizer, sentence, own)
        except UserError:  # a network that can only be searched with hard choices
            return None
        finally:
            network.train(training)
        return pixels(found, found["searches"][0]) if found["searches"] else None


class _TensorBoard:
    """A logger whose `experiment` is a TensorBoard writer, or like it."""

    def __init__(self, experiment: Any) -> None:
        self._experiment = experiment

    def text(self, name: str, rows: Sequence[Sequence[str]], step: int) -> None:
        lines = [COLUMNS, ["---"] * len(COLUMNS), *([each.replace("|", "\\|") for each in row] for row in rows)]
        self._experiment.add_text(name, "\n".join(f"| {' | '.join(line)} |" for line in lines), step)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        self._experiment.add_image(name, pixels, step, dataformats="HWC")


class _WeightsAndBiases:
    """A logger with the methods of Lightning's `WandbLogger`."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def text(self, name: str, rows: Sequence[Sequence[str]], step: int) -> None:
        self._logger.log_text(name, columns=COLUMNS, data=[list(row) for row in rows], step=step)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        self._logger.log_image(name, [pixels], step=step)


def _taker(logger: Any) -> _TensorBoard | _WeightsAndBiases | None:
    if hasattr(logger, "log_text") and hasattr(logger, "log_image"):
        return _WeightsAndBiases(logger)
    experiment = getattr(logger, "experiment", None)
    if hasattr(experiment, "add_text") and hasattr(experiment, "add_image"):
        return _TensorBoard(experiment)
    return None


def _spread(rows: Sequence[int], count: int) -> list[int]:
    """So many of the rows, from the first to the last."""
    places = {round(index * (len(rows) - 1) / max(count - 1, 1)) for index in range(count)} if rows else ()
    return [rows[place] for place in sorted(places)]
