"""Small corpora, made within a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_corpora import sentences, write_split

from beamtrain.data.datamodule import TranslationData


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of parallel text: 300 training, 30 validation and 20 test pairs."""
    folder = tmp_path / "corpus"
    for name, count, seed in (("train", 300, 1), ("val", 30, 2), ("test_2016_flickr", 20, 3)):
        write_split(folder, name, *sentences(count, seed))
    return folder


@pytest.fixture
def small(corpus: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings for that corpus, whose vocabulary is small."""
    cache = str(tmp_path / "cache")
    return {"source": str(corpus), "vocab_size": 320, "max_length": 100, "batch_tokens": 400, "cache_dir": cache}


@pytest.fixture
def data(small: dict[str, Any]) -> Callable[..., TranslationData]:
    """Opens that corpus; keyword arguments are further settings."""
    return lambda **more: TranslationData(**{**small, **more})
