"""`beamtrain`, and `python -m beamtrain`: Ctrl-C ends it without a traceback also while it is still being loaded."""

import sys


def main() -> int:
    try:
        from beamtrain.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
