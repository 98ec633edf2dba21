"""Small corpora, made within a test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import sentences, write_split

from beamtrain.data.datamodule import TranslationData


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of parallel text: 300 training, 30 validation and 20 test pairs."""
    folder = tmp_path / "corpus"
    for name, count, seed in (("train", 300, 1), ("val", 30, 2), ("test_2016_flickr", 20, 3)):
        write_split(folder, name, *sentences(count, seed))
    return folder


@pytest.fixture
def data(corpus: Path, tmp_path: Path) -> Callable[..., TranslationData]:
    """Opens that corpus; keyword arguments are settings."""

    def open_data(**settings: object) -> TranslationData:
        defaults = {"source": str(corpus), "vocab_size": 320, "max_length": 100, "cache_dir": str(tmp_path / "cache")}
        return TranslationData(**{**defaults, "batch_tokens": 400, **settings})  # type: ignore[arg-type]

    return open_data
