"""What scripts do with a wrong option."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "experiments"))

import command_line
from command_line import run_script

from beamtrain.base.script_parser import ScriptParser

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


def test_all_scripts_have_that_parser() -> None:
    files = [path for path in EXPERIMENTS.parent.rglob("*.py") if path.parent.name != "peers"]  # in other environments
    assert len(files) > 50
    assert not [path for path in files if "ArgumentParser(" in path.read_text(encoding="utf-8")]


def test_commands_of_a_script_have_it_too(capsys: Capture) -> None:
    parser = ScriptParser("what it does")
    parser.add_subparsers(required=True).add_parser("begin").add_argument("--least", type=int)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["begin", "--least", "no"])
    line = r"error: argument --least: invalid int value: 'no' \(all options: .* begin --help\)\n"
    assert ended.value.code == 2 and re.fullmatch(line, capsys.readouterr().err)


def test_help_is_what_the_script_says_of_itself(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    corpora = import_module("corpora")
    monkeypatch.setattr("sys.argv", ["corpora.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        run_script(corpora.main)
    assert ended.value.code == 0 and str(corpora.__doc__).strip() in capsys.readouterr().out
