"""What training does first: it claims the run's folder, and writes down what is trained there and how to load it."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger

from beamtrain.base.files import write_text
from beamtrain.runs.description import Description, save_description
from beamtrain.training.provenance import KEY, Settings
from beamtrain.training.run_folder import CONFIG, ENVIRONMENT
from beamtrain.training.start import Start


class BeginRun(pl.Callback):
    """Claims the folder and writes config.yaml, environment.json, tokenizer and model.json before the first step.

    By then all else that can refuse a start has been asked. Comes before whatever writes into the folder, such as the
    logger, which it gives the trainer.

    Args:
        start: where the run starts.
        config: the text of config.yaml.
        environment: the text of environment.json.
        description: the content of model.json.
        made_with: what every checkpoint has to say of what it was made with.
        tensorboard: whether it gives the trainer a logger; otherwise that has its own, or is to have none.
    """

    def __init__(
        self,
        start: Start,
        config: str,
        environment: str,
        description: Description,
        made_with: dict[str, Settings],
        tensorboard: bool,
    ) -> None:
        self._start, self._config, self._environment = start, config, environment
        self._description, self._made_with, self._tensorboard = description, made_with, tensorboard

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        folder = self._start.folder
        if self._tensorboard:
            logs = folder.path / "logs"
            trainer.logger = TensorBoardLogger(logs, name="tensorboard", version="", purge_step=self._start.step)
        if not trainer.is_global_zero:
            return
        folder.claim(resume=self._start.resumes, replace=self._start.replaces)
        trainer.datamodule.tokenizer.save(folder.path)  # type: ignore[attr-defined]
        save_description(folder.path, self._description)
        write_text(folder.path / ENVIRONMENT, self._environment)
        write_text(folder.path / CONFIG, self._config)  # last: it says that a run lies there

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self._made_with
