"""`beamtrain train` and `scripts/train.py`: from a config to a trained run with its test scores.

Every setting is a key of a YAML file and an option of the command line; `--print_config` shows them all.
"""

import json
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from beamtrain.base.allocator import keep_freed_memory
from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.data.datamodule import TranslationData, with_absolute_places
from beamtrain.runs.description import CORPUS, Description
from beamtrain.runs.loading import load_run
from beamtrain.runs.networks import NETWORKS
from beamtrain.runs.weights import checkpoint_weights, save_weights
from beamtrain.search.options import SearchOptions
from beamtrain.training.bounds import check_bounds, check_size
from beamtrain.training.callbacks.bad_steps import BadSteps
from beamtrain.training.callbacks.describe_run import Describe
from beamtrain.training.callbacks.memory_advice import MemoryAdvice
from beamtrain.training.callbacks.metrics_table import MetricsTable
from beamtrain.training.callbacks.progress_lines import Progress
from beamtrain.training.callbacks.save_checkpoints import BestCheckpoint, LastCheckpoint, VerifiedCheckpointIO
from beamtrain.training.callbacks.seed_each_batch import SeedEachBatch
from beamtrain.training.callbacks.stop_on_signal import Interrupted, StopOnSignal
from beamtrain.training.class_defaults import own_defaults
from beamtrain.training.module import TranslationModule
from beamtrain.training.processes import (
    ProcessLost,
    check_number,
    check_strategy,
    is_first,
    joined,
    speaks_before_training,
)
from beamtrain.training.resuming import LAST, PREVIOUS, checkpoint_to_resume, is_finished
from beamtrain.training.settings import check_keys, class_of, located
from beamtrain.training.warm_start import OPTION, copy_weights, inherited, origin

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
PACKAGES = ("beamtrain", "torch", "lightning", "sentencepiece", "sacrebleu", "datasets")


def main(arguments: Sequence[str]) -> int:
    """Train with these command-line arguments; the exit code.

    Raises:
        UserError: a setting, a file or the machine does not allow it.
    """
    _quiet()
    keep_freed_memory()
    try:
        arguments, configs = located(list(arguments))
        cli = _command_line(arguments, configs, origin(arguments, configs))
        check_number(cli.trainer)
        cli.datamodule.setup()  # a fault of the data is found before other processes are started
    except UserError:
        if speaks_before_training():
            raise
        return 2
    to_go_on = f"to go on: {_same_command(arguments)} --resume"
    try:
        with joined(cli.trainer, arguments):
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.starting_point, weights_only=True)
    except Interrupted as stop:
        if cli.trainer.is_global_zero:
            _save_best_weights(cli.folder)
            print(f"{stop}; {cli.folder} can be used as it is", to_go_on, sep="\n", file=sys.stderr)
        return stop.exit_code
    except ProcessLost as lost:
        if str(lost):
            print(f"beamtrain: {lost}; {to_go_on}", file=sys.stderr)
        return lost.exit_code
    except OSError as error:  # a full disk, most often
        problem = f"{error.filename or 'a file'}: {error.strerror or error}"
        raise UserError(f"training has stopped: {problem}; the checkpoints are as they were") from error
    if cli.trainer.is_global_zero:
        _save_best_weights(cli.folder)
        if cli.config.score_test:
            _score_test(cli)
        print(f"the run lies in {cli.folder}; to use it: beamtrain translate --model {cli.folder} < FILE")
    return 0


class TrainingCLI(LightningCLI):
    """Lightning's command line over our module and data, plus where the run lies and whether it is resumed."""

    folder: Path
    starting_point: Path | None

    def __init__(self, arguments: list[str], configs: list[Path], origin: Path | None) -> None:
        self._configs, self._same_command = configs, _same_command(arguments)
        self._origin, self._inherited = origin, inherited(origin) if origin else {}
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
        parser.add_argument("--runs", type=str, default="runs", help="the folder that runs lie in")
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
            OPTION, type=str | None, default=None, help="the run to take data, network and weights from"
        )
        parser.add_argument("--score_test", type=bool, default=True, help="translate and score the test set at the end")
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
        classes = {**CLASS_DEFAULTS, **({"model.network": network["class_path"]} if network else {})}
        check_keys(known, args[1:] if self._origin else args, self._configs, classes)
        with own_defaults():
            self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        self.config.data = Namespace(with_absolute_places(vars(self.config.data)))
        self.config.init_from = self._origin and os.path.abspath(self._origin)
        _registered_name(self.config.model.network.class_path)
        check_strategy(self.config.trainer.strategy, self.config.trainer.num_nodes)
        check_bounds(dict(self.config.items()))
        check_size(self.config.model.network.class_path, vars(self.config.model.network.init_args))
        name = self.config.name or (self._configs[-1].stem if self._configs else "run")
        self.folder = Path(self.config.runs) / name
        self.starting_point, self._steps_done = _starting_point(self.folder, self.config, self._same_command)

    def instantiate_trainer(self, **settings: Any) -> pl.Trainer:
        if self.starting_point is None:
            _warm_start(self.model, self._origin, self.config.model.network)
        if self.config.overwrite and not (self.config.resume or self.config.resume_from):
            _make_room(self.folder)
        logs, checkpoints, every = (
            self.folder / "logs",
            self.folder / "checkpoints",
            self.config.trainer.log_every_n_steps,
        )
        last = LastCheckpoint(checkpoints / LAST, self.config.save_every)
        settings.update(
            plugins=[VerifiedCheckpointIO(checkpoints / LAST, checkpoints / PREVIOUS)],
            default_root_dir=str(self.folder),
            enable_checkpointing=self._user_saves_checkpoints(),
        )
        if self.config.trainer.logger is None:
            settings["logger"] = TensorBoardLogger(logs, name="tensorboard", version="", purge_step=self._steps_done)
        trainer = super().instantiate_trainer(**settings)
        _write_settings(self)
        trainer.callbacks += [  # type: ignore[attr-defined]
            Describe(self.folder, _description(self.config)),
            BadSteps(self.config.model.max_bad_steps, self.folder / "bad_batches.json", self._seeds()),
            Progress(every),
            MetricsTable(logs / "metrics.csv", every),
            SeedEachBatch(self.config.seed_everything),
            BestCheckpoint(checkpoints),
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

    def _seeds(self) -> dict[str, int]:
        return {"seed_everything": self.config.seed_everything, "data.seed": self.config.data.seed}

    def _user_saves_checkpoints(self) -> bool:
        """Whether the config has a checkpoint callback of its own; Lightning would add one that nobody asked for."""
        callbacks = self.config_init.trainer.callbacks or []
        return any(isinstance(each, Checkpoint) for each in (callbacks if isinstance(callbacks, list) else [callbacks]))


def _source_vocab_size(joint: bool, vocab_size: int) -> int | None:
    return None if joint else vocab_size


def _warm_start(model: Any, origin: Path | None, network: Any) -> None:
    """Begin with the weights of the run `origin`, or see to it that random ones make sense."""
    if origin is not None:
        run = copy_weights(origin, model.network, vars(network.init_args))
        if is_first():
            print(f"weights of {origin}, step {run.weights.get('step')}", file=sys.stderr)
    elif model.objective.needs_trained_network:
        raise UserError(
            f"{type(model.objective).__name__} from random weights learns nothing: the search of an untrained network "
            f"finds nothing that a loss could tell apart. Give {OPTION} RUN, or let teacher forcing go first with "
            "--model.objective.start_step STEPS"
        )


def _command_line(arguments: list[str], configs: list[Path], origin: Path | None) -> TrainingCLI:
    try:
        return TrainingCLI(arguments, configs, origin)
    except (ArgumentError, MisconfigurationException, ValueError, TypeError) as error:
        raise _our_own(error) or UserError(" ".join(str(error).split())) from error
    except OSError as error:
        raise UserError(f"{error.filename or 'a file'}: {error.strerror or error}") from error


def _our_own(error: BaseException | None) -> UserError | None:
    """The clear message that the parser wrapped in its own, if there is one."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _quiet() -> None:
    """Hints meant for programmers are not for a person who trains a model."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch.optim.lr_scheduler")


def _starting_point(folder: Path, config: Any, same_command: str) -> tuple[Path | None, int]:
    """The checkpoint to go on from and the steps done, or (None, 0) for a fresh start."""
    if config.resume or config.resume_from:
        checkpoint, step = checkpoint_to_resume(folder, config.resume_from, same_command)
        if checkpoint is None:
            if is_first():
                print(f"{folder} has no checkpoint yet: starting at the beginning", file=sys.stderr)
        elif 0 <= (most := config.trainer.max_steps) <= step and is_finished(folder, checkpoint, _scored(config)):
            raise UserError(f"{folder} is already at step {step:,} >= trainer.max_steps {most:,}; raise it to go on")
        return checkpoint, step
    if folder.exists() and is_first() and not config.overwrite:  # a launched process finds the first one's
        raise UserError(f"{folder} exists: --resume goes on, --overwrite replaces it, --name NAME starts another")
    return None, 0


def _scored(config: Any) -> bool:
    """Whether the test set is scored at the end: it is to be, and there is one."""
    return config.score_test and "test" in TranslationData(**vars(config.data)).splits


def _same_command(arguments: list[str]) -> str:
    """What was typed, without the options that say where to start."""
    same, pending = ["beamtrain", "train"], iter(arguments)
    for argument in pending:
        if argument == "--resume_from":
            next(pending, None)
        elif argument.partition("=")[0] not in ("--resume", "--resume_from", "--overwrite"):
            same.append(argument)
    return shlex.join(same)


def _make_room(folder: Path) -> None:
    """Remove the run that is replaced, once nothing else can refuse the new one."""
    if folder.exists() and is_first():
        shutil.rmtree(folder)


def _write_settings(cli: TrainingCLI) -> None:
    if not is_first():
        return
    cli.folder.mkdir(parents=True, exist_ok=True)
    write_text(cli.folder / "config.yaml", cli.parser.dump(cli.config))
    environment = {
        "command": " ".join(sys.argv),
        "seed": cli.config.seed_everything,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "packages": {name: version(name) for name in PACKAGES},
    }
    write_text(cli.folder / "environment.json", json.dumps(environment, indent=2) + "\n")


def _git_commit() -> str | None:
    """The commit of the code that runs, with "+changes" when it was edited since; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if status.stdout.strip() else "")


def _registered_name(class_path: str) -> str:
    """What model.json calls the network, by which the run is loaded."""
    names = {network: name for name, network in NETWORKS.items()}
    network = class_of(class_path)
    if network not in names:
        raise UserError(
            f"model.network is {class_path}, by which no run could be loaded again: the module that defines it must "
            f"add it to beamtrain.runs.networks.NETWORKS, which has {', '.join(NETWORKS)}"
        )
    return names[network]


def _description(config: Any) -> Description:
    network, data = config.model.network, config.data
    return Description(
        network=_registered_name(network.class_path),
        arguments=vars(network.init_args),
        source_lang=data.source_lang,
        target_lang=data.target_lang,
        search=SearchOptions(**vars(config.model.search)),
        corpus={key: getattr(data, key) for key in CORPUS},
    )


def _save_best_weights(folder: Path) -> None:
    checkpoints = folder / "checkpoints"
    best = checkpoints / "best.ckpt"
    save_weights(folder, *checkpoint_weights(best if best.exists() else checkpoints / "last.ckpt"))


def _score_test(cli: TrainingCLI) -> None:
    """Translate the test set as `beamtrain evaluate` does, and leave the report, if there is a test set."""
    from beamtrain.scoring.evaluation import checkpoint_name, evaluate
    from beamtrain.scoring.reports import print_scores, write_report

    if "test" not in cli.datamodule.splits:
        print(f"{cli.datamodule.source} has no test split: nothing is scored", file=sys.stderr)
        return
    run = load_run(cli.folder, cli.model.device)
    sources, references = cli.datamodule.pairs("test")
    evaluation = evaluate(
        run.network, run.tokenizer, cli.model.search, sources, references, data="test", checkpoint=checkpoint_name(run)
    )
    write_text(cli.folder / "report" / "test.hyp", "".join(f"{line}\n" for line in evaluation.hypotheses))
    write_report(cli.folder / "report", cli.folder.name, [evaluation])
    print_scores([evaluation])
