"""model.json: whatever it says, it is taken, or refused in one line that names what is wrong."""

import copy
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.data.corpus import absolute
from beamtrain.runs.description import Description, load_description, save_description
from beamtrain.runs.loading import load_run
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.parallel_text import from_split
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Translator


def test_what_is_saved_comes_back(tmp_path):
    search = SearchOptions(beam_size=3, n_best=2, length_penalty="average", alpha=-0.5, max_length=7)
    corpus = {"source": "wmt/wmt14", "config_name": "de-en", "test_split": None}
    description = Description(
        "mine.Network",
        {"vocab_size": 9, "dropout": 0},
        "en",
        "dé",
        search,
        corpus,
        ["mine", "its"],
        ScoringOptions("chrf++", "zh"),
    )
    save_description(tmp_path, description)
    assert load_description(tmp_path) == description


def test_only_what_has_no_default_is_needed(tmp_path):
    network = {"class_path": "mine.Network", "arguments": {}}
    content = {"network": network, "source_lang": "en", "target_lang": "de"}
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert load_description(tmp_path) == Description("mine.Network", {}, "en", "de")


@pytest.fixture
def run(transformer_run, tmp_path):
    """A copy of a run's folder, to break."""
    return shutil.copytree(transformer_run, tmp_path / "run")


def at(content, path):
    """What lies at a dotted path, but for its last name, and that name."""
    *outer, last = path.split(".")
    for name in outer:
        content = content[name]
    return content, last


ABSENT = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("search", None, "model.json: search is null; it must be names with values"),
        ("search", [5], r"search is \[5\]; it must be names with values"),
        ("search.beam_size", "5", r"search: beam_size is '5'; it must be a whole number"),
        ("search.beam_size", True, "beam_size is True; it must be a whole number"),
        ("search.beam_size", 10**9, "search: beam_size is 1000000000; it must be 1,000 or less"),
        ("search.max_length", 1.5, "max_length is 1.5; it must be a whole number or null"),
        ("search.max_length", 10**30, r"max_length is 10+; it must be 1,000,000 or less"),
        ("search.length_penalty", "wu", "length_penalty is 'wu'; it must be gnmt or average or none"),
        ("search.beams", 5, "search has no 'beams'; did you mean beam_size"),
        ("search.alpha", float("nan"), "search: alpha is nan"),
        ("scoring.metric", "blue", "scoring: metric is 'blue'; it must be bleu or chrf"),
        ("scoring.tokenizer", "zh-moses", "scoring: tokenizer is 'zh-moses'; it must be 13a or intl"),
        ("scoring.tokeniser", "zh", "scoring has no 'tokeniser'; did you mean tokenizer"),
        ("source_lang", ABSENT, "model.json lacks source_lang"),
        ("target_lang", 5, "target_lang is 5; it must be text"),
        ("source_lang", "\ud800", r"source_lang is '.*'; it must be text"),
        ("corpus", [], r"corpus is \[\]; it must be names with values"),
        ("corpus.sauce", "x", "corpus has no 'sauce'; did you mean source"),
        ("corpus.source", 5, "corpus: source is 5; it must be text or null"),
        ("corpus.source", "a\0b", "corpus: source is .*; it must be text or null"),
        ("network", ABSENT, "model.json lacks network"),
        ("network.class_path", ["gru"], r"network: class_path is \['gru'\]; it must be text"),
        ("network.import", "mine", "network: import is 'mine'; it must be a list"),
        ("network.arguments", 5, "network: arguments is 5; it must be names with values"),
        ("network.arguments.vocab_size", ABSENT, "the network beamtrain.model.Transformer lacks vocab_size"),
        ("network.arguments.vocab_size", 10**15, r"vocab_size is 10+; it must be from 5 to 1,000,000"),
        ("network.arguments.heads", 0, "heads is 0; it must be from 1 to 1,024"),
        (
            "network.arguments.heads",
            3,
            "model.json: the network beamtrain.model.Transformer: width 16 must be even and a multiple of",
        ),
        ("network.arguments.width", 1.5, "width is 1.5; it must be a whole number"),
        ("network.arguments.width", 65_536, "model.json asks for a larger network than that of .*model.safetensors"),
        (
            "network.arguments.width",
            32,
            r"model.safetensors does not fit the network of model.json: .* is \(320, 16\), and",
        ),
        ("network.arguments.norm", None, "norm is null; it must be pre or post"),
        ("network.arguments.depth", 3, "the network beamtrain.model.Transformer has no 'depth'"),
        ("weights", {}, "model.json has no 'weights'"),
    ],
)
def test_what_is_wrong_is_named(run, path, value, message):
    content = json.loads((run / "model.json").read_text())
    place, name = at(content, path)
    if value is ABSENT:
        del place[name]
    else:
        place[name] = value
    (run / "model.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        load_run(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"9" * 5000, b"null", b'{"network": {}} x'])
def test_what_is_no_description_at_all(run, content, capsys):
    (run / "model.json").write_bytes(content)
    assert main(["translate", "--model", str(run)]) == 2
    assert capsys.readouterr().err.startswith(f"beamtrain: {run}/model.json is ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["gru", "de", 1, 2, 0.0]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def paths(content, before=""):
    """Every dotted path in the content."""
    for key, value in content.items():
        yield before + key
        if isinstance(value, dict):
            yield from paths(value, f"{before}{key}.")


@settings(max_examples=70, deadline=None)
@given(data=st.data())
def test_any_change_is_taken_or_refused(data, transformer_run, tmp_path_factory):
    """Nothing but UserError is raised by loading, by searching with its options, or by opening its corpus."""
    content = json.loads((transformer_run / "model.json").read_text())
    content["search"] = asdict(SearchOptions(beam_size=2))
    content["corpus"] = dict.fromkeys(("source", "config_name", "train_split", "validation_split", "test_split"))
    changed = copy.deepcopy(content)
    for path in data.draw(st.lists(st.sampled_from([*paths(content), "new", "search.new", "corpus.new"]), max_size=2)):
        try:
            place, name = at(changed, path)
            if data.draw(st.booleans()):
                del place[name]
            else:
                place[name] = data.draw(VALUES)
        except (KeyError, TypeError):  # the change before has taken its place away
            continue
    folder = tmp_path_factory.getbasetemp() / "changed"
    shutil.copytree(transformer_run, folder, dirs_exist_ok=True)
    (folder / "model.json").write_text(json.dumps(changed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beamtrain.data.corpus.load_hub_splits", lambda *_: {})
        try:
            run = load_run(folder)
            options = replace(run.description.search, max_length=3, beam_size=min(run.description.search.beam_size, 5))
            list(Translator(run.network, run.tokenizer, options).translate(["a"]))
            from_split(run, "test")
        except UserError as error:
            assert str(error)


def test_a_run_that_is_used_from_elsewhere_finds_its_corpus(train, words_corpus, tmp_path, capsys, monkeypatch):
    shutil.copytree(words_corpus, "here/corpus", ignore=shutil.ignore_patterns("cache"))
    names = {"source": "train", "validation_split": "validation", "test_split": "test"}
    files = [f"--data.{key}=here/corpus/{name}" for key, name in names.items()]
    assert train("--trainer.max_steps=1", "--score_test=false", *files) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["evaluate", "--model=../runs/tiny", "--split=test", "--beam=1", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluations"][0]["sentences"] == 12


@pytest.fixture
def corpora(tmp_path, monkeypatch):
    """A working directory with the files of a split called train, and a folder with a corpus."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for side in ("en", "de"):
        for name in ("train", "folder/dev"):
            Path(f"{name}.{side}").write_text("a\n")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "split", "whole_source", "whole_split"),
    [
        ("phrasebook", "train", "phrasebook", "train"),
        ("phrasebook", "folder/dev", "phrasebook", "{}/folder/dev"),
        ("wmt/wmt14", "train", "wmt/wmt14", "train"),
        ("folder", "dev", "{}/folder", "dev"),
        ("folder", "./train.en", "{}/folder", "{}/train.en"),
        ("folder", "train", "{}/folder", "train"),
        ("train", "folder/dev", "{}/train", "{}/folder/dev"),
        ("./folder/dev.de", None, "{}/folder/dev.de", None),
    ],
)
def test_only_files_get_whole_paths(corpora, source, split, whole_source, whole_split):
    corpus = {"source": source, "config_name": None, "train_split": split, "validation_split": None, "test_split": None}
    whole = whole_split and whole_split.format(corpora)
    expected = {**corpus, "source": whole_source.format(corpora), "train_split": whole}
    assert absolute(corpus, "en", "de") == expected
