"""Shared fixtures: a tokenizer, and run folders small enough to be made within a test."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: a second thread only waits
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so it is, inherited, for what a script runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

import torch
from tiny import SENTENCES, Echo
from words import CONFIG, write_corpus

from beamtrain.cli import main
from beamtrain.data.tokenizer import Tokenizer, train_subwords
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.runs.description import Description, save_description
from beamtrain.runs.weights import save_weights
from beamtrain.search.options import SearchOptions

settings.register_profile("beside others", deadline=None)  # how long an example takes is not what is tested
settings.load_profile("beside others")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named after their argument: what they hold may tell the time, and every worker must collect alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """320 subwords, 256 of them bytes: it can spell every text."""
    return Tokenizer(
        train_subwords(
            SENTENCES,
            vocab_size=320,
            algorithm="unigram",
            byte_fallback=True,
            character_coverage=1.0,
            normalization="nmt_nfkc",
        )
    )


@pytest.fixture(scope="session")
def transformer(tokenizer: Tokenizer) -> Transformer:
    """A random Transformer: it talks nonsense, but different nonsense for different lines."""
    torch.manual_seed(3)
    network = Transformer(
        vocab_size=tokenizer.target.vocab_size, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    return network.eval()


@pytest.fixture(scope="session")
def transformer_run(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, transformer: Transformer) -> Path:
    """The random Transformer as a run's folder."""
    arguments = {"width": 16, "inner_width": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    return _write_run(
        tmp_path_factory.mktemp("transformer"), transformer, "beamtrain.model.Transformer", arguments, tokenizer
    )


@pytest.fixture
def gru_run(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    """A random recurrent network as a run's folder."""
    torch.manual_seed(4)
    arguments = {"width": 16, "heads": 2, "encoder_layers": 2, "decoder_layers": 3}
    network = GRUEncoderDecoder(tokenizer.target.vocab_size, **arguments)
    return _write_run(tmp_path / "gru", network, "beamtrain.model.GRUEncoderDecoder", arguments, tokenizer)


@pytest.fixture(scope="session")
def words_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), rows=300)


@pytest.fixture
def train(words_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `beamtrain train` in an empty folder with tiny settings; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(words_corpus / "cache"))
    Path("tiny.yaml").write_text(CONFIG.format(corpus=words_corpus, vocab_size=36))
    return lambda *arguments: main(["train", "--config", "tiny.yaml", *arguments])


@pytest.fixture
def echo_run(tmp_path: Path, tokenizer: Tokenizer) -> Path:
    """The echo as a run's folder, for tests that stay in this process."""
    return _write_run(tmp_path / "echo", Echo(tokenizer.target.vocab_size), "tiny.Echo", {}, tokenizer)


def _write_run(folder: Path, network: Seq2Seq, class_path: str, arguments: dict, tokenizer: Tokenizer) -> Path:
    folder.mkdir(exist_ok=True)
    arguments = {"vocab_size": tokenizer.target.vocab_size, **arguments}
    save_description(folder, Description(class_path, arguments, "en", "de", SearchOptions(beam_size=2)))
    save_weights(folder, network.state_dict(), {"step": 70, "dev_score": None})
    tokenizer.save(folder)
    return folder
