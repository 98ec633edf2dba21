"""The bundled corpus: that it is what its generator makes, that nothing leaks, and that its German is right."""

import gzip
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.phrasebook import verbs  # noqa: E402
from scripts.phrasebook.corpus import SIZES, generate, words, write  # noqa: E402
from scripts.phrasebook.numbers import ENGLISH_TENS, english_number, english_ordinal  # noqa: E402
from scripts.phrasebook.patterns import PATTERNS, Example, pattern  # noqa: E402
from scripts.phrasebook.words import HABEN, MUESSEN, WOLLEN  # noqa: E402

FOLDER = ROOT / "data" / "phrasebook"
NUMERIC = {"date_today", "it_is_oclock", "that_is_price", "room_is_on_floor"}  # here a number is the content
Splits = dict[str, list[Example]]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return generate()


def english(example: Example) -> str:
    return example.english


def german(example: Example) -> str:
    return example.german


def lines(split: str, language: str) -> list[str]:
    return gzip.decompress((FOLDER / f"{split}.{language}.gz").read_bytes()).decode().splitlines()


def combinations(examples: list[Example]) -> set[tuple[str, ...]]:
    return {(example.pattern, *example.content) for example in examples}


class TestFiles:
    def test_the_generator_makes_the_files_that_are_shipped(self, tmp_path: Path) -> None:
        write(tmp_path)
        for shipped in sorted(FOLDER.iterdir()):
            made = tmp_path / shipped.name
            assert gzip.decompress(made.read_bytes()) == gzip.decompress(shipped.read_bytes()), shipped.name
            assert made.read_bytes()[4:8] == shipped.read_bytes()[4:8] == bytes(4), "a time stamp in the gzip header"
        assert len(list(tmp_path.iterdir())) == 6

    @pytest.mark.parametrize(("split", "least"), [("train", 20_000), ("validation", 500), ("test", 500)])
    def test_sizes(self, split: str, least: int) -> None:
        assert len(lines(split, "en")) == len(lines(split, "de")) == SIZES[split] >= least

    def test_they_are_small(self) -> None:
        assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_000_000

    def test_lines_are_aligned(self, splits: Splits) -> None:
        for split, examples in splits.items():
            assert lines(split, "en") == [example.english for example in examples]
            assert lines(split, "de") == [example.german for example in examples]

    def test_the_readme_quotes_the_corpus(self) -> None:
        readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
        quoted = re.findall(r"^\| ([A-Z][^|]*[.?]) \| ([^|]*[.?]) \|$", readme, flags=re.MULTILINE)
        assert len(quoted) >= 5
        assert set(quoted) <= set(zip(lines("train", "en"), lines("train", "de"), strict=True))

    def test_the_readme_gives_the_right_figures(self, splits: Splits) -> None:
        readme = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
        assert f"a grammar of {len(PATTERNS)} sentence patterns" in readme
        assert all(
            f"{split} " in readme and f"{size:,} |" in readme for split, size in SIZES.items() if split != "train"
        )
        lengths = [len(e.english.split()) for examples in splits.values() for e in examples]
        assert f"{min(lengths)} to {max(lengths)} English words" in readme
        types = [len({w for e in splits["train"] for w in words(text(e))}) for text in (english, german)]
        assert f"some {round(types[0], -1)} English and {round(types[1], -2):,} German word types" in readme


class TestNoLeakage:
    def test_a_combination_belongs_to_one_split(self, splits: Splits) -> None:
        train, validation, test = (combinations(splits[split]) for split in ("train", "validation", "test"))
        assert not train & test
        assert not train & validation
        assert not validation & test

    @pytest.mark.parametrize("side", ["english", "german"])
    def test_a_sentence_belongs_to_one_split(self, splits: Splits, side: str) -> None:
        train, validation, test = ({getattr(e, side) for e in splits[s]} for s in ("train", "validation", "test"))
        assert not train & test
        assert not train & validation
        assert not validation & test

    def test_no_held_out_sentence_is_a_training_sentence_with_other_numbers(self, splits: Splits) -> None:
        """Read off the text alone, without what the generator says about slots."""
        train = {(e.pattern, without_numbers(e.english)) for e in splits["train"]}
        held_out = [e for s in ("validation", "test") for e in splits[s] if e.pattern not in NUMERIC]
        assert not [e.english for e in held_out if (e.pattern, without_numbers(e.english)) in train]

    def test_no_held_out_sentence_is_a_training_sentence_with_another_determiner(self, splits: Splits) -> None:
        train = {(e.pattern, without_determiners(e.english)) for e in splits["train"]}
        free = {name for name, made in PATTERNS.items() if "determiner" in made.free}
        held_out = [e for s in ("validation", "test") for e in splits[s] if e.pattern in free]
        assert len(held_out) > 200
        assert not [e.english for e in held_out if (e.pattern, without_determiners(e.english)) in train]

    def test_every_example_is_in_the_split_of_its_combination(self, splits: Splits) -> None:
        assert all(example.split == split for split, examples in splits.items() for example in examples)

    def test_the_free_slots_do_not_move_an_example_to_another_split(self) -> None:
        one = Example("departs_at", ("the train", "Vienna"), ("half past seven",), "", "")
        other = Example("departs_at", ("the train", "Vienna"), ("eight o'clock",), "", "")
        assert one.split == other.split


def without_numbers(text: str) -> str:
    """The sentence with all numbers, ordinals and clock times replaced by a mark."""
    numerals = {*map(english_number, range(100)), *map(english_ordinal, range(1, 100)), *ENGLISH_TENS, "hundred"}
    clock = {"half", "quarter", "past", "o'clock", "hour", "hours", "one"}
    marked = ["#" if word in numerals | clock or word.startswith("oh-") else word for word in words(text)]
    return re.sub(r"#( (and|a|to) #|( #))*", "#", " ".join(marked))


def without_determiners(text: str) -> str:
    return re.sub(r"\b(the|an?|my|our|your|his|this|these)\b", "*", text.lower()).replace("* ", "")


class TestText:
    def test_an_english_sentence_has_one_translation(self, splits: Splits) -> None:
        everything = [example for examples in splits.values() for example in examples]
        assert len({e.english for e in everything}) == len({(e.english, e.german) for e in everything})

    def test_no_pair_occurs_twice(self, splits: Splits) -> None:
        for examples in splits.values():
            assert len({(e.english, e.german) for e in examples}) == len(examples)

    @pytest.mark.parametrize("side", ["english", "german"])
    def test_held_out_words_occur_in_training(self, splits: Splits, side: str) -> None:
        known = {word for e in splits["train"] for word in words(getattr(e, side))}
        for split in ("validation", "test"):
            assert {word for e in splits[split] for word in words(getattr(e, side))} <= known

    def test_the_vocabulary_is_moderate(self, splits: Splits) -> None:
        assert 800 < len({word for e in splits["train"] for word in words(e.english)}) < 1100
        assert 1200 < len({word for e in splits["train"] for word in words(e.german)}) < 1700

    @pytest.mark.parametrize("side", ["english", "german"])
    def test_spelling(self, splits: Splits, side: str) -> None:
        """One space between words, a capital at the start, one mark at the end, no comma in the air."""
        sentence = re.compile(r"[A-ZÄÖÜ][\wäöüÄÖÜß'-]*(,? [\wäöüÄÖÜß'-]+)*[.?]( [A-Z].*[.?])?")
        for examples in splits.values():
            for example in examples:
                assert sentence.fullmatch(getattr(example, side)), getattr(example, side)

    def test_questions_are_questions_in_both_languages(self, splits: Splits) -> None:
        for examples in splits.values():
            assert all(e.english[-1] == e.german[-1] and e.english.count("?") == e.german.count("?") for e in examples)

    def test_lengths(self, splits: Splits) -> None:
        for examples in splits.values():
            assert all(3 <= len(words(text)) <= 20 for e in examples for text in (e.english, e.german))

    def test_every_pattern_is_in_training_and_nearly_every_one_in_the_test_set(self, splits: Splits) -> None:
        assert {e.pattern for e in splits["train"]} == set(PATTERNS)
        assert len({e.pattern for e in splits["test"]}) >= len(PATTERNS) - 3

    def test_a_third_of_the_german_sentences_end_in_a_verb_or_its_prefix(self, splits: Splits) -> None:
        """Where English has it in second place."""
        all_verbs = [action.verb for action in (*verbs.ACTIONS, *verbs.MISHAPS, *verbs.GIFTS)]
        forms = {form for v in all_verbs for form in (v.infinitive, v.participle, v.prefix, v.final("er"))}
        forms |= {v.zu_infinitive.split()[-1] for v in all_verbs}
        forms |= {form for auxiliary in (HABEN, MUESSEN, WOLLEN) for form in auxiliary.values()}
        last = [words(e.german)[-1] for e in splits["train"]]
        assert sum(word in forms for word in last) > 0.33 * len(last)

    def test_subordinate_clauses_follow_a_comma(self, splits: Splits) -> None:
        conjunction = re.compile(r"(?<!^)(?<!,) (dass|weil|ob|wenn|obwohl|bevor|wann|warum|sondern) ")
        for examples in splits.values():
            assert not [e.german for e in examples if conjunction.search(e.german)]


def test_a_pattern_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two patterns are called departs_at"):

        @pattern({})
        def departs_at() -> tuple[str, str]:
            return "", ""
