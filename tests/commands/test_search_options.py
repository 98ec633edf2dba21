"""Every field of `SearchOptions` is an option of the commands that search, without being declared again."""

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import typer

from beamtrain.cli import app, main
from beamtrain.commands.search_options import option, search_options
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


OWN = SearchOptions(min_length=3, max_length=20, max_length_ratio=1.5, max_length_offset=7)


@pytest.mark.parametrize(
    "typed, limits",
    [
        ({}, (3, 20, 1.5, 7)),
        ({"max_length": 90}, (3, 90, 1.5, 90)),
        ({"max_length": 2}, (2, 2, 1.5, 7)),
        ({"max_length": 90, "max_length_offset": 5}, (3, 90, 1.5, 5)),
        ({"max_length": 90, "max_length_ratio": 2.0}, (3, 90, 2.0, 7)),
        ({"min_length": 30}, (30, 30, 1.5, 7)),
        ({"max_length_offset": 30}, (3, 20, 1.5, 30)),
    ],
)
def test_what_is_typed_wins_over_the_run_s_own_limits(typed, limits):
    found = search_options(SimpleNamespace(description=SimpleNamespace(search=OWN)), typed)
    assert (found.min_length, found.max_length, found.max_length_ratio, found.max_length_offset) == limits
    assert found == replace(OWN, **{name: getattr(found, name) for name in vars(found) if "length" in name})


def test_a_longer_translation_can_be_asked_for(echo_run, tmp_path):
    """The run's own limit, which follows from the source, cuts this one off; here it has a third of the subwords."""
    described = json.loads((echo_run / "model.json").read_text())
    described["search"] |= {"max_length_ratio": 0.3, "max_length_offset": 0}
    (echo_run / "model.json").write_text(json.dumps(described))
    (tmp_path / "in.txt").write_text("a man and a woman\n")
    translate = ["translate", "--model", str(echo_run), "--input", str(tmp_path / "in.txt"), "--output"]
    for options, whole in (([], False), (["--max-length", "100"], True)):
        assert main([*translate, str(tmp_path / "out.txt"), *options]) == 0
        assert ((tmp_path / "out.txt").read_text() == "a man and a woman\n") is whole


def test_samples_have_the_same_limits_of_length(echo_run, tmp_path):
    (tmp_path / "in.txt").write_text("a man and a woman\n")
    files = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "out.txt")]
    limits = ["--max-length-ratio", "0", "--max-length-offset", "2"]
    assert main(["translate", "--model", str(echo_run), *files, "--sample", *limits]) == 0
    assert len((tmp_path / "out.txt").read_text().split()) <= 1
