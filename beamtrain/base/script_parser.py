"""The options of the scripts beside the package."""

import argparse
from typing import Any, NoReturn


class ScriptParser(argparse.ArgumentParser):
    """Shows a script's documentation as it is written; what a wrong option gets is one line, and exit code 2."""

    def __init__(self, documentation: str | None = None, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(description=documentation, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (all options: {self.prog} --help)\n")
