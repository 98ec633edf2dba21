"""Where text comes from: folders, files, the hub, the bundled corpus; and which split plays which role."""

from pathlib import Path

import datasets
import pyarrow.parquet
import pytest
from made_up_corpora import write_lines, write_split

from beamtrain.base.errors import UserError
from beamtrain.data import hub
from beamtrain.data.corpus import Text, choose_splits, open_corpus

ANY = {"train": None, "validation": None, "test": None}


def open_here(tmp_path: Path, source: str, **settings):
    settings = {"source_lang": "en", "target_lang": "de", "config_name": None, "split_names": ANY, **settings}
    return open_corpus(source, cache_dir=tmp_path / "cache", **settings)


def text(split) -> tuple[list[str], list[str]]:
    lines = Text(split.load())
    return lines.read(0, len(lines))


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (["train", "validation", "test"], {"train": "train", "validation": "validation", "test": "test"}),
        (["train", "val", "test_2016_flickr"], {"train": "train", "validation": "val", "test": "test_2016_flickr"}),
        (["training", "dev", "newstest2014"], {"train": "training", "validation": "dev", "test": "newstest2014"}),
        (["train", "valid", "test", "test_ood"], {"train": "train", "validation": "valid", "test": "test"}),
        (["train", "extra"], {"train": "train"}),
    ],
)
def test_split_names_say_their_role(available, chosen):
    assert choose_splits(available, ANY, "x") == chosen


def test_a_split_by_name():
    assert choose_splits(["train", "a", "b"], {**ANY, "test": "b"}, "x") == {"train": "train", "test": "b"}


def test_an_unknown_split_gets_a_suggestion():
    with pytest.raises(UserError, match=r"no split 'test_2016'; there are .*; did you mean 'test_2016_flickr'\?"):
        choose_splits(["train", "test_2016_flickr"], {**ANY, "test": "test_2016"}, "x")


def test_several_test_splits_need_a_choice():
    with pytest.raises(
        UserError, match=r"several test splits \(newstest2013, newstest2014\); choose one by test_split"
    ):
        choose_splits(["train", "newstest2013", "newstest2014"], ANY, "x")


def test_a_folder(corpus, tmp_path):
    splits = open_here(tmp_path, str(corpus))
    assert {role: split.name for role, split in splits.items()} == {
        "train": "train",
        "validation": "val",
        "test": "test_2016_flickr",
    }
    source, target = text(splits["train"])
    assert source == (corpus / "train.en").read_text().splitlines()
    assert target == (corpus / "train.de").read_text().splitlines()


def test_the_subfolder_of_a_config(corpus, tmp_path):
    corpus.rename(tmp_path / "de-en")
    assert set(open_here(tmp_path, str(tmp_path), config_name="de-en")) == {"train", "validation", "test"}


def test_files_by_path(corpus, tmp_path):
    names = {**ANY, "validation": str(corpus / "val"), "test": str(corpus / "test_2016_flickr.de")}
    for source in (corpus / "train.en", corpus / "train"):
        splits = open_here(tmp_path, str(source), split_names=names)
        assert {role: len(text(split)[0]) for role, split in splits.items()} == {
            "train": 300,
            "validation": 30,
            "test": 20,
        }
    with pytest.raises(UserError, match=r"nothing: no file there with text in en and de \(test split\)"):
        open_here(tmp_path, str(corpus / "train.en"), split_names={**ANY, "test": str(corpus / "nothing")})


def test_a_split_from_elsewhere(corpus, tmp_path):
    write_split(tmp_path / "other", "news", ["a"], ["b"])
    splits = open_here(tmp_path, str(corpus), split_names={**ANY, "test": str(tmp_path / "other" / "news")})
    assert text(splits["test"]) == (["a"], ["b"])


def test_a_split_without_a_slash_lies_with_the_others_and_never_just_here(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_split(tmp_path, "test", ["not this"], ["nor this"])
    with pytest.raises(UserError, match=r"no split 'test'; there are test_2016_flickr, train, val"):
        open_here(tmp_path, str(corpus), split_names={**ANY, "test": "test"})
    with pytest.raises(UserError, match=rf"{corpus}/test: no file there with text"):
        open_here(tmp_path, str(corpus / "train"), split_names={**ANY, "test": "test"})
    for source in (corpus, corpus / "train"):
        splits = open_here(tmp_path, str(source), split_names={**ANY, "validation": "val", "test": "./test"})
        assert text(splits["test"]) == (["not this"], ["nor this"])
        assert text(splits["validation"])[0] == (corpus / "val.en").read_text().splitlines()


def test_the_bundled_corpus(tmp_path):
    splits = open_here(tmp_path, "phrasebook")
    assert set(splits) == {"train", "validation", "test"}


def test_a_changed_file_is_another_text(corpus, tmp_path):
    before = open_here(tmp_path, str(corpus))["train"]
    again = open_here(tmp_path, str(corpus))["train"]
    content = (corpus / "train.en").read_bytes()
    (corpus / "train.en").write_bytes(b"X" + content[1:])
    after = open_here(tmp_path, str(corpus))["train"]
    assert before.fingerprint == again.fingerprint != after.fingerprint
    assert text(after)[0][0].startswith("X")
    assert open_here(tmp_path, str(corpus), source_lang="de", target_lang="en")["train"].fingerprint not in (
        before.fingerprint,
        after.fingerprint,
    )


def test_another_direction_is_another_text(tmp_path):
    write_lines(tmp_path / "train.tsv", ["en\tde\tfr", "one\teins\tun"])
    pairs = [("en", "de"), ("de", "en"), ("en", "fr")]
    splits = [open_here(tmp_path, str(tmp_path), source_lang=a, target_lang=b)["train"] for a, b in pairs]
    assert len({split.fingerprint for split in splits}) == 3
    assert [text(split) for split in splits] == [(["one"], ["eins"]), (["eins"], ["one"]), (["one"], ["un"])]


def test_text_reads_the_same_through_renewed_mappings(corpus, tmp_path, monkeypatch):
    split = open_here(tmp_path, str(corpus))["train"]
    monkeypatch.setattr(Text, "_ROWS_PER_MAPPING", 40)
    lines = Text(split.load())
    parts = [lines.read(start, start + 30) for start in range(0, 300, 30)]
    assert tuple([line for part in side for line in part] for side in zip(*parts, strict=True)) == text(split)


def test_interrupted_reading_leaves_nothing(corpus, tmp_path):
    (corpus / "train.de").write_bytes(b"\xff\n" * 300)
    with pytest.raises(UserError, match="not valid UTF-8"):
        text(open_here(tmp_path, str(corpus))["train"])
    assert list((tmp_path / "cache" / "text").iterdir()) == []


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "what is this"])
def test_no_such_place(tmp_path, source):
    with pytest.raises(UserError, match="no folder, and no file with text in en and de"):
        open_here(tmp_path, source)


def test_a_file_of_another_kind(tmp_path):
    write_lines(tmp_path / "train.txt", ["a"])
    with pytest.raises(UserError, match=r"train\.txt: no folder, and no file with text in en and de"):
        open_here(tmp_path, str(tmp_path / "train.txt"))


def test_a_folder_without_these_languages(corpus, tmp_path):
    with pytest.raises(UserError, match=r"no text found; expected for instance train\.en and train\.fr"):
        open_here(tmp_path, str(corpus), target_lang="fr")


@pytest.fixture
def small_hub(monkeypatch, tmp_path):
    """`load_dataset` answering with the rows of a hub data set, memory-mapped as it would give them."""
    rows = [{"translation": {"de": f"eins {i}", "en": f"one {i}"}} for i in range(5)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    files = {split: str(tmp_path / "rows.parquet") for split in ("train", "validation", "test")}
    load_dataset = datasets.load_dataset
    monkeypatch.setattr(hub, "_reachable", lambda: True)
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, config: load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "hf")),
    )


def test_the_hub(small_hub, tmp_path):
    splits = open_here(tmp_path, "wmt/wmt14", config_name="de-en")
    assert text(splits["train"]) == ([f"one {i}" for i in range(5)], [f"eins {i}" for i in range(5)])
    assert splits["train"].load().cache_files  # mapped from disk, not held in memory
    assert open_here(tmp_path, "wmt/wmt14")["train"].fingerprint == splits["train"].fingerprint


def test_a_language_the_hub_has_not(small_hub, tmp_path):
    with pytest.raises(UserError, match=r"wmt/wmt14: no language 'fr'; there are 'de', 'en'"):
        open_here(tmp_path, "wmt/wmt14", target_lang="fr")


def test_a_hub_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_reachable", lambda: False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "empty")
    with pytest.raises(
        UserError, match=r"^wmt/wmt14 \(config de-en\): .*; without the hub, give --data.source FOLDER .*$"
    ):
        open_here(tmp_path, "wmt/wmt14", config_name="de-en")


def test_a_hub_that_does_not_answer_is_given_up(monkeypatch):
    """A server that takes connections and stays silent."""
    import socket

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_PROBE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not hub._reachable()
