"""The data section of a config: its defaults, its settings' limits, its splits."""

import inspect
import math

import pytest

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData, default_cache


def test_every_setting_has_a_default_and_is_documented():
    described = inspect.getdoc(TranslationData)
    for name, parameter in inspect.signature(TranslationData).parameters.items():
        assert parameter.default is not inspect.Parameter.empty
        assert f"\n    {name}: " in described


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"train_rows": 0}, "data.train_rows is 0; it must be at least 1"),
        ({"vocab_size": 4}, "data.vocab_size is 4; it must be more than the 4 control pieces"),
        ({"vocab_size": -1}, "data.vocab_size is -1"),
        ({"character_coverage": 0.0}, "data.character_coverage is 0.0; it must be more than 0, at most 1"),
        ({"character_coverage": math.nan}, "data.character_coverage is nan"),
        ({"subword_sampling": -0.1}, "data.subword_sampling is -0.1; it must be from 0 to 1"),
        ({"subword_sampling": math.inf}, "data.subword_sampling is inf"),
        ({"max_length": 0}, "data.max_length is 0; it must be at least 1"),
        ({"max_length_ratio": 0.5}, "data.max_length_ratio is 0.5; it must be at least 1"),
        ({"max_length_ratio": math.nan}, "data.max_length_ratio is nan"),
        ({"batch_tokens": 100}, "data.batch_tokens is 100; it must be more than max_length, which is 100"),
        ({"eval_batch_tokens": 0}, "data.eval_batch_tokens is 0; it must be at least 1"),
        ({"num_workers": -1}, "data.num_workers is -1; it must be at least 0"),
        ({"seed": -1}, "data.seed is -1; it must be at least 0"),
    ],
)
def test_settings_at_their_edges(data, setting, message):
    with pytest.raises(UserError, match=message):
        data(**setting)


def test_no_limit_on_the_length_ratio(data):
    assert data(max_length_ratio=math.inf).cleaning.length_ratio == 0


def test_pairs_by_role_and_by_name(data, corpus):
    opened = data()
    source = (corpus / "test_2016_flickr.en").read_text().splitlines()
    assert opened.pairs("test") == opened.pairs("test_2016_flickr")
    assert opened.pairs("test")[0] == source
    assert opened.splits == {"train": "train", "validation": "val", "test": "test_2016_flickr"}


def test_a_split_that_plays_no_role(data, corpus):
    for language in ("en", "de"):
        (corpus / f"extra.{language}").write_text("one\n")
    assert data().pairs("extra") == (["one"], ["one"])


def test_an_unknown_split(data):
    with pytest.raises(UserError, match=r"no split 'tset'; there are test_2016_flickr, train, val"):
        data().pairs("tset")


@pytest.mark.parametrize(("split", "role"), [("train", "train"), ("val", "validation")])
def test_a_corpus_without_training_or_validation(data, corpus, split, role):
    for language in ("en", "de"):
        (corpus / f"{split}.{language}").unlink()
    with pytest.raises(UserError, match=rf"has no {role} split \(it has .*\); name one by data.{role}_split"):
        data().prepare_data()


def test_the_test_split_may_be_absent(data, corpus):
    for language in ("en", "de"):
        (corpus / f"test_2016_flickr.{language}").unlink()
    opened = data()
    opened.prepare_data()
    with pytest.raises(UserError, match="has no test split"):
        opened.pairs("test")


@pytest.mark.parametrize("source", [".", "train"])
def test_a_role_is_no_file_of_the_current_folder(data, corpus, monkeypatch, tmp_path, source):
    for language in ("en", "de"):
        (corpus / f"test_2016_flickr.{language}").unlink()
        (tmp_path / f"test.{language}").write_text("not this\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"has no test split \(it has .*train, val\); name one by data.test_split"):
        data(source=str(corpus / source), validation_split="val").pairs("test")


def test_preparing_says_what_was_dropped(data, capsys):
    opened = data()
    opened.prepare_data()
    out, err = capsys.readouterr()
    assert out == ""
    assert "300 of 300 training pairs kept; dropped: 0 empty, 0 duplicate, 0 too long, 0 length ratio" in err


def test_the_cache_lies_where_the_system_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "beamtrain"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "beamtrain"
