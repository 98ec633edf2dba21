"""The cache of prepared corpora: found again, never trusted when it should not be."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_up_corpora import HOSTILE, sentences, write_split

from beamtrain.base.errors import UserError
from beamtrain.data import encode, prepare, workers
from beamtrain.data.corpus import open_corpus
from beamtrain.data.table import TokenTableWriter
from beamtrain.data.tokenizer import BOS, EOS, UNK


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("prepared again")


def test_what_cleaning_drops_is_counted_and_evaluation_is_whole(corpus, data):
    source, target = sentences(300, seed=1)
    extra = [("", "x"), ("x", " \u2028"), (source[0], target[0]), ("a " * 150, "b " * 150), ("one", "one " * 9)]
    for side, lines in enumerate((source, target)):
        lines += [pair[side] for pair in extra]
    write_split(corpus, "train", source, target)
    write_split(corpus, "val", ["", "a", "a", "x " * 300], ["", "b", "b", "y"])
    opened = data()
    counts = opened.cleaning
    assert (counts.read, counts.kept) == (305, 300)
    assert (counts.empty, counts.duplicate, counts.too_long, counts.length_ratio) == (2, 1, 1, 1)
    assert sorted(row for batch in opened.train_dataloader() for row in batch.index.tolist()) == list(range(300))
    assert sorted(row for batch in opened.val_dataloader() for row in batch.index.tolist()) == [0, 1, 2, 3]
    assert opened.pairs("validation") == (["", "a", "a", "x " * 300], ["", "b", "b", "y"])


def test_duplicates_can_stay(corpus, data):
    source, target = sentences(300, seed=1)
    write_split(corpus, "train", source * 2, target * 2)
    assert data().cleaning.kept == 300
    assert data(deduplicate=False).cleaning.kept == 600


def test_rows_are_those_of_the_corpus(corpus, data):
    source, target = sentences(300, seed=1)
    write_split(corpus, "train", ["", *source], ["x", *target])
    opened = data()
    lines, _ = opened.pairs("train")
    for batch in opened.train_dataloader():
        texts = opened.tokenizer.source.decode([row[row > 3].tolist() for row in batch.source])
        assert texts == [lines[index] for index in batch.index]


def test_a_second_start_finds_it(data, monkeypatch):
    first = data()
    tokens = contents(first._ready().folder)
    monkeypatch.setattr(prepare, "clean_text", refuse)
    assert contents(data(num_workers=2, batch_tokens=999, seed=5, subword_sampling=0.1)._ready().folder) == tokens
    with pytest.raises(AssertionError, match="prepared again"):
        data(vocab_size=321).prepare_data()


@pytest.mark.parametrize(
    "setting",
    [
        {"vocab_size": 330},
        {"subwords": "bpe"},
        {"joint_vocabulary": False},
        {"byte_fallback": False, "vocab_size": 100},
        {"character_coverage": 0.99},
        {"max_length": 12},
        {"max_length_ratio": 1.5},
        {"deduplicate": False},
        {"train_rows": 200},
        {"source_lang": "de", "target_lang": "en"},
    ],
)
def test_another_setting_is_another_corpus(data, setting):
    assert data(**setting)._ready().folder != data()._ready().folder


def test_a_changed_file_is_noticed(corpus, data):
    before = data()
    before.prepare_data()
    lines = (corpus / "val.en").read_text().replace("red", "blue")
    stamp = (corpus / "val.en").stat()
    (corpus / "val.en").write_text(lines)
    os.utime(corpus / "val.en", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = data()
    assert after._ready().folder != before._ready().folder
    assert after.pairs("validation")[0] == lines.splitlines()


def test_the_first_rows_only(data):
    assert data(train_rows=250).cleaning.read == 250
    assert data(train_rows=10_000).cleaning.read == 300


@pytest.mark.parametrize("settings", [{}, {"subwords": "bpe", "subword_sampling": 0.1}])
def test_hostile_text_trains_and_evaluates(corpus, data, settings):
    hostile = [side for pair in HOSTILE for side in pair]
    lines = sentences(300, seed=1)[0] + hostile
    write_split(corpus, "train", lines, lines)
    write_split(corpus, "val", hostile, hostile)
    opened = data(vocab_size=360, **settings)
    assert opened.cleaning.read == 300 + len(hostile)
    assert opened.pairs("train") == (lines, lines)
    assert opened.cleaning.kept == sum(len(batch) for batch in opened.train_dataloader())
    batches = list(opened.val_dataloader())
    assert sorted(row for batch in batches for row in batch.index.tolist()) == list(range(len(hostile)))
    for batch in batches:
        for row, tokens in zip(batch.index.tolist(), batch.source.tolist(), strict=True):
            assert tokens.count(EOS) == 1
            assert not {BOS, UNK} & set(tokens)
            assert tokens[: tokens.index(EOS)] == opened.tokenizer.source.encode([hostile[row]])[0]


def test_the_vocabulary_knows_training_text_only(corpus, data):
    write_split(corpus, "val", ["ж" * 5] * 50, ["щ" * 5] * 50)
    pieces = set(data().tokenizer.source.pieces(list(range(320))))
    assert not pieces & {"ж", "щ"}


def test_a_given_tokenizer_is_used(corpus, data, tmp_path):
    given = data().tokenizer
    given.save(tmp_path / "run")
    write_split(corpus, "train", *sentences(300, seed=9))
    assert data(tokenizer_from=str(tmp_path / "run")).tokenizer.fingerprint() == given.fingerprint()
    assert data().tokenizer.fingerprint() != given.fingerprint()
    for setting, message in (
        ({"vocab_size": 340}, r"data\.vocab_size is 340, but the tokenizer in .*run was made with 320; set it to that"),
        (
            {"joint_vocabulary": False},
            r"data\.joint_vocabulary is false, but the tokenizer in .*run was made with true",
        ),
        ({"target_normalization": "nfkc"}, r"data\.target_normalization is nfkc, but .* was made with identity"),
    ):
        with pytest.raises(UserError, match=message):
            data(tokenizer_from=str(tmp_path / "run"), **setting).prepare_data()


def test_several_processes_give_the_same_corpus(data, monkeypatch):
    alone = contents(data()._ready().folder)
    shutil.rmtree(data()._ready().folder)
    monkeypatch.setattr(workers, "_SPAN_ROWS", 16)
    monkeypatch.setattr(workers, "processors", lambda: 2)
    assert contents(data()._ready().folder) == alone


def test_a_large_text_is_sampled_for_the_vocabulary(data, monkeypatch):
    whole = data().tokenizer.fingerprint()
    monkeypatch.setattr(encode, "SAMPLE_PAIRS", 120)
    folder = data()._ready().folder
    shutil.rmtree(folder)
    sampled = data().tokenizer.fingerprint()
    shutil.rmtree(folder)
    assert sampled != whole
    assert data().tokenizer.fingerprint() == sampled


def test_an_interruption_leaves_nothing_behind(data, monkeypatch, tmp_path):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "encode_whole", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data().prepare_data()
    assert not [path for path in (tmp_path / "cache" / "prepared").iterdir() if path.is_dir()]
    assert data().cleaning.kept == 300


def prepare_here(corpus: Path, changed: dict) -> Path:
    """Prepare the corpus as `TranslationData` does, without Lightning, with functions of `prepare` changed."""
    for name, function in changed.items():
        setattr(prepare, name, function)
    cache = corpus.parent / "cache"
    no_names = {"train": None, "validation": None, "test": None}
    splits = open_corpus(
        str(corpus), source_lang="en", target_lang="de", config_name=None, split_names=no_names, cache_dir=cache
    )
    return prepare.prepare(
        splits,
        cache_dir=cache,
        tokenizer=None,
        vocab_size=320,
        algorithm="unigram",
        joint=True,
        byte_fallback=True,
        character_coverage=1.0,
        normalization={"source": "nmt_nfkc", "target": "identity"},
        max_length=100,
        max_length_ratio=4.0,
        deduplicate=True,
        train_rows=None,
    ).folder


def start(corpus: Path, changed: dict):
    process = multiprocessing.get_context("spawn").Process(target=prepare_here, args=(corpus, changed))
    process.start()
    return process


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_preparation_is_redone(corpus, tmp_path):
    process = start(corpus, {"encode_whole": die})
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    left = list((tmp_path / "cache" / "prepared").glob("*.part"))
    assert left and (left[0] / "train.source.tokens.npy").exists()
    folder = prepare_here(corpus, {})
    assert folder == left[0].with_suffix("")
    assert json.loads((folder / "manifest.json").read_text())["cleaning"]["read"] == 300
    assert not left[0].exists()


@pytest.mark.parametrize("damage", ["truncate", "remove", "no manifest", "broken manifest"])
def test_a_damaged_corpus_is_made_again(data, damage):
    folder = data()._ready().folder
    good = contents(folder)
    victim = folder / ("manifest.json" if "manifest" in damage else "train.target.tokens.npy")
    if damage == "truncate":
        os.truncate(victim, victim.stat().st_size - 1)
    elif damage == "broken manifest":
        victim.write_text("{")
    else:
        victim.unlink()
    assert contents(data()._ready().folder) == good


def count_and_clean(log: Path, *arguments):
    with open(log, "a") as file:
        file.write("x")
    return encode.clean_text(*arguments)


def test_two_processes_at_once_prepare_once(corpus, tmp_path):
    log = tmp_path / "preparations"
    both = [start(corpus, {"clean_text": partial(count_and_clean, log)}) for _ in range(2)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "x"


def test_subwords_learnt_apart_are_the_same(data, monkeypatch):
    here = contents(data()._ready().folder)
    shutil.rmtree(data()._ready().folder)
    monkeypatch.setattr(prepare, "_LARGE", 10)
    assert contents(data()._ready().folder) == here


@pytest.mark.parametrize(("split", "message"), [("train", "the train split"), ("val", "the validation split")])
def test_an_empty_split(corpus, data, split, message):
    write_split(corpus, split, [], [])
    with pytest.raises(UserError, match=rf"{message} \({split}\) is empty"):
        data().prepare_data()


def test_nothing_left_after_cleaning(corpus, data):
    write_split(corpus, "train", ["word " * 20] * 5, ["word"] * 5)
    with pytest.raises(UserError, match=r"nothing is left to train on: 0 of 5 .*4 duplicate, 0 too long, 1 length"):
        data(vocab_size=266).prepare_data()


def test_a_vocabulary_too_large_for_the_text(data):
    with pytest.raises(UserError, match=r"vocab_size 8000 is more than the training text can fill: set it to \d+"):
        data(vocab_size=8000).prepare_data()


def test_a_cache_that_cannot_be_written(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cache_dir .*file: cannot be written \(Not a directory\)"):
        data(cache_dir=str(tmp_path / "file")).prepare_data()


def test_a_full_disk(data, monkeypatch, tmp_path):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(TokenTableWriter, "append", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); choose another folder"):
        data().prepare_data()
    assert not list((tmp_path / "cache" / "prepared").glob("*.part"))


def test_tokens_take_two_bytes(data):
    tables = data()._ready().tables("train")
    assert np.load(data()._ready().folder / "train.source.tokens.npy", mmap_mode="r").dtype == np.uint16
    assert len(tables[0]) == len(tables[1]) == len(tables[2]) == 300
