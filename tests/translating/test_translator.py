"""One line in, one line out, in order, whatever the lines, the windows, the batches and the memory."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny import SENTENCES, Echo

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.transformer import Transformer
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import FIRST_WINDOW, Sampling, Translator, Window

HOSTILE = [
    "",
    "   ",
    "\u2028",
    "\ufeff",
    "a\u2028b",
    "\0",
    "a\0b",
    "<s> </s> <pad> <unk> <0x0A>",
    "▁x",
    "مرحبا بالعالم",
    "👩‍👩‍👧 😀",
    "\x1b[31m\x07",
    "a\rb\tc",
    "e\u0301" * 20,
    "\U0010ffff",
]


@pytest.fixture(scope="session")
def echo(tokenizer: Tokenizer) -> Echo:
    return Echo(tokenizer.target.vocab_size)


def heard(tokenizer: Tokenizer, line: str) -> str:
    """What the echo of a line is: the line as the subword model normalises it."""
    return tokenizer.target.decode(tokenizer.target.encode([line]))[0]


def test_every_line_in_order(echo: Echo, tokenizer: Tokenizer):
    lines = [f"{'word ' * (number % 7)}{number}" for number in range(150)]
    translations = list(Translator(echo, tokenizer, SearchOptions(beam_size=2), batch_tokens=400).translate(lines))
    assert [t.text for t in translations] == lines
    assert [t.line for t in translations] == list(range(1, 151))


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)))
@example(lines=["\x85"])
def test_any_text_is_one_line_in_one_line_out(lines: list[str], tokenizer: Tokenizer):
    translator = Translator(Echo(tokenizer.target.vocab_size), tokenizer, SearchOptions(beam_size=2), batch_tokens=100)
    texts = [translation.text for translation in translator.translate(lines)]
    assert len(texts) == len(lines)
    for line, text in zip(lines, texts, strict=True):
        assert "\n" not in text and "\r" not in text
        assert text == (heard(tokenizer, line).replace("\r", " ") if line.strip() else "")  # a blank line stays empty


@settings(max_examples=15, deadline=None)
@given(
    lines=st.lists(st.one_of(st.sampled_from(SENTENCES + HOSTILE), st.text(max_size=8)), max_size=12),
    batch_tokens=st.integers(1, 500),
)
def test_a_line_is_translated_as_if_alone(
    lines: list[str], batch_tokens: int, transformer: Transformer, tokenizer: Tokenizer
):
    lines = [line.encode("utf-8", "ignore").decode() for line in lines]
    options = SearchOptions(beam_size=3, max_length=8)
    together = list(Translator(transformer, tokenizer, options, batch_tokens=batch_tokens).translate(lines))
    assert len(together) == len(lines)
    for line, translation in zip(lines, together, strict=True):
        (alone,) = Translator(transformer, tokenizer, options).translate([line])
        assert translation.text == alone.text
        assert translation.candidates[0].score == pytest.approx(alone.candidates[0].score, abs=1e-3)


@pytest.mark.parametrize("line", HOSTILE)
def test_hostile_line(line: str, echo: Echo, tokenizer: Tokenizer):
    before, translation, after = Translator(echo, tokenizer, SearchOptions()).translate(["one", line, "two"])
    assert (before.text, after.text) == ("one", "two")
    assert translation.text == heard(tokenizer, line)
    assert translation.problem is None


@pytest.mark.parametrize("blank", ["", " ", "\t \u3000", "\u2028\x0c"])
def test_a_blank_line_stays_empty_whatever_the_prefix(blank: str, echo: Echo, tokenizer: Tokenizer):
    (translation,) = Translator(echo, tokenizer, SearchOptions(min_length=5)).translate([blank], ["Ja"])
    assert translation.text == ""
    assert translation.candidates[0].token_log_probs == []


def test_early_lines_come_before_late_ones_are_read(echo: Echo, tokenizer: Tokenizer):
    read = []

    def lines() -> Iterator[str]:
        for number in range(100_000):
            read.append(number)
            yield str(number)

    first = next(Translator(echo, tokenizer, SearchOptions(beam_size=1)).translate(lines()))
    assert first.text == "0"
    assert len(read) == FIRST_WINDOW


@pytest.mark.parametrize("shares", [1, 2, 5, 100])
def test_all_shares_together_are_the_whole(transformer: Transformer, tokenizer: Tokenizer, shares: int):
    lines = [*SENTENCES * 2, *HOSTILE, "a" * 3000]
    translator = Translator(transformer, tokenizer, SearchOptions(beam_size=2, max_length=9), batch_tokens=200)
    window = Window(1, lines, [""] * len(lines))
    found = [translator.translate_share(window, number, shares) for number in range(shares)]
    assert sum(map(len, found)) == len(lines)
    together = {line: each for share in found for line, each in share.items()}
    assert [together[line + 1] for line in range(len(lines))] == list(translator.translate(lines))


class TestLongLines:
    def test_longer_than_allowed_is_left_empty_and_says_so(self, echo: Echo, tokenizer: Tokenizer):
        translator = Translator(echo, tokenizer, SearchOptions(), max_source_tokens=50)
        one, long, two = translator.translate(["one", "a" * 51, "two"])
        assert (one.text, long.text, two.text) == ("one", "", "two")
        assert long.problem == "source of 51 tokens, above the limit of 50; left empty"

    def test_hundred_thousand_characters(self, echo: Echo, tokenizer: Tokenizer):
        one, long, two = Translator(echo, tokenizer, SearchOptions()).translate(["one", "word " * 20_000, "two"])
        assert (one.text, long.text, two.text) == ("one", "", "two")
        assert "above the limit of 1,024" in str(long.problem)

    def test_as_long_as_allowed_is_translated(self, transformer: Transformer, tokenizer: Tokenizer):
        line = "a" * 300
        (translation,) = Translator(transformer, tokenizer, SearchOptions(beam_size=1)).translate([line])
        assert translation.problem is None
        assert len(translation.source_tokens) >= 300


class TestPrefix:
    @pytest.mark.parametrize("sampling", [None, Sampling(seed=3)])
    def test_translations_begin_with_their_prefix(self, transformer: Transformer, tokenizer: Tokenizer, sampling):
        prefixes = ["Zwei", "", "Ein kleines Mädchen", "in"]
        lines = [*SENTENCES[:3], "x"]
        translator = Translator(transformer, tokenizer, SearchOptions(beam_size=3), sampling=sampling)
        translations = translator.translate(lines, prefixes)
        for translation, prefix in zip(translations, prefixes, strict=True):
            assert translation.text.startswith(prefix)

    @settings(max_examples=80, deadline=None)
    @given(
        prefix=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=9)
        | st.sampled_from(HOSTILE)
    )
    def test_whatever_is_given_comes_first_or_is_refused(self, prefix, transformer: Transformer, tokenizer: Tokenizer):
        (translation,) = Translator(transformer, tokenizer, SearchOptions(beam_size=2)).translate(["a"], [prefix])
        if translation.problem:
            assert translation.text == "" and "no translation can begin with" in translation.problem
            assert heard(tokenizer, prefix).replace("\r", " ") != prefix
        else:
            assert translation.text.startswith(prefix)

    @pytest.mark.parametrize("prefix", ["Ja", "Zwei junge Männer", "½", "é", "²", "</s>", "a.b,c"])
    def test_what_is_spelt_as_it_is_said_is_never_refused(self, prefix, transformer: Transformer, tokenizer: Tokenizer):
        (translation,) = Translator(transformer, tokenizer, SearchOptions(beam_size=2)).translate(["a"], [prefix])
        assert (translation.problem is None) == (heard(tokenizer, prefix) == prefix)

    @pytest.mark.parametrize(
        ("prefixes", "message"),
        [
            ([""] * 39, "the prefixes end after line 39, but not the input"),
            ([""] * 41, "the input ends after line 40, but not the prefixes"),
        ],
    )
    def test_one_for_each_line(self, echo: Echo, tokenizer: Tokenizer, prefixes: list[str], message: str):
        with pytest.raises(UserError, match=message):
            list(Translator(echo, tokenizer, SearchOptions()).translate(["a"] * 40, prefixes))

    def test_too_long_for_max_length(self, echo: Echo, tokenizer: Tokenizer):
        translator = Translator(echo, tokenizer, SearchOptions(max_length=4))
        (translation,) = translator.translate(["a"], ["aaaaaaa"])
        assert translation.text == ""
        assert "tokens, but at most 4 with its end are allowed" in str(translation.problem)

    def test_too_long_altogether(self, echo: Echo, tokenizer: Tokenizer):
        (translation,) = Translator(echo, tokenizer, SearchOptions()).translate(["a"], ["b" * 100_000])
        assert "prefix of 100,000 tokens, above the limit of 1,024" in str(translation.problem)


class TestCandidates:
    def test_n_best_with_scores(self, transformer: Transformer, tokenizer: Tokenizer):
        options = SearchOptions(beam_size=4, n_best=4, length_penalty="average", alpha=1.0)
        (translation,) = Translator(transformer, tokenizer, options).translate([SENTENCES[0]])
        scores = [candidate.score for candidate in translation.candidates]
        assert len(scores) == 4
        assert scores == sorted(scores, reverse=True)
        for candidate in translation.candidates:
            assert len(candidate.token_log_probs) == len(candidate.tokens) + 1
            assert candidate.log_prob == pytest.approx(sum(candidate.token_log_probs), abs=1e-3)
            assert candidate.score == pytest.approx(candidate.log_prob / len(candidate.token_log_probs), abs=1e-3)

    def test_attention_covers_the_line_without_padding(self, transformer: Transformer, tokenizer: Tokenizer):
        translator = Translator(transformer, tokenizer, SearchOptions(beam_size=2), attention=True)
        for translation in translator.translate(SENTENCES[:3]):
            best = translation.candidates[0]
            assert best.attention is not None
            assert best.attention.shape == (len(best.tokens) + 1, len(translation.source_tokens))
            assert best.attention.sum(-1).tolist() == pytest.approx([1] * (len(best.tokens) + 1), abs=1e-4)

    def test_no_attention_unless_asked(self, transformer: Transformer, tokenizer: Tokenizer):
        (translation,) = Translator(transformer, tokenizer, SearchOptions(beam_size=2)).translate(["a"])
        assert translation.candidates[0].attention is None


class SmallMemory(Echo):
    """An echo on a GPU that holds only `rows` sentences."""

    def __init__(self, vocab_size: int, rows: int) -> None:
        super().__init__(vocab_size)
        self.rows = rows

    def encode(self, source):
        if source.size(0) > self.rows:
            raise torch.OutOfMemoryError(f"{source.size(0)} sentences")
        return super().encode(source)


class TestMemory:
    @pytest.mark.parametrize("rows", [1, 3, 8])
    def test_a_batch_that_does_not_fit_is_split(self, tokenizer: Tokenizer, rows: int):
        lines = [f"line {number}" for number in range(20)]
        translator = Translator(SmallMemory(tokenizer.target.vocab_size, rows), tokenizer, SearchOptions())
        assert [t.text for t in translator.translate(lines)] == lines

    def test_a_line_that_does_not_fit_is_named(self, tokenizer: Tokenizer):
        translator = Translator(SmallMemory(tokenizer.target.vocab_size, 0), tokenizer, SearchOptions())
        with pytest.raises(UserError, match=r"line 1 \(2 tokens\) does not fit into the GPU's memory; use a"):
            list(translator.translate(["a"]))
