"""Every field of `SearchOptions` is an option of the commands that search, without being declared again."""

from dataclasses import fields

import pytest
import typer

from beamtrain.cli import app, main
from beamtrain.commands.search_options import option
from beamtrain.search.options import SearchOptions

FIELDS = [each.name for each in fields(SearchOptions)]


@pytest.mark.parametrize("command", ["translate", "evaluate"])
def test_each_field_is_an_option(command):
    options = {name for each in typer.main.get_command(app).commands[command].params for name in each.opts}
    without = {"evaluate": {"n_best"}}.get(command, set())
    assert {option(name) for name in FIELDS if name not in without} <= options


@pytest.mark.parametrize(
    "options, message",
    [
        (["--beam", "0"], "beamtrain: --beam is 0; it must be 1 or more"),
        (["--beam", "2", "--nbest", "3", "--format", "tsv"], "--nbest is 3; it must be from 1 to --beam (2)"),
        (["--length-penalty", "wu"], "--length-penalty is 'wu'; it must be gnmt, average or none"),
        (["--max-length-ratio", "-1"], "--max-length-ratio is -1.0; it must be a finite number, 0 or more"),
        (["--sample", "--beam", "2"], "--beam does not work together with --sample"),
    ],
)
def test_what_is_wrong_is_called_by_its_option(echo_run, tmp_path, capsys, options, message):
    (tmp_path / "in.txt").write_text("a man\n")
    assert main(["translate", "--model", str(echo_run), "--input", str(tmp_path / "in.txt"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_samples_have_the_same_limits_of_length(echo_run, tmp_path):
    (tmp_path / "in.txt").write_text("a man and a woman\n")
    files = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]
    limits = ["--max-length-ratio", "0", "--max-length-offset", "2"]
    assert main(["translate", "--model", str(echo_run), *files, "--sample", *limits]) == 0
    assert len((tmp_path / "out.txt").read_text().split()) <= 1
