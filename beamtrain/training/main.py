"""`beamtrain train` and `scripts/train.py`: from a config to a trained run with its test scores.

Every setting is a key of a YAML file and an option of the command line; `--print_config` shows them all.
"""

import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException

from beamtrain.base.errors import UserError
from beamtrain.base.memory import keep_what_pays
from beamtrain.training.bounds import check_lengths
from beamtrain.training.callbacks.averaging import TrainedUntilAveraged
from beamtrain.training.callbacks.begin_run import BeginRun
from beamtrain.training.callbacks.stop_on_signal import Interrupted
from beamtrain.training.class_paths import with_imports
from beamtrain.training.command_line import TrainingCLI, command_line
from beamtrain.training.environment import environment
from beamtrain.training.finish import finish
from beamtrain.training.precision import check_precision
from beamtrain.training.processes import ProcessLost, check_number, joined, speaks_before_training
from beamtrain.training.provenance import provenance
from beamtrain.training.settings import located
from beamtrain.training.start import check_rate, find_start, same_command
from beamtrain.training.warm_start import origin, warm_start


def main(arguments: Sequence[str]) -> int:
    """Train with these command-line arguments; the exit code.

    Raises:
        UserError: a setting, a file or the machine does not allow it.
    """
    _quiet()
    keep_what_pays()
    with ExitStack() as held:
        try:
            arguments, configs = located(list(arguments))
            settings = with_imports(arguments, configs)
            cli = command_line(settings, configs, origin(settings, configs))
            check_number(cli.trainer)
            held.enter_context(cli.folder)
            again = same_command(arguments)
            starting_point = _start(cli, again)  # what can refuse does so before other processes are started
        except UserError:
            if speaks_before_training():
                raise
            return 2
        return _train(cli, starting_point, arguments, again)


def _train(cli: TrainingCLI, starting_point: Path | None, arguments: list[str], again: str) -> int:
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
        finish(cli)
    return 0


def _fit(cli: TrainingCLI, starting_point: Path | None) -> None:
    try:
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=starting_point, weights_only=True)
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from error


def _start(cli: TrainingCLI, again: str) -> Path | None:
    """Check all that decides whether the run can start; the checkpoint that it goes on from, None for a beginning.

    Raises:
        UserError: it cannot start. Nothing was written.
    """
    start = find_start(cli.folder, cli.config, again)
    if start.checkpoint is None:
        warm_start(cli.model, cli.config.init_from, cli.description, cli.folder.path)
    cli.datamodule.setup()
    check_lengths(cli.datamodule, cli.model.network)
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


def _quiet() -> None:
    """Hints meant for programmers are not for a person who trains a model."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # asked for by trainer.profiler
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="torch.optim.lr_scheduler")
