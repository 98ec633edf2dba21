"""Several runs as one: which can be, and what is in their mean and in the sum of their changes."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import nn

from beamtrain.base.errors import UserError
from beamtrain.runs.description import Description
from beamtrain.runs.loading import Run
from beamtrain.runs.merging import add, average, began_together, began_with


def run(value=0.0, count=0, step=5, subwords="of one text", source_lang="en"):
    network = nn.Module()
    network.register_parameter("weight", nn.Parameter(torch.full((2,), value)))
    network.register_buffer("count", torch.tensor(count))
    description = Description("Network", {}, source_lang, "de")
    return Run(Path(f"run{value}"), network, Namespace(fingerprint=lambda: subwords), description, {"step": step})


def test_numbers_are_the_mean_and_counts_those_of_the_first_run():
    mean = average([run(3e38, 7), run(3e38, 8), run(0.0, 9)])  # the sum is more than float32 holds
    assert mean.network.weight.tolist() == pytest.approx([2e38] * 2) and mean.network.count == 7


def test_the_sum_has_the_changes_of_all_and_counts_are_those_of_the_start():
    both = add(run(1.0, 7), [run(1.5, 8), run(-1.0, 9), run(1.0, 9)])
    assert both.network.weight.tolist() == [1.0 + 0.5 - 2.0] * 2 and both.network.count == 7
    assert both.weights == {}  # a sum is of no step


@pytest.mark.parametrize(("steps", "said"), [((5, 5), {"step": 5}), ((5, 6), {})])
def test_it_is_of_a_step_if_all_are(steps, said):
    assert average([run(step=step) for step in steps]).weights == said


@pytest.mark.parametrize("differs", [{"subwords": "of another"}, {"source_lang": "fr"}])
def test_runs_that_read_other_text_have_none(differs):
    with pytest.raises(UserError, match=f"has {next(iter(differs))} {next(iter(differs.values()))}, and run0.0 "):
        average([run(), run(**differs)])
    with pytest.raises(UserError, match=f"has {next(iter(differs))} {next(iter(differs.values()))}, and run0.0 "):
        add(run(), [run(), run(**differs)])


def test_runs_began_together_by_whatever_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, config in {
        "a": "init_from: start",
        "b": f"init_from: {tmp_path}/./x/../start",
        "c": "- [",
        "d": "",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(config)
    (tmp_path / "d" / "config.yaml").write_bytes(b"\xff")
    assert began_together([tmp_path / "a", Path("b")]) and began_together([Path("a"), Path("start")])
    assert not any(began_together([tmp_path / "a", tmp_path / each]) for each in ("c", "d", "gone"))
    assert began_with(Path("start"), Path("b")) and began_with(tmp_path / "start", tmp_path / "a")
    assert not any(began_with(Path("start"), Path(each)) for each in ("start", "c", "d", "gone"))


def test_what_began_with_a_run_began_with_what_that_began_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    origins = {"a": "start", "b": "start", "a2": "a", "b2": "b", "other": "elsewhere", "one": "two", "two": "one"}
    for name, origin in origins.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"init_from: {origin}")
    assert began_together([Path("a2"), Path("b2")]) and began_together([Path("a2"), Path("b")])
    assert began_with(Path("start"), Path("a2")) and not began_with(Path("b"), Path("a2"))
    assert not began_together([Path("a2"), Path("other")]) and not began_together([Path("a2"), Path("one")])
    assert began_with(Path("one"), Path("two")) and not began_with(Path("start"), Path("one"))
