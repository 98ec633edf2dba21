"""Subwords: trained the same everywhere, reading any text as text, with sampling that a seed fixes."""

import inspect
import multiprocessing
import pickle
import re
from functools import cache
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_corpora import sentences

from beamtrain.base.errors import UserError
from beamtrain.data.datamodule import TranslationData
from beamtrain.data.tokenizer import (
    BOS,
    EOS,
    PAD,
    UNK,
    Normalization,
    SubwordModel,
    Tokenizer,
    train_subwords,
    train_tokenizer,
)

LINES = [line for side in sentences(200, seed=5) for line in side]
FOREIGN = [
    "你好，世界？",
    "「東京」は（とても）大きい！",
    "서울은 크다~",
    "½ … ﬁ ² ™ Ⅳ",
    "a\u00a0b\u3000c\td",
    "e\u0301 é",
    "ｶﾞ ガ",
]


def train(lines=LINES, **settings) -> SubwordModel:
    defaults = {
        "vocab_size": 330,
        "algorithm": "unigram",
        "byte_fallback": True,
        "character_coverage": 1.0,
        "normalization": "nmt_nfkc",
    }
    return train_subwords(lines, **{**defaults, **settings})


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def model(request) -> SubwordModel:
    return train(algorithm=request.param)


@pytest.fixture(scope="module", params=["joint", "separate"])
def default(request) -> Tokenizer:
    """As a config that says nothing of it has it."""
    settings = inspect.signature(TranslationData).parameters
    sides = {"source": [*LINES, *FOREIGN], "target": [*LINES, *FOREIGN]}
    return train_tokenizer(
        sides.__getitem__,
        joint=request.param == "joint",
        vocab_size=500,
        algorithm="unigram",
        byte_fallback=settings["byte_fallback"].default,
        character_coverage=settings["character_coverage"].default,
        normalization={side: settings[f"{side}_normalization"].default for side in ("source", "target")},
    )


def test_lines_come_back(model):
    assert model.decode(model.encode(LINES)) == LINES


def test_target_text_loses_nothing_and_source_text_is_normalised(default):
    assert default.target.decode(default.target.encode(FOREIGN)) == FOREIGN
    read = default.source.decode(default.source.encode(FOREIGN))
    assert read[:2] == ["你好,世界?", "「東京」は(とても)大きい!"] and read[4] == "a b c d"


@given(line=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n▁")))
def test_any_target_text_comes_back_but_for_more_than_one_space(line):
    model = _shared("identity")
    assert model.decode(model.encode([line])) == [re.sub(" +", " ", line).strip(" ")]


def test_a_joint_vocabulary_has_the_same_pieces_under_both_normalisations(default, tmp_path):
    default.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.joint == default.joint == (default.source.vocabulary == default.target.vocabulary)
    assert (loaded.source.normalization, loaded.target.normalization) == ("nmt_nfkc", "identity")
    assert loaded.fingerprint() == default.fingerprint()
    assert loaded.source.encode(LINES) == default.source.encode(LINES)
    assert default.source.sample(FOREIGN, 1e6, [1] * len(FOREIGN)) == default.source.encode(FOREIGN)
    assert default.target.sample(FOREIGN, 1e6, [1] * len(FOREIGN)) == default.target.encode(FOREIGN)


def test_one_normalisation_for_both_sides_is_one_model(tmp_path):
    """And the same pieces as when each side is normalised by itself, where it changes no target text."""
    sides = {"source": [*LINES, "½ … ﬁ ² ™"], "target": LINES}
    settings = {"vocab_size": 330, "algorithm": "unigram", "byte_fallback": True, "character_coverage": 1.0}
    same, other = (
        train_tokenizer(
            sides.__getitem__, joint=True, normalization={"source": "nmt_nfkc", "target": target}, **settings
        )
        for target in ("nmt_nfkc", "identity")
    )
    assert same.source is same.target and other.source is not other.target
    assert same.source.serialized == other.source.serialized
    assert same.source.encode(LINES) == other.source.encode(LINES) == other.target.encode(LINES)


@pytest.mark.parametrize("name", get_args(Normalization))
def test_every_normalisation_says_its_name(name):
    trained = train(normalization=name)
    assert trained.normalization == name
    assert train(normalization="identity").normalized_by(name).encode(FOREIGN) == train().normalized_by(name).encode(
        FOREIGN
    )


def test_control_ids_are_ours(model):
    assert model.vocab_size == 330
    assert model.pieces([PAD, BOS, EOS, UNK]) == ["<pad>", "<s>", "</s>", "<unk>"]


@given(line=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_reaches_a_control_id(line):
    model = _shared()
    assert not {PAD, BOS, EOS, UNK} & set(model.encode([line])[0])


@cache
def _shared(normalization: str = "nmt_nfkc") -> SubwordModel:  # a hypothesis test takes no fixture
    return train(normalization=normalization)


@pytest.mark.parametrize("line", ["<s>", "</s>", "<unk>", "<pad>", "<0x41>", "a </s> b <pad>"])
def test_special_pieces_written_out_are_plain_text(model, line):
    (ids,) = model.encode([line])
    assert not {PAD, BOS, EOS, UNK} & set(ids)
    assert model.decode([ids]) == [line]


def test_a_rare_character_is_spelt_or_lost(model):
    assert model.decode(model.encode(["日本 red"])) == ["日本 red"]
    without = train(byte_fallback=False, vocab_size=60)
    assert UNK in without.encode(["日本 red"])[0]


def test_decoding_gives_one_line_whatever_the_bytes_say(model):
    pieces = model.pieces(list(range(model.vocab_size)))
    assert "\n" not in model.decode([[pieces.index("<0x0A>")]])[0]


def test_blank_lines_have_no_tokens(model):
    assert model.encode(["", "  ", "\u2028"]) == [[], [], []]
    assert model.decode([[], []]) == ["", ""]
    assert model.encode([]) == model.decode([]) == []


def test_the_same_text_gives_the_same_model(model):
    assert train().serialized == train().serialized
    assert train().serialized != train(LINES[1:]).serialized


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_sampling_is_fixed_by_the_seed_of_each_line(model, alpha):
    seeds = list(range(len(LINES)))
    sampled = model.sample(LINES, alpha, seeds)
    assert model.decode(sampled) == LINES
    assert sampled != model.encode(LINES)
    assert model.sample(LINES[::-1], alpha, seeds[::-1]) == sampled[::-1]
    assert model.sample(LINES[7:9], alpha, seeds[7:9]) == sampled[7:9]
    assert model.sample(LINES, alpha, [seed + 1000 for seed in seeds]) != sampled


def test_sampling_is_the_same_in_another_process(model):
    seeds = list(range(len(LINES)))
    with multiprocessing.get_context("spawn").Pool(1) as another:
        assert another.apply(model.sample, (LINES, 0.3, seeds)) == model.sample(LINES, 0.3, seeds)


@pytest.mark.parametrize("fallback", [{}, {"byte_fallback": False, "vocab_size": 60}])
@pytest.mark.parametrize(("algorithm", "surest"), [("unigram", 1e6), ("bpe", 0.0)])
def test_sampling_without_chance_is_encoding(algorithm, surest, fallback):
    model = train(algorithm=algorithm, **fallback)
    lines = [*LINES, "", "  ", "two  spaces", "日本 red 日", "\u2581 </s> <pad> <0x41>", "a" * 3000, "🙂"]
    assert model.sample(lines, surest, list(range(len(lines)))) == model.encode(lines)


def test_joint_and_separate_vocabularies(tmp_path):
    settings = {
        "vocab_size": 320,
        "algorithm": "unigram",
        "byte_fallback": True,
        "character_coverage": 1.0,
        "normalization": {"source": "identity", "target": "identity"},
    }
    sides = {"source": LINES, "target": [line.upper() for line in LINES]}
    joint = train_tokenizer(sides.__getitem__, joint=True, **settings)
    separate = train_tokenizer(sides.__getitem__, joint=False, **settings)
    assert joint.joint and joint.source is joint.target
    assert not separate.joint and separate.source.serialized != separate.target.serialized
    for name, tokenizer in (("joint", joint), ("separate", separate)):
        (tmp_path / name).mkdir()
        tokenizer.save(tmp_path / name)
        loaded = Tokenizer.load(tmp_path / name)
        assert loaded.fingerprint() == tokenizer.fingerprint()
        assert loaded.joint == tokenizer.joint
    assert sorted(path.name for path in (tmp_path / "separate").iterdir()) == [
        "tokenizer.source.model",
        "tokenizer.target.model",
    ]
    assert [path.name for path in (tmp_path / "joint").iterdir()] == ["tokenizer.model"]


def test_a_model_travels_between_processes(model):
    assert pickle.loads(pickle.dumps(model)).encode(LINES) == model.encode(LINES)


def test_text_with_nul_and_long_lines_trains(tmp_path):
    lines = [*LINES, "\0", "nul \0 inside", "long " * 20_000, "\t", "▁ \u2585"]
    assert train(lines).decode(train(lines).encode(["red car"])) == ["red car"]


def test_the_largest_vocabulary_is_named():
    with pytest.raises(UserError, match=r"vocab_size 8000 is more than the training text can fill") as error:
        train(vocab_size=8000)
    limit = int(str(error.value).split("set it to ")[1].split()[0])
    assert train(vocab_size=limit).vocab_size == limit


def test_the_smallest_vocabulary_is_named():
    with pytest.raises(UserError, match=r"vocab_size 265 has no room for the characters of the training text") as error:
        train(vocab_size=265)
    limit = int(str(error.value).split("more than ")[1].split(",")[0])
    assert train(vocab_size=limit + 1).vocab_size == limit + 1


@pytest.mark.parametrize("lines", [[], ["", " "]])
def test_no_text(lines):
    with pytest.raises(UserError, match="the training text is empty"):
        train(lines)


def test_no_tokenizer_in_the_folder(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer here; expected tokenizer\.model, or"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a readable SentencePiece model"):
        Tokenizer.load(tmp_path)


def test_a_model_with_other_control_ids_is_refused(tmp_path):
    import sentencepiece

    with open(tmp_path / "tokenizer.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES), model_writer=file, vocab_size=60, minloglevel=2
        )
    with pytest.raises(UserError, match=r"have the ids \(-1, 1, 2, 0\), not \(0, 1, 2, 3\)"):
        Tokenizer.load(tmp_path)


def test_a_folder_holds_one_tokenizer(tmp_path, model):
    other = train(vocab_size=320)
    for tokenizer in (Tokenizer(other), Tokenizer(model, other), Tokenizer(model)):
        tokenizer.save(tmp_path)
        read = Tokenizer.load(tmp_path)
        assert (read.source.serialized, read.target.serialized) == (
            tokenizer.source.serialized,
            tokenizer.target.serialized,
        )
