"""What scripts do with what is typed."""

import argparse
import math
import signal
import sys
from collections.abc import Callable

from child_processes import stop_all

from beamtrain.base.errors import UserError


def run_script(main: Callable[[], None]) -> None:
    """What a wrong input gets is one line, and exit code 2. A signal stops its processes too."""
    before = {number: signal.signal(number, stop_all) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        main()
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


def positive_real(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be a number above 0")
    return number
