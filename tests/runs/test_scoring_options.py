"""How a run is scored: what depends on the target language, and what there is not."""

import pytest
from sacrebleu.metrics import BLEU

from beamtrain.base.errors import UserError
from beamtrain.runs.scoring_options import ScoringOptions


@pytest.mark.parametrize(
    ("language", "tokenizer", "by_character"),
    [
        ("de", "13a", False),
        ("zh", "zh", True),
        ("zh-CN", "zh", True),
        ("zho_Hans", "zh", True),
        ("ja", "ja-mecab", True),
        ("ko_KR", "ko-mecab", False),
        ("th", "char", False),
        ("", "13a", False),
    ],
)
def test_the_language_chooses_what_was_not_chosen(language, tokenizer, by_character):
    options = ScoringOptions().of_language(language)
    assert (options.tokenizer, options.ter_by_character) == (tokenizer, by_character)
    assert options.of_language("zh") == options
    chosen = ScoringOptions(tokenizer="intl", ter_by_character=not by_character)
    assert chosen.of_language(language) == chosen


def test_sacrebleu_s_own_choices_are_ours():
    for language, tokenizer in BLEU._TOKENIZER_MAP.items():
        assert ScoringOptions().of_language(language).tokenizer == tokenizer
    assert ScoringOptions().of_language("de").tokenizer == BLEU.TOKENIZER_DEFAULT


def test_less_is_better_for_ter_alone():
    modes = {metric: ScoringOptions(metric).mode for metric in ("bleu", "chrf", "chrf++", "ter")}
    assert modes == {"bleu": "max", "chrf": "max", "chrf++": "max", "ter": "min"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "blue"}, "the metric is blue; it must be one of bleu, chrf, .*; did you mean bleu?"),
        ({"tokenizer": "jamecab"}, "the tokenizer is jamecab; it must be one of 13a, intl, .*; did you mean ja-mecab?"),
    ],
)
def test_what_there_is_not_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        ScoringOptions(**options)
