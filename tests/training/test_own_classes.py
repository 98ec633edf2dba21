"""Classes from a module of the user's own: in training, in every process, and when the run is loaded again."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
import yaml
from words import write_corpus

from beamtrain.base.errors import UserError
from beamtrain.base.plugins import import_modules
from beamtrain.cli import main
from beamtrain.model import Transformer
from beamtrain.runs.loading import load_run

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
SECTION = PAGE[PAGE.index("## Classes of your own") :]
TINY = (
    "--data.source=corpus --data.vocab_size=36 --data.byte_fallback=false --model.network.width=16 "
    "--model.network.inner_width=32 --model.network.heads=2 --model.network.encoder_layers=1 "
    "--model.network.decoder_layers=1 --trainer.max_steps=2 --trainer.val_check_interval=2 --trainer.accelerator=cpu "
    "--score_test=false"
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def commands():
    return re.search(r"```\n(beamtrain .*?)```", SECTION, re.DOTALL)[1].splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the page shows, and the runs that its commands make."""
    folder = tmp_path_factory.mktemp("own")
    write_corpus(folder / "corpus", rows=300)
    (folder / "my_module.py").write_text(blocks("python")[0])
    for name, text in zip(("my_parts.yaml", "my_beam.yaml"), blocks("yaml"), strict=True):
        (folder / name).write_text(text)
    (folder / "in.txt").write_text("red cat\n\nold dog\n")
    return folder


@contextmanager
def unknown(folder):
    """In that folder, with `my_module` imported by nobody, before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", sys.path[:])
        sys.modules.pop("my_module", None)
        yield patch
        sys.modules.pop("my_module", None)


@pytest.fixture(scope="module")
def outputs(place):
    """What the page's commands print; those that train get settings for a tiny run."""
    return [typed(place, f"{line} {TINY}" if " train " in line else line) for line in commands()]


def typed(place, line):
    """The standard output of a command line, typed in that folder by someone who has imported nothing."""
    with unknown(place) as patch, redirect_stdout(StringIO()) as printed:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        command, _, file = line.partition(" < ")
        assert main([*command.split()[1:], *(["--input", file, "--output", "out.txt"] if file else [])]) == 0
        return Path("out.txt").read_text() if file else printed.getvalue()


class TestThePage:
    def test_its_commands_train_and_translate(self, outputs, place):
        first, second, translations = outputs
        assert "beamtrain translate --model runs/my_parts --import my_module <" in first
        assert "beamtrain translate --model runs/my_beam --import my_module <" in second
        assert len(translations.splitlines()) == 3
        mine, beam = (
            yaml.safe_load((place / f"runs/{name}/config.yaml").read_text()) for name in ("my_parts", "my_beam")
        )
        assert mine["import"] == beam["import"] == []
        assert mine["model"]["objective"] == {
            "class_path": "my_module.ConfidencePenalty",
            "init_args": {"strength": 0.1},
        }
        assert beam["model"]["network"] == mine["model"]["network"]
        assert beam["model"]["objective"]["init_args"]["operator"]["class_path"] == "my_module.SquaredSoftSort"
        network = json.loads((place / "runs/my_beam/model.json").read_text())["network"]
        assert network["class_path"] == "my_module.BoundedTransformer" and network["import"] == ["my_module"]
        assert network["arguments"]["cap"] == 30.0 and network["arguments"]["vocab_size"] == 36

    def test_a_run_goes_on_with_the_classes_that_are_typed_again(self, outputs, place):
        printed = typed(place, f"{commands()[0]} {TINY} --resume --trainer.max_steps=3")
        assert "the run lies in runs/my_parts" in printed
        assert json.loads((place / "runs/my_parts/model.json").read_text())["network"]["import"] == ["my_module"]

    def test_without_its_module_the_run_is_not_loaded(self, outputs, place, capsys):
        with unknown(place):
            assert main(["translate", "--model=runs/my_beam", "--input=in.txt"]) == 2
        line = r"beamtrain: .*my_module.BoundedTransformer of a module .* add --import my_module\n"
        assert re.fullmatch(line, capsys.readouterr().err)

    def test_every_process_that_translates_imports_it(self, outputs, place):
        line = "beamtrain translate --model runs/my_beam --import my_module --processes 2 < in.txt"
        assert typed(place, line) == outputs[2]

    def test_so_does_every_process_that_trains(self, place):
        """By a class path and by `--import`, with data workers."""
        classes = "--import my_module --model.network=BoundedTransformer --model.objective=my_module.ConfidencePenalty"
        options = f"{classes} --name=two {TINY} --trainer.devices=2 --data.num_workers=1".split()
        result = subprocess.run(
            [sys.executable, "-P", "-m", "beamtrain.cli", "train", *options], cwd=place, capture_output=True, text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert "2 x cpu" in result.stderr and (place / "runs/two/model.safetensors").exists()

    def test_its_classes_keep_their_contracts(self, place):
        with unknown(place):
            import_modules(["my_module"])
            mine = sys.modules["my_module"]
        scores = torch.tensor([[3.0, 1.0, -torch.inf, 2.0]], requires_grad=True)
        weights = mine.SquaredSoftSort(0.01).select(scores, 2).dense(4)
        torch.testing.assert_close(weights, torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 1]]]), atol=1e-3, rtol=0)
        (gradient,) = torch.autograd.grad(mine.SquaredSoftSort(1.0).select(scores, 2).weights.amax(-1).sum(), scores)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
        network = mine.BoundedTransformer(9, cap=2.0, width=8, heads=2, encoder_layers=1, decoder_layers=1)
        assert network.logits(100 * torch.randn(3, 8)).abs().max() <= 2


class Net(Transformer):
    """A network of the tests' own, whose module is imported."""

    def __init__(self, vocab_size: int, layers: list[int] | None = None, kind: torch.dtype | None = None) -> None:
        super().__init__(vocab_size, width=8, inner_width=8, heads=2, encoder_layers=1, decoder_layers=1)


class NoVocabulary(Net):
    def __init__(self) -> None:
        super().__init__(36)


NETWORK = "--model.network=test_own_classes"


@pytest.mark.parametrize(
    "options, message",
    [
        ([f"{NETWORK}.NoVocabulary"], "whose __init__ takes no vocab_size: give it that argument$"),
        (
            [f"{NETWORK}.Net", "--data.joint_vocabulary=false"],
            "no source_vocab_size.*or set data.joint_vocabulary to true",
        ),
        ([f"{NETWORK}.Nothing"], "test_own_classes.*Nothing"),
        ([f"{NETWORK}.TestThePage"], "TestThePage"),
        (["--model.objective=nowhere.Objective"], "nowhere"),
    ],
)
def test_a_network_that_would_not_do_is_one_line(train, capsys, options, message):
    assert train(*options) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
    assert re.search(message, line)
    assert not Path("runs").exists()


def test_a_network_keeps_plain_settings_and_refuses_others(train, monkeypatch):
    assert train(f"{NETWORK}.Net", "--model.network.layers=[1,2]", "--trainer.max_steps=1", "--score_test=false") == 0
    assert type(load_run("runs/tiny").network) is Net
    model = Path("runs/tiny/model.json")
    text = model.read_text()
    assert json.loads(text)["network"]["import"] == ["test_own_classes"]
    model.write_text(text.replace('"layers"', '"lairs"'))
    with pytest.raises(UserError, match=r"model.json: the network .*Net has no .lairs.; did you mean layers"):
        load_run("runs/tiny")
    model.write_text(text)
    monkeypatch.delitem(sys.modules, "test_own_classes")
    with pytest.raises(UserError, match=r"test_own_classes\.Net of a module that is not imported"):
        load_run("runs/tiny")


MODULES = {
    "broken": ("x = 1\ny = undefined\n", r"NameError: name 'undefined' is not defined \(.*broken.py, line 2\)"),
    "misspelt": ("def f(:\n", r"SyntaxError: invalid syntax \(misspelt.py, line 1\)"),
    "quits": ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(.*quits.py, line 2\)"),
    "asks": ("import not_installed\n", r"ModuleNotFoundError: No module named 'not_installed' \(.*asks.py, line 1\)"),
    "nowhere": (None, "there is no such module, neither in /.* nor installed"),
    "file.py": (None, "give the name of a module, such as my_module for the file my_module.py"),
    "a-b": (None, "give the name of a module"),
    "": (None, "give the name of a module"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_imported_is_one_line(train, transformer_run, monkeypatch, capsys, name):
    text, message = MODULES[name]
    monkeypatch.setattr(sys, "path", sys.path[:])
    if text:
        Path(f"{name}.py").write_text(text)
        assert train(f"--model.objective={name}.Loss") == 2
        assert re.search(f"^beamtrain: {name}.Loss: its import raises {message}$", capsys.readouterr().err)
    Path("in").write_text("one\n")
    for command in (["train"], ["translate", "--model", str(transformer_run), "--input=in"]):
        assert main([*command, f"--import={name}"]) == 2
        assert re.search(rf"^beamtrain: --import {name}: .*{message}.*\n$", capsys.readouterr().err)


@pytest.mark.parametrize("text", ["import: mine", "import: [1]", "import: {a: b}"])
def test_a_config_imports_a_list(train, capsys, text):
    Path("more.yaml").write_text(text)
    assert train("--config=more.yaml") == 2
    assert "must be a list of modules, such as [my_module]" in capsys.readouterr().err


class TestAnnounced:
    """A distribution with an entry point in the group `beamtrain`."""

    @pytest.fixture
    def model(self, place, outputs, tmp_path):
        """A run whose network's module is imported by nobody."""
        with unknown(tmp_path):
            yield place / "runs" / "my_parts"

    def install(self, place, folder, announced):
        (folder / "mine-1.0.dist-info").mkdir(parents=True)
        (folder / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (folder / "mine-1.0.dist-info" / "entry_points.txt").write_text(f"[beamtrain]\nanything = {announced}\n")
        (folder / "my_module.py").write_text((place / "my_module.py").read_text())

    def test_needs_no_option(self, place, model, tmp_path):
        self.install(place, tmp_path / "site", "my_module")
        with pytest.raises(UserError, match="not imported"):
            load_run(model)
        sys.path.append(str(tmp_path / "site"))
        assert type(load_run(model).network).__module__ == "my_module"

    def test_brings_no_other_module(self, place, model, tmp_path):
        self.install(place, tmp_path / "site", "my_mod")
        (tmp_path / "site" / "my_mod.py").write_text("raise AssertionError")
        sys.path.append(str(tmp_path / "site"))
        with pytest.raises(UserError, match="not imported"):
            load_run(model)

    def test_is_told_if_it_is_broken(self, place, model, tmp_path):
        self.install(place, tmp_path / "site", "my_module")
        (tmp_path / "site" / "my_module.py").write_text("1 / 0")
        sys.path.append(str(tmp_path / "site"))
        with pytest.raises(
            UserError, match="which the distribution mine announces: its import raises ZeroDivisionError"
        ):
            load_run(model)

    def test_is_not_looked_for_where_the_user_happens_to_be(self, place, model, tmp_path, capsys):
        self.install(place, tmp_path, "my_module")
        (tmp_path / "other.py").touch()
        Path("in").write_text("one\n")
        assert main(["translate", "--model", str(model), "--input=in", "--import=other"]) == 2
        assert "add --import my_module" in capsys.readouterr().err
