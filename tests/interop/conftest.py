"""A folder of each architecture, and the run that it is imported as: made once."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from foreign_folders import LINES, languages, write_foreign

from beamtrain.cli import main


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """name -> the folder of a tiny random model of that kind, made once."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            write_foreign(name, made[name], tmp_path_factory.mktemp("parts"))
        return made[name]

    return folder_of


@dataclass(frozen=True)
class Imported:
    """A run, and what was said when it was made."""

    run: Path
    code: int
    out: str


@pytest.fixture(scope="session")
def imported(foreign, tmp_path_factory):
    """name -> the run of that model, imported once; it is not to be changed."""
    made = {}

    def of(name):
        if name not in made:
            folder, said = tmp_path_factory.mktemp("imported"), io.StringIO()
            (folder / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
            options = ["--runs", str(folder), "--name", name, "--check", str(folder / "lines.txt")]
            with redirect_stdout(said):
                code = main(["import", str(foreign(name)), *languages(name), *options])
            made[name] = Imported(folder / name, code, said.getvalue())
        return made[name]

    return of
