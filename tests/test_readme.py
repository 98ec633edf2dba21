"""What the README shows is what happens: its Python runs and prints what stands below it, its commands exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beamtrain.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", TEXT, flags=re.DOTALL)


def test_there_is_a_snippet_with_its_output():
    assert SNIPPETS


@pytest.mark.parametrize("code, printed", SNIPPETS)
def test_each_snippet_prints_what_the_readme_says(code, printed):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {})
    assert output.getvalue().split() == printed.split()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^beamtrain (\w+)", TEXT, flags=re.MULTILINE))))
def test_each_command_has_the_options_that_the_readme_uses(command):
    if command == "train":
        return  # its options are settings; tests/training/test_settings.py
    help_text = CliRunner().invoke(app, [command, "--help"]).output
    for line in re.findall(rf"^beamtrain {command} (.*)$", TEXT, flags=re.MULTILINE):
        for option in re.findall(r"--[\w-]+", line):
            assert option in help_text


def test_every_config_that_is_named_is_shipped():
    names = re.findall(r"--config ([\w.]+\.yaml)", TEXT)
    assert names
    for name in names:
        assert (ROOT / "configs" / name).exists(), name
