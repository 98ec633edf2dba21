"""The command line of training: Lightning's over our module and data, what this program adds, and how it refuses."""

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import OPTION as IMPORT
from beamtrain.data.datamodule import TranslationData, with_absolute_places
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import check_tokenizer
from beamtrain.training.bounds import check_bounds, check_size
from beamtrain.training.callbacks.bad_steps import BadSteps
from beamtrain.training.callbacks.early_stopping import TypedEarlyStopping
from beamtrain.training.callbacks.memory_advice import MemoryAdvice
from beamtrain.training.callbacks.metrics_table import MetricsTable
from beamtrain.training.callbacks.progress_lines import Progress
from beamtrain.training.callbacks.save_checkpoints import BestCheckpoint, LastCheckpoint, VerifiedCheckpointIO
from beamtrain.training.callbacks.seed_each_batch import SeedEachBatch
from beamtrain.training.callbacks.show_search import ShowSearch
from beamtrain.training.callbacks.stop_on_signal import StopOnSignal
from beamtrain.training.class_defaults import own_defaults
from beamtrain.training.class_paths import import_classes, own_names
from beamtrain.training.describe import describe
from beamtrain.training.mistakes import check_nulls, explained
from beamtrain.training.module import TranslationModule
from beamtrain.training.nested_nulls import nested_nulls
from beamtrain.training.processes import check_strategy
from beamtrain.training.run_folder import LAST, RunFolder, folder_of
from beamtrain.training.settings import check_keys, read_as_utf8
from beamtrain.training.start import START_OPTIONS, keep_subwords
from beamtrain.training.trainer_options import check_monitors, check_trainer
from beamtrain.training.warm_start import OPTION, inherited

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_steps": 100_000,
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "val_check_interval": 1000,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 100,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the sampler shards by itself
}
CLASS_DEFAULTS = {
    "model.network": "beamtrain.model.Transformer",
    "model.objective": "beamtrain.objectives.TeacherForcing",
    "model.schedule": "beamtrain.training.InverseSquareRoot",
}


def command_line(arguments: list[str], configs: list[Path], origin: Path | None) -> "TrainingCLI":
    """The settings, parsed and made into what they name.

    Args:
        arguments: with the paths of all configs.
        configs: these paths.
        origin: the run to take data, network and weights from.

    Raises:
        UserError: a setting or a file does not allow it.
    """
    try:
        return TrainingCLI(arguments, configs, origin)
    except (ArgumentError, MisconfigurationException, ModuleNotFoundError, ValueError, TypeError) as error:
        told = explained(str(error), {}) if "Union subtypes" in str(error) else str(error)
        raise _our_own(error) or UserError(" ".join(told.split())) from error
    except OSError as error:
        raise UserError(f"{error.filename or 'a file'}: {error.strerror or error}") from error


class TrainingCLI(LightningCLI):
    """Lightning's command line over our module and data, plus where the run lies and how it starts."""

    folder: RunFolder

    def __init__(self, arguments: list[str], configs: list[Path], origin: Path | None) -> None:
        self._configs = configs
        self._origin, self._inherited = origin, {}
        if origin:
            import_classes(arguments, configs, CLASS_DEFAULTS)  # a module that they name may have the run's network
            self._inherited = inherited(origin)
        super().__init__(
            TranslationModule,
            TranslationData,
            args=[f"--config={json.dumps(self._inherited)}", *arguments] if origin else arguments,
            run=False,
            save_config_callback=None,
            seed_everything_default=1,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={"exit_on_error": False, "prog": "beamtrain train"},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, default=None, help="the run's name (default: the config's name)")
        parser.add_argument("--runs", type=str | None, default=None, help="the folder that runs lie in (default: runs)")
        parser.add_argument(
            IMPORT,
            type=list[str],
            default=[],
            metavar="MODULE",
            help="import this module of yours first; may be given several times",
        )
        parser.add_argument("--resume", action="store_true", help="go on with the run of that name")
        parser.add_argument(
            "--resume_from", type=str | None, default=None, help="go on from this checkpoint of the run, not its last"
        )
        parser.add_argument("--overwrite", action="store_true", help="replace a run of that name")
        parser.add_argument(
            "--save_every",
            type=int,
            default=1000,
            help="steps between checkpoints, besides those after validation; 0: no",
        )
        parser.add_argument(
            "--log_sentences",
            type=int,
            default=3,
            help="translations that TensorBoard shows after validation, with a picture of a beam if the loss searches; "
            "0: none",
        )
        parser.add_argument(
            OPTION, type=str | None, default=None, help="the run to take data, network and weights from"
        )
        parser.add_argument("--score_test", type=bool, default=True, help="translate and score the test set at the end")
        parser.add_argument(
            "--write_page", type=bool, default=True, help="leave a page with curves and scores, report/report.html"
        )
        parser.set_defaults({name: {"class_path": class_path} for name, class_path in CLASS_DEFAULTS.items()})
        parser.link_arguments("data.vocab_size", "model.network.init_args.vocab_size")
        parser.link_arguments(
            ("data.joint_vocabulary", "data.vocab_size"),
            "model.network.init_args.source_vocab_size",
            compute_fn=_source_vocab_size,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        known = {action.dest for action in parser._actions}
        network = self._inherited.get("model", {}).get("network", {})
        classes = {**CLASS_DEFAULTS, "model.optimizer": "torch.optim.AdamW"}  # the module's own default
        classes |= {"model.network": network["class_path"]} if network else {}
        check_keys(known, args[1:] if self._origin else args, self._configs, classes)
        try:
            with own_names(), own_defaults(), nested_nulls(), read_as_utf8():
                self.config = parser.parse_args(args)
        except ArgumentError as error:
            types = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
            raise _our_own(error) or UserError(explained(str(error), types)) from error
        check_bounds(dict(self.config.items()))  # before the seed is set, which has bounds too

    def before_instantiate_classes(self) -> None:
        check_nulls(self.config)
        check_strategy(self.config.trainer.strategy, self.config.trainer.num_nodes)
        check_trainer(vars(self.config.trainer))
        scoring = ScoringOptions(**vars(self.config.model.scoring)).of_language(self.config.data.target_lang)
        check_tokenizer(scoring)
        self.config.model.scoring = Namespace(asdict(scoring))
        self.description = describe(self.config)
        check_size(self.description.network, self.description.arguments)
        self.folder = folder_of(self.config.name, self.config.runs, self._configs)
        keep_subwords(self.config, self.folder)

    def instantiate_trainer(self, **settings: Any) -> pl.Trainer:
        check_monitors(self._callbacks(), self.model.scoring)
        folder, every, scoring = self.folder.path, self.config.trainer.log_every_n_steps, self.model.scoring
        last = LastCheckpoint(self.folder.checkpoints / LAST, self.config.save_every)
        settings.update(
            plugins=[VerifiedCheckpointIO(folder)],
            default_root_dir=str(folder),
            enable_checkpointing=self._user_saves_checkpoints(),
            enable_autolog_hparams=False,  # which would be written before training has begun
        )
        if self.config.trainer.logger is None:
            settings["logger"] = False  # so would be the one that BeginRun gives it
        trainer = super().instantiate_trainer(**settings)
        trainer.callbacks += [  # type: ignore[attr-defined]
            TypedEarlyStopping(),
            BadSteps(self.config.model.max_bad_steps, folder / "bad_batches.json", self._seeds()),
            Progress(every, scoring),
            ShowSearch(self.config.log_sentences),
            MetricsTable(folder / "logs" / "metrics.csv", every),
            SeedEachBatch(self.config.seed_everything),
            BestCheckpoint(self.folder.checkpoints, scoring.monitor, scoring.mode),
            last,  # after all whose state it saves
            StopOnSignal(last),
            MemoryAdvice(
                batch_tokens=self.config.data.batch_tokens,
                eval_batch_tokens=self.config.data.eval_batch_tokens,
                max_length=self.config.data.max_length,
                accumulation=self.config.trainer.accumulate_grad_batches,
                beam_size=self.config.model.search.beam_size,
            ),
        ]
        return trainer

    @property
    def to_load(self) -> str:
        """The options with which other commands load the run."""
        own = [word for module in self.description.imports for word in (IMPORT, module)]
        return shlex.join(["--model", str(self.folder), *own])

    def kept_settings(self) -> str:
        """The text of config.yaml: every setting of what is trained, in words that hold in every folder."""
        settings = self.config.clone()
        for name in START_OPTIONS:
            settings.pop(name)
        settings.data = Namespace(with_absolute_places(vars(settings.data)))
        if settings.init_from is not None:
            settings.init_from = os.path.abspath(settings.init_from)
        return self.parser.dump(settings, skip_unset=False, skip_validation=True)

    def _seeds(self) -> dict[str, int]:
        return {"seed_everything": self.config.seed_everything, "data.seed": self.config.data.seed}

    def _user_saves_checkpoints(self) -> bool:
        """Whether the config has a checkpoint callback of its own; Lightning would add one that nobody asked for."""
        return any(isinstance(each, Checkpoint) for each in self._callbacks())

    def _callbacks(self) -> list[pl.Callback]:
        """Those of the config."""
        callbacks = self.config_init.trainer.callbacks or []
        return callbacks if isinstance(callbacks, list) else [callbacks]


def _source_vocab_size(joint: bool, vocab_size: int) -> int | None:
    return None if joint else vocab_size


def _our_own(error: BaseException | None) -> UserError | None:
    """The clear message that the parser wrapped in its own, if there is one."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
