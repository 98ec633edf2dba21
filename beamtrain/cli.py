"""The `beamtrain` command: a user's mistake is one line on stderr and exit code 2, and no import waits for torch."""

import sys
from collections.abc import Sequence
from contextlib import suppress

import typer

from beamtrain.base import streams
from beamtrain.base.errors import UserError
from beamtrain.commands import add, average, compare, evaluate, export, import_model, inspect, report, train, translate

USAGE_ERROR = typer.BadParameter.__base__  # what typer raises for an unknown option, a missing one, a bad value

app = typer.Typer(
    help="Train, use and measure sequence-to-sequence models with the beam search inside the training loop.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", context_settings=train.ALL_TO_TRAINING)(train.train)
app.command("translate")(translate.translate)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("average")(average.average)
app.command("add")(add.add)
app.command("import")(import_model.import_model)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("inspect")(inspect.inspect)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` without arguments); return the exit code."""
    streams.prepare()
    try:
        result = _run(arguments)
        streams.finish()
    except UserError as error:
        return _refuse(str(error))
    except USAGE_ERROR as error:  # type: ignore[misc]
        return _refuse(error.format_message())
    except BrokenPipeError:  # who reads what is printed has read enough
        streams.drop_output()
        return 1
    except OSError as error:  # such as a name that is too long for any file, or output to a full disk
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}")
    except typer.Abort:
        return 130
    return result if isinstance(result, int) else 0


def _run(arguments: Sequence[str] | None) -> object:
    """What the command returns; the exit code, where it ends early, as after its help."""
    try:
        return app(arguments, standalone_mode=False)
    except SystemExit as end:
        return end.code


def _refuse(message: str) -> int:
    with suppress(OSError):
        streams.finish()
    print(f"beamtrain: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
