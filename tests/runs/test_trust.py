"""Nothing reaches for the network unasked, and nothing that lies in a model's folder is executed."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import SENTENCES, Echo
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


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module that could be imported, here and from elsewhere, and never may be; neither may a program be run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    trap = "import pathlib\npathlib.Path('victim').touch()\nfrom tiny import Echo as Network\n"
    for name in ("evil.py", "installed/evil.py", "installed/package/__init__.py", "installed/package/evil.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(trap)
    monkeypatch.setattr(subprocess, "Popen", type("Popen", (), {"__init__": lambda *_, **__: Path("victim").touch()}))
    (tmp_path / "in").write_text("one\n")
    yield
    assert not Path("victim").exists()
    assert not {"evil", "package", "package.evil"} & set(sys.modules)


def describe(model: Path, **network: object) -> None:
    """Let model.json say that of the network."""
    info = json.loads((model / "model.json").read_text())
    info["network"].update(network)
    (model / "model.json").write_text(json.dumps(info))


NOT_IMPORTED = "module that is not imported; if it is yours, or you trust it, add --import"
STRANGERS = [
    ("evil.Network", NOT_IMPORTED),
    ("package.evil.Network", NOT_IMPORTED),
    ("evil.__loader__.Network", NOT_IMPORTED),
    ("subprocess.Popen", "not a subclass of beamtrain.model.Seq2Seq"),
    ("os.system", "not a subclass of beamtrain.model.Seq2Seq"),
    ("torch.nn.Linear", "not a subclass of beamtrain.model.Seq2Seq"),
    ("beamtrain.model.Seq2Seq", "not a subclass of beamtrain.model.Seq2Seq"),
    ("beamtrain.model.transformer.Transformer", "whose name is beamtrain.model.Transformer; write that"),
    ("beamtrain.model.Nothing", "the module beamtrain.model has no Nothing"),
    ("transformer", "not the path of a class"),
    ("evil:Network", "not the path of a class"),
    ("evil.Network; import os", "not the path of a class"),
    ("__import__", "not the path of a class"),
    ("..evil.Network", "not the path of a class"),
    (["evil", "Network"], "it must be text"),
    ({"class_path": "evil.Network"}, "it must be text"),
    (None, "it must be text"),
]


@pytest.mark.parametrize(("class_path", "message"), STRANGERS)
@pytest.mark.parametrize("command", ["translate --input=in", "evaluate --source=in --reference=in"])
def test_a_model_that_names_a_class_or_a_function_brings_nothing_with_it(
    evil, model: Path, class_path: object, message: str, command: str, capsys
):
    describe(model, class_path=class_path, **{"import": ["evil", "package.evil", "os;evil", 7]})
    name, *options = command.split()
    assert main([name, "--model", str(model), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and f"{model}/model.json" in line


def test_what_is_to_be_imported_is_said_with_what_was_imported_in_training(evil, model: Path):
    describe(model, class_path="package.evil.Network", **{"import": ["package.evil", "other", "not a module", 7]})
    with pytest.raises(UserError, match=r"add --import package\.evil --import other$"):
        load_run(model)
    describe(model, **{"import": []})
    with pytest.raises(UserError, match=r"add --import package\.evil$"):
        load_run(model)


def test_a_module_that_makes_its_names_as_they_are_asked_for_is_not_asked(evil, model: Path, monkeypatch):
    lazy = ModuleType("lazy")
    lazy.__getattr__ = lambda name: Path("victim").touch()  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    describe(model, class_path="lazy.Network")
    with pytest.raises(UserError, match="the module lazy has no Network"):
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


class Assembled(Echo):
    """A network of the user's own that takes an object, which a run can neither keep nor hand on."""

    def __init__(self, vocab_size: int, part: torch.nn.Module | None = None) -> None:
        super().__init__(vocab_size)


@pytest.mark.parametrize("part", ["evil.Network", "file", {"class_path": "evil.Network"}, ["evil.Network"]])
def test_nor_by_what_a_network_of_one_s_own_is_made_with(evil, model: Path, part: object, capsys):
    Path("file").write_text("class_path: evil.Network\n")
    (model / "config.yaml").write_text("data: {source: corpus}\n")
    describe(model, class_path=f"{__name__}.Assembled", arguments={"vocab_size": 320, "part": part})
    assert main(["train", "--init_from", str(model)]) == 2
    assert "part is not a setting that a run can hand on" in capsys.readouterr().err


def test_modules_in_the_folder_are_not_imported(model: Path, tmp_path: Path):
    for name in ("__init__", "modeling", "tokenizer", "conftest", "sitecustomize"):
        (model / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'victim')!r}).touch()\n")
    load_run(model)
    assert not (tmp_path / "victim").exists()


class TestToStartFrom:
    """`--init_from`: a stranger's run gives data settings, subwords and tensors, and no code."""

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

    @pytest.mark.parametrize(
        "class_path", ["evil.Network", "subprocess.Popen", "beamtrain.model.gru.GRUEncoderDecoder"]
    )
    def test_nor_is_a_class_that_its_model_json_names(self, start, model: Path, class_path: str, capsys):
        describe(model, class_path=class_path)
        assert start(f"import: [evil]\n{self.DATA}{self.NETWORK}") == 2
        assert f"model.json names the network {class_path}" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["tokenizer.model", "model.safetensors", "model.json"])
    def test_nor_is_a_pickle_unpickled(self, start, model: Path, name: str, tmp_path: Path):
        (model / name).write_bytes(pickle.dumps(Malicious(tmp_path / "victim")))
        assert start(self.DATA + self.NETWORK) == 2
