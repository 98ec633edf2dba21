"""A run's folder: whole, or refused with what is wrong with it. Loading never runs what a file contains."""

import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import SENTENCES

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer, train_subwords
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.runs.checkpoints import load_checkpoint, save_checkpoint
from beamtrain.runs.description import Description, save_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import load_weights, save_weights

SCORE = {"name": "BLEU", "value": 3.5, "signature": "tok:13a"}


@pytest.fixture
def run(transformer_run, tmp_path):
    """A copy of a run's folder, to break."""
    return shutil.copytree(transformer_run, tmp_path / "run")


def test_the_network_comes_back_as_it_was(run, transformer):
    loaded = load_run(run)
    assert not loaded.network.training
    for name, value in transformer.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_a_recurrent_network_comes_back_as_it_was(gru_run):
    network, written = load_run(gru_run).network, load_file(gru_run / "model.safetensors")
    assert isinstance(network, GRUEncoderDecoder) and not network.training
    parameters = dict(network.named_parameters())
    assert parameters.keys() == written.keys()
    for name, value in parameters.items():
        assert torch.equal(value, written[name])


def test_a_shared_table_is_written_once_and_the_weights_say_where_they_are_from(run, transformer):
    save_weights(run, transformer.state_dict(), {"step": 12, "dev_score": SCORE})
    names = load_file(run / "model.safetensors")
    assert "target_embedding.table.weight" in names and "source_embedding.table.weight" not in names
    assert load_run(run).weights == {"step": 12, "dev_score": SCORE}


def test_without_weights_of_its_own_a_run_is_read_from_its_best_checkpoint(run, transformer):
    (run / "model.safetensors").unlink()
    (run / "checkpoints").mkdir()
    state = {f"network.{name}": value + 1 for name, value in transformer.state_dict().items()}
    torch.save({"state_dict": state, "global_step": 7, "dev_score": SCORE}, run / "checkpoints" / "best.ckpt")
    loaded = load_run(run)
    assert loaded.weights["step"] == 7
    bias = "encoder_norm.bias"
    assert torch.equal(loaded.network.state_dict()[bias], transformer.state_dict()[bias] + 1)


class Buffered(Transformer):
    """A network with what no optimiser trains: running figures, a buffer without elements, a view, a shared buffer."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1)
        self.figures = torch.nn.BatchNorm1d(4)
        self.register_buffer("scale", torch.ones(3))
        self.register_buffer("first", self.scale[:1])
        self.register_buffer("again", self.scale)
        self.register_buffer("none", torch.zeros(0))
        self.register_buffer("none_either", torch.zeros(0, 2))


@pytest.mark.parametrize("kept_in", ["model.safetensors", "checkpoints/best.ckpt"])
def test_what_a_network_has_besides_its_parameters_comes_back_too(tmp_path, tokenizer, kept_in):
    arguments = {"vocab_size": tokenizer.target.vocab_size}
    network = Buffered(**arguments)
    for buffer in network.buffers():
        buffer.random_(100)
    tokenizer.save(tmp_path)
    save_description(tmp_path, Description(f"{__name__}.Buffered", arguments, "en", "de"))
    if kept_in == "model.safetensors":
        save_weights(tmp_path, network.state_dict())
    else:
        (tmp_path / "checkpoints").mkdir()
        state = {f"network.{name}": value for name, value in network.state_dict().items()}
        save_checkpoint({"state_dict": state, "global_step": 1}, tmp_path / kept_in)
    back = load_run(tmp_path).network.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(back[name], value), name


def broken(run, file, content):
    (run / file).write_bytes(content)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda run: shutil.rmtree(run), "there is no such folder; give a run's folder"),
        (lambda run: (run / "model.json").unlink(), "not a run's folder, it has no model.json"),
        (lambda run: broken(run, "model.json", b"{"), "model.json is damaged"),
        (lambda run: broken(run, "model.json", b"[]"), r"model.json is \[\]; it must be names with values"),
        (
            lambda run: (run / "model.safetensors").unlink(),
            "no weights yet, neither model.safetensors nor a checkpoint",
        ),
        (lambda run: broken(run, "model.safetensors", b"\0" * 20), "model.safetensors is damaged"),
        (lambda run: (run / "tokenizer.model").unlink(), "tokenizer"),
    ],
)
def test_a_broken_folder_is_one_clear_line(run, damage, message):
    damage(run)
    with pytest.raises(UserError, match=message):
        load_run(run)


def edited(run, **arguments):
    info = json.loads((run / "model.json").read_text())
    info["network"].update(arguments)
    (run / "model.json").write_text(json.dumps(info))


def test_files_that_do_not_belong_together_are_refused(run):
    description = json.loads((run / "model.json").read_text())["network"]
    edited(run, class_path="os.system")
    with pytest.raises(UserError, match=r"names the network os\.system, which is not a subclass"):
        load_run(run)
    edited(run, class_path="beamtrain.model.Transformer", arguments={**description["arguments"], "width": 32})
    with pytest.raises(UserError, match=r"model.safetensors does not fit the network of model.json"):
        load_run(run)
    edited(run, arguments={**description["arguments"], "encoder_layers": 2})
    with pytest.raises(UserError, match=r"lacks \d+ of the network's tensors, first encoder.1"):
        load_run(run)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_malicious_checkpoint_is_refused_and_not_run(tmp_path):
    checkpoint, victim = tmp_path / "last.ckpt", tmp_path / "written"
    with open(checkpoint, "wb") as file:
        pickle.dump({"state_dict": {}, "evil": Malicious(victim)}, file)
    with pytest.raises(UserError, match=r"last.ckpt is not a checkpoint that can be read"):
        load_checkpoint(checkpoint)
    torch.save({"state_dict": {}, "evil": Malicious(victim)}, checkpoint)
    with pytest.raises(UserError, match=r"last.ckpt is not a checkpoint that can be read"):
        load_checkpoint(checkpoint)
    assert not victim.exists()


@pytest.mark.parametrize("content", [{}, {"state_dict": 5}, {"state_dict": {1: 2}}, {"state_dict": {"network.a": 1}}])
def test_a_checkpoint_of_something_else_is_refused(run, content):
    (run / "model.safetensors").unlink()
    (run / "checkpoints").mkdir()
    torch.save(content, run / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=r"best.ckpt (is not a training checkpoint|lacks)"):
        load_run(run)


@pytest.mark.parametrize("about", ["[]", "null", "5", "{"])
def test_weights_that_say_nonsense_about_themselves_are_refused(run, about):
    save_file(load_file(run / "model.safetensors"), run / "model.safetensors", {"about": about})
    with pytest.raises(UserError, match=r"model.safetensors is damaged"):
        load_run(run)


def test_a_file_that_is_no_training_checkpoint_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other.pt is not a training checkpoint: it holds no state_dict"):
        load_checkpoint(tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"there is no checkpoint"):
        load_checkpoint(tmp_path / "missing.ckpt")


def test_a_changed_byte_in_the_weights_is_found_or_changes_nothing(tmp_path):
    weights = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
    about = {"step": 12, "dev_score": SCORE}
    save_weights(tmp_path, weights, about)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    found = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x01]) + content[place + 1 :])
        try:
            read, said, _ = load_weights(tmp_path)
        except UserError as error:
            assert "model.safetensors is damaged" in str(error)
            found += 1
        else:
            assert said == about and all(torch.equal(read[name], weights[name]) for name in weights)
    assert found > 0.9 * len(content)


def test_weights_that_were_cut_off_are_found(run):
    path = run / "model.safetensors"
    content = path.read_bytes()
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"model.safetensors is damaged.*checkpoints/best.ckpt is used"):
            load_run(run)


@pytest.fixture
def somebody_elses(transformer_run):
    """A run in a folder that everybody may look into, and this process one of a user who owns nothing there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run = shutil.copytree(transformer_run, Path(folder, "run"))
        run.chmod(0o755)
        before = os.geteuid()
        yield run, lambda: os.seteuid(65534) if before == 0 else None
        os.seteuid(before)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "tokenizer.model", "checkpoints/best.ckpt"])
def test_a_file_that_this_user_may_not_read_is_not_called_damaged(somebody_elses, name):
    run, become_somebody_else = somebody_elses
    if name == "checkpoints/best.ckpt":
        (run / "checkpoints").mkdir()
        (run / "model.safetensors").rename(run / name)
    (run / name).chmod(0)
    become_somebody_else()
    with pytest.raises(UserError) as error:
        load_run(run)
    assert str(run / name) in str(error.value) and "Permission denied" in str(error.value)
    assert "damaged" not in str(error.value)


def test_a_tokenizer_of_another_run_is_refused(run):
    settings = {"vocab_size": 310, "byte_fallback": True, "character_coverage": 1.0, "normalization": "identity"}
    words = train_subwords(SENTENCES, algorithm="unigram", **settings)
    Tokenizer(words).save(run)
    with pytest.raises(UserError, match=r"tokenizer has 310 source subwords, and the network 320"):
        load_run(run)
