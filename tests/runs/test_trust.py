"""Nothing reaches for the network unasked, and nothing that lies in a model's folder is executed."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import SENTENCES
from words import write_corpus

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.runs.loading import load_run

NO_NETWORK = """
import socket
def refuse(*arguments, **named):
    raise AssertionError(f"the network is reached for: {arguments}")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = refuse
"""


def without_network(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", NO_NETWORK + code, *arguments], capture_output=True, text=True)


def test_the_guard_notices():
    assert "the network is reached for" in without_network("socket.create_connection(('localhost', 9))").stderr


def test_no_module_reaches_for_the_network_when_it_is_imported():
    code = """
import pkgutil, importlib, beamtrain
modules = [each.name for each in pkgutil.walk_packages(beamtrain.__path__, "beamtrain.")]
for name in modules:
    importlib.import_module(name)
print(len(modules))
"""
    result = without_network(code)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 80


def test_nor_does_translating(transformer_run: Path, tmp_path: Path):
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in SENTENCES))
    code = "import sys; from beamtrain.cli import main; sys.exit(main(sys.argv[1:]))"
    result = without_network(code, "translate", "--model", str(transformer_run), "--input", str(tmp_path / "in"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == len(SENTENCES)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self._victim = victim

    def __reduce__(self):
        return (Path.touch, (self._victim,))


@pytest.fixture
def model(transformer_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(transformer_run, tmp_path / "model")


@pytest.mark.parametrize(
    "name",
    ["torch.nn.Linear", "os.system", "beamtrain.model.Transformer", "subprocess.run", "__import__", "echo"],
)
def test_a_model_cannot_name_a_class_or_a_function(model: Path, name: str):
    info = json.loads((model / "model.json").read_text())
    info["network"]["name"] = name
    (model / "model.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"model.json names the network .* known: .*transformer"):
        load_run(model)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("arguments", {"vocab_size": "__import__('pathlib').Path('victim').touch()"}),
        ("arguments", {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "victim"]}}),
        ("arguments", {"vocab_size": 10**15}),
        ("arguments", {"vocab_size": -1}),
        ("search", {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "victim"]}}),
        ("search", {"beam_size": "!!python/object/apply:os.system ['touch victim']"}),
    ],
)
def test_what_its_settings_say_is_never_run(
    model: Path, part: str, value: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    info = json.loads((model / "model.json").read_text())
    place = info["network"] if part == "arguments" else info
    place[part] = value
    (model / "model.json").write_text(json.dumps(info))
    (tmp_path / "in").write_text("one\n")
    assert main(["translate", "--model", str(model), "--input", "in"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", ["tokenizer.model", "model.safetensors", "model.json"])
def test_a_pickle_under_another_name_is_not_unpickled(model: Path, name: str, tmp_path: Path):
    (model / name).write_bytes(pickle.dumps(Malicious(tmp_path / "victim")))
    with pytest.raises(UserError):
        load_run(model)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_a_checkpoint_in_place_of_the_weights_is_not_unpickled_either(model: Path, name: str, tmp_path: Path):
    (model / "model.safetensors").unlink()
    (model / "checkpoints").mkdir()
    torch.save({"state_dict": {}, "evil": Malicious(tmp_path / "victim")}, model / "checkpoints" / name)
    with pytest.raises(UserError):
        load_run(model)
    assert not (tmp_path / "victim").exists()


def test_modules_in_the_folder_are_not_imported(model: Path, tmp_path: Path):
    for name in ("__init__", "modeling", "tokenizer", "conftest", "sitecustomize"):
        (model / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'victim')!r}).touch()\n")
    load_run(model)
    assert not (tmp_path / "victim").exists()


class TestToStartFrom:
    """`--init_from`: a stranger's run gives data settings, subwords and tensors, and no code."""

    EVIL = "evil.Network"

    @pytest.fixture
    def start(self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Starts from a run with these settings; the exit code. Nothing of it may have been run."""
        monkeypatch.chdir(tmp_path)
        for folder in (tmp_path, model):  # a module that may be found by accident, too
            (folder / "evil.py").write_text(
                "import pathlib, torch\npathlib.Path('victim').touch()\nclass Network(torch.nn.Module): pass\n"
            )
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "corpus").mkdir()
        write_corpus(tmp_path / "corpus", rows=30)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

        def start(config: str) -> int:
            (model / "config.yaml").write_text(config)
            code = main(["train", "--init_from", str(model), "--name=new", "--trainer.max_steps=1",
                         "--trainer.accelerator=cpu", "--score_test=false"])  # fmt: skip
            assert not sys.modules.pop("evil", None) and not (tmp_path / "victim").exists()
            return code

        return start

    DATA = "data: {source: corpus, vocab_size: 320, target_normalization: nmt_nfkc}\n"
    NETWORK = (
        "model: {network: {class_path: beamtrain.model.Transformer, init_args: "
        "{width: 16, inner_width: 32, heads: 2, encoder_layers: 1, decoder_layers: 1}}}\n"
    )

    def test_an_honest_one_is_taken(self, start):
        assert start(self.DATA + self.NETWORK) == 0

    @pytest.mark.parametrize(
        "config",
        [
            DATA + "model: {network: {class_path: evil.Network}}",
            DATA + "model: {network: evil.Network}",
            DATA + "model: {network: {class_path: beamtrain.model.Transformer, init_args: "
            "{width: {class_path: evil.Network}}}}",
            "data: {source: {class_path: evil.Network}}\n" + NETWORK,
            "data: {class_path: evil.Network}\n" + NETWORK,
            "data: evil.Network\n" + NETWORK,
            "data: {source: corpus, vocab_size: 320, callback: evil.Network}\n" + NETWORK,
            "data: {source: !!python/object/apply:evil.Network []}\n" + NETWORK,
            "data: !!python/name:evil.Network\n" + NETWORK,
            DATA + "model: {network: !!python/module:evil }",
            "- evil",
            "",
        ],
    )
    def test_nothing_of_it_is_imported(self, start, capsys, config):
        assert start(config) in (0, 2)  # what is not looked at does no harm
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("beamtrain: ")]
        assert len(lines) <= 1 and not any("Traceback" in line for line in lines)

    def test_nor_is_a_class_that_its_model_json_names(self, start, model: Path, capsys):
        info = json.loads((model / "model.json").read_text())
        info["network"]["name"] = self.EVIL
        (model / "model.json").write_text(json.dumps(info))
        assert start(self.DATA + self.NETWORK) == 2
        assert "model.json names the network 'evil.Network'" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["tokenizer.model", "model.safetensors", "model.json"])
    def test_nor_is_a_pickle_unpickled(self, start, model: Path, name: str, tmp_path: Path):
        (model / name).write_bytes(pickle.dumps(Malicious(tmp_path / "victim")))
        assert start(self.DATA + self.NETWORK) == 2
