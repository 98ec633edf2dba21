"""What the scripts of scripts/experiments do with a wrong option."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import command_line
from command_line import run_script

EXPERIMENTS = Path(command_line.__file__).parent
SCRIPTS = sorted(
    path.stem for path in EXPERIMENTS.glob("*.py") if "run_script(main)" in path.read_text(encoding="utf-8")
)
Capture = pytest.CaptureFixture[str]


def test_there_are_scripts() -> None:
    assert {"corpora", "objectives", "rounds"} <= {*SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_wrong_option_gets_one_line(script: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.argv", [f"{script}.py", "--wrong"])
    with pytest.raises(SystemExit) as ended:
        run_script(import_module(script).main)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    line = rf"error: .*(unrecognized|required).* \(all options: {script}.py --help\)\n"
    assert re.fullmatch(line, printed.err), printed.err


def test_help_is_what_the_script_says_of_itself(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    corpora = import_module("corpora")
    monkeypatch.setattr("sys.argv", ["corpora.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        run_script(corpora.main)
    assert ended.value.code == 0 and str(corpora.__doc__).strip() in capsys.readouterr().out
