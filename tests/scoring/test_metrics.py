"""Scores agree with the sacrebleu command, carry its signatures, and refuse texts that do not belong together."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from beamtrain.base.errors import UserError
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import check_tokenizer, corpus_score, paired_bootstrap, score_corpus, sentence_chrf

REFERENCES = ["Der Zug fährt um acht ab.", "Ich möchte ein Zimmer.", "Wo ist der Bahnhof?", "Das kostet zehn Euro."]
GOOD = ["Der Zug fährt um acht ab.", "Ich möchte ein Zimmer.", "Wo ist der Bahnhof?", "Es kostet zehn Euro."]
BAD = ["Der Zug geht um neun.", "Ich will Zimmer haben.", "Wo ist der Flughafen?", "Das kostet zwei Euro."]


def test_scores_are_those_of_the_sacrebleu_command(tmp_path: Path):
    (tmp_path / "reference").write_text("\n".join(REFERENCES), encoding="utf-8")
    (tmp_path / "output").write_text("\n".join(BAD), encoding="utf-8")
    command = [
        "-m",
        "sacrebleu",
        tmp_path / "reference",
        "-i",
        tmp_path / "output",
        "-m",
        "bleu",
        "chrf",
        "ter",
        "-w",
        "4",
    ]
    theirs = json.loads(subprocess.run([sys.executable, *command], capture_output=True, check=True).stdout)

    ours = score_corpus(BAD, REFERENCES)

    for score, expected in zip((ours.bleu, ours.chrf, ours.ter), theirs, strict=True):
        assert score.name == expected["name"]
        assert score.value == pytest.approx(expected["score"], abs=1e-4)
        assert score.signature == expected["signature"]
    assert ours.sentences == 4


def test_bleu_is_cased_13a():
    assert "case:mixed" in corpus_score(GOOD, REFERENCES).signature
    assert "tok:13a" in corpus_score(GOOD, REFERENCES).signature
    assert corpus_score([line.lower() for line in REFERENCES], REFERENCES).value < 90


class TestOtherLanguages:
    """Chinese, of which 13a takes a sentence for one word."""

    GOLD = ("今天天气很好，我们去公园吧。", "他喜欢吃苹果。")
    SAID = ("今天天气真好，我们去公园吧。", "他爱吃苹果。")

    def test_the_scores_are_sacrebleu_s_for_the_language(self):
        options = ScoringOptions().of_language("zh")
        scores = score_corpus(self.SAID, self.GOLD, options=options)
        assert scores.bleu.value == pytest.approx(BLEU(trg_lang="zh").corpus_score(self.SAID, [self.GOLD]).score)
        assert "tok:zh" in scores.bleu.signature and "asian:yes" in scores.ter.signature
        assert scores.bleu.value > 60 and scores.ter.value == pytest.approx(100 * 3 / 21)
        assert scores.length_ratio == pytest.approx(20 / 21)
        unsuitable = score_corpus(self.SAID, self.GOLD)
        assert (unsuitable.bleu.value, unsuitable.ter.value) == (0, 100)

    @pytest.mark.parametrize(
        ("metric", "name", "signature"),
        [
            ("bleu", "BLEU", "tok:zh"),
            ("chrf", "chrF2", "nw:0"),
            ("chrf++", "chrF2++", "nw:2"),
            ("ter", "TER", "asian:yes"),
        ],
    )
    def test_the_metric_of_validation(self, metric, name, signature):
        options = ScoringOptions(metric).of_language("zh")
        score = corpus_score(self.SAID, self.GOLD, options=options)
        assert score.name == name and signature in score.signature
        assert score in score_corpus(self.SAID, self.GOLD, options=options).all

    def test_a_comparison_counts_the_language_s_words(self):
        systems = {"one": self.SAID, "other": self.GOLD}
        options = ScoringOptions().of_language("zh")
        bleu, _ = paired_bootstrap(systems, self.GOLD, samples=100, options=options)["one"]
        assert "tok:zh" in bleu.score.signature and bleu.score.value > 60

    @pytest.mark.parametrize(
        ("tokenizer", "error", "message"),
        [
            (
                "ja-mecab",
                RuntimeError("no"),
                r"tokenizer ja-mecab: it needs more packages: pip install 'sacrebleu\[ja\]'",
            ),
            (
                "ko-mecab",
                RuntimeError("no"),
                r"tokenizer ko-mecab: it needs more packages: pip install 'sacrebleu\[ko\]'",
            ),
            (
                "flores200",
                OSError("offline"),
                r"tokenizer flores200: its model cannot be downloaded \(offline\); or choose",
            ),
        ],
    )
    def test_a_tokenizer_that_is_not_at_hand(self, monkeypatch, tokenizer, error, message):
        def missing(*_, **__):
            raise error

        monkeypatch.setattr("beamtrain.scoring.metrics.BLEU", missing)
        with pytest.raises(UserError, match=message):
            check_tokenizer(ScoringOptions(tokenizer=tokenizer))


def test_perfect_output():
    scores = score_corpus(REFERENCES, REFERENCES)
    assert (scores.bleu.value, scores.chrf.value, scores.ter.value) == pytest.approx((100, 100, 0))
    assert scores.length_ratio == 1


def test_length_ratio_counts_words():
    scores = score_corpus(["a b", "c"], ["a b c", "d e f"])
    assert scores.length_ratio == pytest.approx(3 / 6)


def test_empty_translations_score_zero_and_are_counted():
    scores = score_corpus(["", ""], ["a b", "c d"])
    assert (scores.bleu.value, scores.length_ratio, scores.sentences) == (0, 0, 2)


def test_a_second_reference_counts():
    assert corpus_score(BAD, REFERENCES, BAD).value == pytest.approx(100)
    assert "nrefs:2" in corpus_score(BAD, REFERENCES, BAD).signature


def test_sentence_chrf_is_per_sentence():
    values = sentence_chrf(GOOD, REFERENCES)
    assert values[:3] == pytest.approx([100] * 3)
    assert 0 < values[3] < 100


def test_score_as_text_has_its_signature():
    assert str(corpus_score(REFERENCES, REFERENCES)).startswith("BLEU = 100.00 nrefs:1|case:mixed|eff:no|tok:13a|")


@pytest.mark.parametrize("score", [corpus_score, score_corpus, sentence_chrf])
def test_line_counts_must_agree(score):
    with pytest.raises(UserError, match="the output has 3 lines and the reference 4: line n of one must"):
        score(GOOD[:3], REFERENCES)


def test_nothing_to_score():
    with pytest.raises(UserError, match="nothing to score: the output and the reference have no lines"):
        score_corpus([], [])


class TestPairedBootstrap:
    def test_tells_a_clear_difference_from_none(self):
        references, good, bad = REFERENCES * 25, GOOD * 25, BAD * 25
        estimates = paired_bootstrap({"bad": bad, "good": good, "bad again": bad}, references, samples=200)

        assert [e.score.name for e in estimates["good"]] == ["BLEU", "chrF2"]
        assert all(e.difference is None for e in estimates["bad"])
        assert all(e.difference.p_value < 0.05 for e in estimates["good"])
        assert all(0 < e.difference.low < e.difference.value < e.difference.high for e in estimates["good"])
        assert [(e.difference.p_value, e.difference.low, e.difference.high) for e in estimates["bad again"]] == [
            (1, 0, 0)
        ] * 2

    def test_agrees_with_sacrebleu_s_own_test(self):
        """And the interval of the difference holds what the resamples of sacrebleu hold."""
        generator = random.Random(1)
        systems = {name: [generator.choice(pair) for pair in zip(GOOD * 30, BAD * 30, strict=True)] for name in "abc"}
        references = REFERENCES * 30
        ours = paired_bootstrap(systems, references, samples=300)
        metrics = {"BLEU": BLEU(force=True), "chrF2": CHRF()}
        theirs = PairedTest(list(systems.items()), metrics, [references], test_type="bs", n_samples=300)
        signatures, results = theirs()
        for column, (metric, signature) in enumerate(signatures.items()):
            for name, expected in zip(systems, results[metric], strict=True):
                estimate = ours[name][column]
                assert estimate.score.value == expected.score
                assert estimate.score.signature == str(signature)
                assert (estimate.mean, estimate.half_width) == pytest.approx((expected.mean, expected.ci), rel=1e-4)
                if estimate.difference:
                    assert estimate.difference.p_value == pytest.approx(expected.p_value)
                    assert estimate.difference.low < estimate.difference.value < estimate.difference.high

    def test_a_difference_of_exactly_nothing_is_never_significant(self):
        spaced = [f" {line.replace(' ', '  ')} " for line in GOOD * 5]
        turned = [line for pair in zip(BAD[1::2] * 5, GOOD[1::2] * 5, strict=True) for line in pair]
        references = [line for line in REFERENCES[1::2] * 5 for _ in range(2)]
        back = [line for pair in zip(GOOD[1::2] * 5, BAD[1::2] * 5, strict=True) for line in pair]
        nothing = ["§"] * 20
        for systems, lines in (({"a": GOOD * 5, "b": spaced}, REFERENCES * 5), ({"a": turned, "b": back}, references),
                               ({"a": nothing, "b": ["$"] * 20}, REFERENCES * 5)):  # fmt: skip
            first, second = paired_bootstrap(systems, lines, samples=100).values()
            assert [e.score.value for e in first] == [e.score.value for e in second]
            assert [e.difference.p_value for e in second] == [1, 1]

    def test_scores_and_intervals(self):
        references, good, bad = REFERENCES * 25, GOOD * 25, BAD * 25
        estimates = paired_bootstrap({"bad": bad, "good": good}, references, samples=200)
        for name, hypotheses in (("bad", bad), ("good", good)):
            bleu = estimates[name][0]
            assert bleu.score.value == pytest.approx(BLEU().corpus_score(hypotheses, [references]).score)
            assert abs(bleu.mean - bleu.score.value) < bleu.half_width
            assert "bs:200" in bleu.score.signature
            assert "seed:12345" in bleu.score.signature

    def test_is_repeatable(self):
        first = paired_bootstrap({"a": GOOD, "b": BAD}, REFERENCES, samples=100)
        assert paired_bootstrap({"a": GOOD, "b": BAD}, REFERENCES, samples=100) == first

    def test_needs_two_systems(self):
        with pytest.raises(UserError, match="at least 2 systems, not 1; the first one is the baseline"):
            paired_bootstrap({"a": GOOD}, REFERENCES)

    def test_names_the_system_of_another_length(self):
        with pytest.raises(UserError, match="b has 3 lines and the reference 4"):
            paired_bootstrap({"a": GOOD, "b": BAD[:3]}, REFERENCES)

    def test_refuses_what_does_not_fit_into_memory(self):
        many = REFERENCES * 50_000
        with pytest.raises(UserError, match="2,000 resamples of 200,000 lines need 5 GB of memory; use at most 1,000"):
            paired_bootstrap({"a": many, "b": many}, many, samples=2000)
