"""`beamtrain train` and `scripts/train.py`: from a config to a trained run with its test scores.

Every setting is a key of a YAML file and an option of the command line; `--print_config` shows them all.
"""

import json
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from beamtrain.base.allocator import keep_freed_memory
from beamtrain.base.errors import UserError
from beamtrain.base.files import write_text
from beamtrain.base.plugins import OPTION as IMPORT
from beamtrain.data.datamodule import TranslationData, with_absolute_places
from beamtrain.runs.checkpoints import load_checkpoint
from beamtrain.runs.description import CORPUS, Description
from beamtrain.runs.loading import load_run
from beamtrain.runs.networks import OWN, check_plain, find_network
from beamtrain.runs.scoring import ScoringOptions
from beamtrain.runs.weights import load_weights, save_weights, weights_in
from beamtrain.scoring.metrics import check_tokenizer
from beamtrain.search.options import SearchOptions
from beamtrain.training.bounds import check_bounds, check_size
from beamtrain.training.callbacks.averaging import TrainedUntilAveraged
from beamtrain.training.callbacks.bad_steps import BadSteps
from beamtrain.training.callbacks.begin_run import BeginRun
from beamtrain.training.callbacks.early_stopping import TypedEarlyStopping
from beamtrain.training.callbacks.memory_advice import MemoryAdvice
from beamtrain.training.callbacks.metrics_table import MetricsTable
from beamtrain.training.callbacks.progress_lines import Progress
from beamtrain.training.callbacks.save_checkpoints import BestCheckpoint, LastCheckpoint, VerifiedCheckpointIO
from beamtrain.training.callbacks.seed_each_batch import SeedEachBatch
from beamtrain.training.callbacks.show_search import ShowSearch
from beamtrain.training.callbacks.stop_on_signal import Interrupted, StopOnSignal
from beamtrain.training.class_defaults import own_defaults
from beamtrain.training.class_paths import check_class_paths, with_imports
from beamtrain.training.ending import why_stopped
from beamtrain.training.environment import environment
from beamtrain.training.mistakes import explained
from beamtrain.training.module import TranslationModule
from beamtrain.training.precision import check_precision
from beamtrain.training.processes import (
    ProcessLost,
    check_number,
    check_strategy,
    joined,
    speaks_before_training,
)
from beamtrain.training.provenance import provenance
from beamtrain.training.run_folder import BEST, LAST, RunFolder, folder_of
from beamtrain.training.settings import check_keys, located
from beamtrain.training.start import START_OPTIONS, check_rate, find_start, keep_subwords, same_command
from beamtrain.training.trainer_options import check_monitors, check_trainer
from beamtrain.training.warm_start import OPTION, inherited, origin, warm_start

if TYPE_CHECKING:
    from beamtrain.scoring.evaluation import Evaluation
    from beamtrain.scoring.parallel_text import ParallelText

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


def main(arguments: Sequence[str]) -> int:
    """Train with these command-line arguments; the exit code.

    Raises:
        UserError: a setting, a file or the machine does not allow it.
    """
    _quiet()
    keep_freed_memory()
    with ExitStack() as held:
        try:
            arguments, configs = located(list(arguments))
            settings = with_imports(arguments, configs)
            check_class_paths(settings, configs)
            cli = _command_line(settings, configs, origin(settings, configs))
            check_number(cli.trainer)
            held.enter_context(cli.folder)
            again = same_command(arguments)
            starting_point = _start(cli, again)  # what can refuse does so before other processes are started
        except UserError:
            if speaks_before_training():
                raise
            return 2
        return _train(cli, starting_point, arguments, again)


def _train(cli: "TrainingCLI", starting_point: Path | None, arguments: list[str], again: str) -> int:
    """From the first step to the scores; the exit code."""
    folder, to_go_on = cli.folder.path, f"to go on: {again} --resume"
    try:
        with joined(cli.trainer, arguments):
            _fit(cli, starting_point)
    except Interrupted as stop:
        if cli.trainer.is_global_zero:
            print(f"{stop}; {folder} can be used as it is", to_go_on, sep="\n", file=sys.stderr)
        return stop.exit_code
    except ProcessLost as lost:
        if str(lost):
            print(f"beamtrain: {lost}; {to_go_on}", file=sys.stderr)
        return lost.exit_code
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from error
    except ValueError as error:
        if "val_check_interval" not in str(error):
            raise
        raise UserError(
            f"trainer.val_check_interval {cli.trainer.val_check_interval} is more than the "
            f"{cli.trainer.num_training_batches:,} batches of an epoch: lower it, or leave "
            "trainer.check_val_every_n_epoch out, and it counts the batches of all epochs"
        ) from error
    except OSError as error:  # a full disk, most often
        problem = f"{error.filename or 'a file'}: {error.strerror or error}"
        raise UserError(f"training has stopped: {problem}; the checkpoints are as they were") from error
    if cli.trainer.is_global_zero:
        _finish(cli, folder)
    return 0


def _fit(cli: "TrainingCLI", starting_point: Path | None) -> None:
    try:
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=starting_point, weights_only=True)
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from error


def _finish(cli: "TrainingCLI", folder: Path) -> None:
    """What follows the last step, also of a run that was killed after it."""
    reason = why_stopped(cli.trainer)
    last = folder / "checkpoints" / LAST
    if not last.exists():
        raise UserError(f"nothing was trained: {reason or 'there is no step to do'}")
    if reason:
        print(reason, file=sys.stderr)
    if not (folder / "model.safetensors").exists():
        best = last.with_name(BEST)
        save_weights(folder, *weights_in(load_checkpoint(best if best.exists() else last)))
    scored = _score_test(cli) if cli.config.score_test else None
    if cli.config.write_page:
        _write_page(cli, scored)
    print(f"the run lies in {folder}; to use it: beamtrain translate {cli.to_load} < FILE")


def _start(cli: "TrainingCLI", again: str) -> Path | None:
    """Check all that decides whether the run can start; the checkpoint that it goes on from, None for a beginning.

    Raises:
        UserError: it cannot start. Nothing was written.
    """
    start = find_start(cli.folder, cli.config, again)
    if start.checkpoint is None:
        warm_start(cli.model, cli.config.init_from, cli.description, cli.folder.path)
    cli.datamodule.setup()
    optimizer = cli.model.configure_optimizers()["optimizer"]
    check_precision(cli.config.trainer.precision, cli.model.objective, optimizer)
    made_with = provenance(cli.config, cli.description.network, cli.datamodule, optimizer)
    start.check(made_with, cli.model, cli.trainer)
    check_rate(cli.model.schedule, start.step, cli.config.trainer.max_steps)
    begin = BeginRun(
        start,
        cli.kept_settings(),
        environment(cli.config.seed_everything),
        cli.description,
        made_with,
        tensorboard=cli.config.trainer.logger is None,
    )
    cli.trainer.callbacks[:0] = [begin, TrainedUntilAveraged()]  # type: ignore[attr-defined]
    return start.checkpoint


class TrainingCLI(LightningCLI):
    """Lightning's command line over our module and data, plus where the run lies and how it starts."""

    folder: RunFolder

    def __init__(self, arguments: list[str], configs: list[Path], origin: Path | None) -> None:
        self._configs = configs
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
        classes = {**CLASS_DEFAULTS, **({"model.network": network["class_path"]} if network else {})}
        check_keys(known, args[1:] if self._origin else args, self._configs, classes)
        try:
            with own_defaults():
                self.config = parser.parse_args(args)
        except ArgumentError as error:
            types = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
            raise _our_own(error) or UserError(explained(str(error), types)) from error

    def before_instantiate_classes(self) -> None:
        check_strategy(self.config.trainer.strategy, self.config.trainer.num_nodes)
        check_bounds(dict(self.config.items()))
        check_trainer(vars(self.config.trainer))
        scoring = ScoringOptions(**vars(self.config.model.scoring)).of_language(self.config.data.target_lang)
        check_tokenizer(scoring)
        self.config.model.scoring = Namespace(asdict(scoring))
        self.description = _describe(self.config)
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


def _command_line(arguments: list[str], configs: list[Path], origin: Path | None) -> TrainingCLI:
    try:
        return TrainingCLI(arguments, configs, origin)
    except (ArgumentError, MisconfigurationException, ModuleNotFoundError, ValueError, TypeError) as error:
        told = explained(str(error), {}) if "Union subtypes" in str(error) else str(error)
        raise _our_own(error) or UserError(" ".join(told.split())) from error
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
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # asked for by trainer.profiler
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch.optim.lr_scheduler")


def _describe(config: Any) -> Description:
    """What model.json says of the run, by which it is loaded."""
    network, imported = config.model.network, config[IMPORT.removeprefix("--")]
    data = with_absolute_places(vars(config.data))
    arguments = {**vars(network.get("init_args") or Namespace()), **(network.get("dict_kwargs") or {})}
    for name in ("vocab_size",) if data["joint_vocabulary"] else ("vocab_size", "source_vocab_size"):
        if name not in arguments:
            raise UserError(
                f"model.network is {network.class_path}, whose __init__ takes no {name}: give it that argument"
                + ("" if name == "vocab_size" else ", or set data.joint_vocabulary to true")
            )
    check_plain(arguments)
    module = find_network(network.class_path, "model.network").__module__
    return Description(
        network=network.class_path,
        arguments=arguments,
        source_lang=data["source_lang"],
        target_lang=data["target_lang"],
        search=SearchOptions(**vars(config.model.search)),
        scoring=ScoringOptions(**vars(config.model.scoring)),
        corpus={key: data[key] for key in CORPUS},
        imports=[] if network.class_path.startswith(OWN) else list(dict.fromkeys([*imported, module])),
    )


def _score_test(cli: TrainingCLI) -> "tuple[ParallelText, Evaluation] | None":
    """Translate the test set as `beamtrain evaluate` does, and leave the report, if there is a test set."""
    from beamtrain.scoring.evaluation import checkpoint_name, evaluate
    from beamtrain.scoring.parallel_text import ParallelText
    from beamtrain.scoring.reports import print_scores, write_report

    if "test" not in cli.datamodule.splits:
        print(f"{cli.datamodule.source} has no test split: nothing is scored", file=sys.stderr)
        return None
    folder = cli.folder.path
    run = load_run(folder, cli.model.device)
    sources, references = cli.datamodule.pairs("test")
    evaluation = evaluate(
        run.network,
        run.tokenizer,
        cli.model.search,
        sources,
        references,
        data="test",
        checkpoint=checkpoint_name(run),
        scoring=cli.model.scoring,
    )
    write_text(folder / "report" / "test.hyp", "".join(f"{line}\n" for line in evaluation.hypotheses))
    write_report(folder / "report", folder.name, [evaluation])
    print_scores([evaluation])
    return ParallelText("test", sources, [references]), evaluation


def _write_page(cli: TrainingCLI, scored: "tuple[ParallelText, Evaluation] | None") -> None:
    """Leave a page of what training has measured anyway."""
    from beamtrain.reporting.data import report
    from beamtrain.reporting.page import write_report_page
    from beamtrain.reporting.systems import System, of_evaluation

    folder, text = cli.folder.path, None
    step = load_weights(folder)[1].get("step")
    system = System(folder.name, folder=folder, step=step)
    if scored is not None:
        text, evaluation = scored
        system = of_evaluation(evaluation, name=folder.name, folder=folder, step=step)
    page = folder / "report" / "report.html"
    write_report_page(page, report(folder.name, text, [system], cli.model.scoring))
    print(f"its curves and scores: {page}")
