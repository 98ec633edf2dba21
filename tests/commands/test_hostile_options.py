"""Every option that takes a number or a path, at its edges: a user's mistake is a line or two and exit code 2.

The options are those that the parsers know, so that a new one is tested without being named here.
"""

import random
import re
from pathlib import Path
from typing import get_args, get_type_hints

import lightning.pytorch as pl
import pytest
import torch
import typer

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.commands import compare, evaluate, inspect, translate
from beamtrain.search.options import SearchOptions
from beamtrain.training import main as training
from beamtrain.training.bounds import BOUNDS, NOT_ZERO, check_bounds, check_size

EDGES = ("0", "-1", "1000000000000000", "nan", ".nan", "inf", ".inf", "-.inf", "1e400", "x", "")
COMMANDS = {
    "translate": translate.translate,
    "evaluate": evaluate.evaluate,
    "compare": compare.compare,
    "inspect": inspect.inspect,
}
CHECKED_BY_THEIR_OWNERS = {  # and harmless at every value that passes
    "trainer.num_nodes", "trainer.fast_dev_run", "trainer.max_time",
    "trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.limit_test_batches",
    "trainer.limit_predict_batches", "trainer.overfit_batches", "trainer.gradient_clip_val",
    "trainer.reload_dataloaders_every_n_epochs", "model.max_gradient_norm", "model.max_bad_steps",
    *(f"model.search.{name}" for name in vars(SearchOptions()) if name != "length_penalty"),
    "data.train_rows", "data.character_coverage", "data.subword_sampling",
    "data.max_length", "data.max_length_ratio", "data.seed",
}  # fmt: skip


def assert_handled(code, err):
    """Done, or refused in a few lines that are no traceback."""
    assert code in (0, 2), err
    if code == 2:
        assert "Traceback" not in err and len([line for line in err.splitlines() if "beamtrain: " in line]) == 1, err


# translate, evaluate and compare


def options(kind):
    """(command, option) for every option of a type, by the name that is typed."""
    for command, function in COMMANDS.items():
        for name, hint in get_type_hints(function, include_extras=True).items():
            (info,) = getattr(hint, "__metadata__", (None,))
            types = get_args(hint.__origin__) or (hint.__origin__,) if info else ()
            if isinstance(info, typer.models.OptionInfo) and set(types) & set(kind):
                declared = info.default if isinstance(info.default, str) else f"--{name.replace('_', '-')}"
                yield command, declared


NUMBERS, PATHS = sorted(options((int, float))), sorted(options((Path, list[Path])))


def test_the_options_are_found():
    assert {("translate", "--beam"), ("translate", "--temperature"), ("evaluate", "--batch-tokens")} <= set(NUMBERS)
    assert {("translate", "--model"), ("translate", "--prefix"), ("evaluate", "--reference")} <= set(PATHS)
    assert {option for command, option in NUMBERS if command == "compare"} == {"--samples", "--changed"}


@pytest.fixture
def files(transformer_run, tmp_path, monkeypatch):
    """Arguments of each command that work, with files to work on."""
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("a man\nbushes\n")
    Path("b.txt").write_text("two men\nbushes\n")
    text = ["--source", "a.txt", "--reference", "b.txt", "--beam", "1"]
    return {
        "translate": ["--model", str(transformer_run), "--input", "a.txt", "--output", "out.txt"],
        "evaluate": ["--model", str(transformer_run), *text, "--output", "scores"],
        "compare": ["a.txt", "b.txt", "--reference", "b.txt", "--samples", "100"],
        "inspect": [str(transformer_run), "--input", "a.txt", "--beam", "2", "--temperature", "0.5"],
    }


def replaced(arguments, option, value):
    """The arguments with this one instead, or besides."""
    if option in arguments:
        place = arguments.index(option)
        arguments = arguments[:place] + arguments[place + 2 :]
    return [*arguments, f"{option}={value}"]


@pytest.mark.parametrize("command, option", NUMBERS)
def test_a_number_at_its_edges(files, capsys, command, option):
    sampling = ["--sample"] if option in ("--top-k", "--top-p", "--temperature", "--seed") else []
    enormous = "1000000000000000"
    for value in EDGES:
        if value == enormous and option in ("--batch-tokens", "--max-source-tokens"):
            continue  # no limit, and none is needed: they bound, they do not allocate
        code = main([command, *replaced(files[command], option, value), *sampling])
        assert_handled(code, capsys.readouterr().err)


@pytest.mark.parametrize("command, option", PATHS)
def test_a_path_that_is_wrong(files, capsys, command, option):
    Path("folder").mkdir()
    for value in ("folder", "missing/file", "a.txt/below", "x" * 300, "", "/dev/null/x"):
        code = main([command, *replaced(files[command], option, value)])
        assert_handled(code, capsys.readouterr().err)


OUTPUTS = [("translate", "--output"), ("evaluate", "--json"), ("compare", "--json"), ("evaluate", "--output"),
           ("inspect", "--json"), ("inspect", "--html"), ("inspect", "--picture")]  # fmt: skip


@pytest.mark.parametrize("command, option", OUTPUTS)
def test_where_output_goes_is_checked_before_the_work_and_made_after_all_that_can_refuse(
    files, capsys, command, option
):
    makes_folders = (command, option) == ("evaluate", "--output")
    no_model = {"compare": files["compare"], "inspect": ["none", "a man"]}.get(command)
    no_model = no_model or replaced(files[command], "--model", "none")
    for place, fault in (("new/out.svg", "there is no folder new; make it first"), ("a.txt/out.svg", "a.txt")):
        before = sorted(Path().iterdir())
        assert main([command, *replaced(no_model, option, place)]) == 2
        told = capsys.readouterr().err
        assert (fault in told) != (makes_folders and place == "new/out.svg"), told
        assert sorted(Path().iterdir()) == before
    assert main([command, *replaced(files[command], option, "new/out.svg")]) == (0 if makes_folders else 2)
    assert Path("new").exists() == makes_folders


# train


@pytest.fixture
def start(train, capsys, monkeypatch):
    """Builds all that a training run needs, and trains nothing."""
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: None)
    monkeypatch.setattr(training, "finish", lambda *_: None)

    def run(*arguments):
        code = train("--overwrite", "--score_test=false", *arguments)
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def numbers(start, monkeypatch):
    """The names of all settings that take a number."""
    parsers = []
    parse = training.TrainingCLI.parse_arguments

    def keep(self, parser, args):
        parsers.append(parser)
        parse(self, parser, args)

    monkeypatch.setattr(training.TrainingCLI, "parse_arguments", keep)
    assert start()[0] == 0
    types = {action.dest: str(getattr(action, "_typehint", None) or action.type) for action in parsers[0]._actions}
    classes = ("trainer.accelerator", "trainer.strategy", "trainer.logger", "trainer.callbacks", "trainer.plugins",
               "trainer.profiler", "model.network", "model.objective", "model.optimizer", "model.schedule")  # fmt: skip
    return {
        name
        for name, kind in types.items()
        if re.search(r"\b(int|float)\b", kind) and not name.removesuffix(".help").startswith(classes)
    }


def test_every_number_is_bounded_or_known_to_be_checked(numbers):
    assert numbers - BOUNDS.keys() - NOT_ZERO - CHECKED_BY_THEIR_OWNERS == set()
    loose = (BOUNDS.keys() | NOT_ZERO | CHECKED_BY_THEIR_OWNERS) - numbers
    assert not [name for name in loose if not name.startswith(("model.network.", "model.optimizer."))]


def settings_at_their_edges(numbers):
    inner = ["model.optimizer.init_args.lr", "model.optimizer.init_args.eps", "model.schedule.init_args.warmup_steps"]
    names = sorted(numbers | {name for name in BOUNDS if name.startswith("model.network.")} | set(inner))
    return [(name, value) for name in names for value in EDGES]


def test_some_settings_at_their_edges(start, numbers):
    for name, value in random.Random(1).sample(settings_at_their_edges(numbers), 8):
        assert_handled(*start(f"--{name}={value}"))


@pytest.mark.slow
def test_all_settings_at_their_edges(start, numbers):
    for name, value in settings_at_their_edges(numbers):
        assert_handled(*start(f"--{name}={value}"))


TRAINING_PATHS = ["config", "runs", "data.source", "data.cache_dir", "data.tokenizer_from", "resume_from"]


@pytest.mark.parametrize("name", TRAINING_PATHS)
def test_a_path_of_training_that_is_wrong(train, capsys, name):
    Path("folder").mkdir()
    Path("file").write_text("no model\n")
    for value in ("folder", "missing", "file", "file/below"):
        if name in ("runs", "data.cache_dir") and value in ("folder", "missing"):
            continue  # it is made
        assert train(f"--{name}={value}", "--overwrite", "--trainer.max_steps=1", "--score_test=false") == 2, value
        assert_handled(2, capsys.readouterr().err)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_a_number_out_of_its_bounds_is_named(name):
    lowest, highest = BOUNDS[name]
    for value in (lowest - 1, highest + 1, highest * 1e6, float("nan"), float("inf"), -float("inf")):
        with pytest.raises(UserError, match=rf"{name} is .*; it must be from {lowest:,.0f} to {highest:,.0f}"):
            check_bounds({name: value})
    check_bounds({name: highest})
    check_bounds({name: lowest or 1})
    check_bounds({name: None})


def test_where_nothing_would_be_done_is_said():
    for name in NOT_ZERO:
        with pytest.raises(UserError, match=f"{name} is 0: nothing would be done"):
            check_bounds({name: 0})
    with pytest.raises(UserError, match=r"trainer\.devices is 1000000000; it must be from -1 to 1,024"):
        check_bounds({"trainer.devices": "1000000000"})
    check_bounds({"trainer.devices": "auto"})


@pytest.mark.parametrize("network", ["Transformer", "GRUEncoderDecoder"])
def test_a_network_beyond_the_memory_of_the_machine_is_refused_before_it_is_built(network):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with pytest.raises(
        UserError, match=r"a network of [\d,]+ weights takes [\d,]+ GB .* this machine has [\d,]+ GB; lower"
    ):
        check_size(f"beamtrain.model.{network}", {"vocab_size": 1_000_000, "width": 65_536})
    check_size(f"beamtrain.model.{network}", {"vocab_size": 100, "width": 16, "heads": 2})
    check_size("someone.elses.Network", {"width": 1e30})
    assert torch.equal(before, torch.get_rng_state())
