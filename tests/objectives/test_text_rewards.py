"""Rewards of text: what sacrebleu says of the detokenised lines, computed once for each."""

import copy
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import sacrebleu
import torch
from tiny import SENTENCES
from words import write_corpus

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import EOS
from beamtrain.objectives import SentenceBleu, SentenceChrf, SentenceTer, TextReward
from beamtrain.runs.loading import load_run

PAGE = (Path(__file__).parents[2] / "docs" / "beam-training.md").read_text()
TINY = (
    "--config quickstart.yaml --data.source corpus --data.vocab_size 36 --data.byte_fallback false --name mine "
    "--model.network.width 16 --model.network.inner_width 32 --model.network.heads 2 --model.network.encoder_layers 1 "
    "--model.network.decoder_layers 1 --trainer.max_steps 2 --trainer.val_check_interval 2 --score_test false "
    "--trainer.accelerator cpu"
)
SAID = [["Two young men outside.", SENTENCES[0], ""], [SENTENCES[1], "A girl climbs into a house.", SENTENCES[1]]]
MEANT = SENTENCES[:2]


def rows(tokenizer, lines):
    return pad([[*tokens, EOS] for tokens in tokenizer.target.encode(lines)])


def batch(tokenizer):
    return Batch.of_pairs(rows(tokenizer, SENTENCES[4:6]), rows(tokenizer, MEANT), torch.arange(2))


def of(reward, tokenizer):
    reward.tokenizer = tokenizer
    said = rows(tokenizer, [line for lines in SAID for line in lines]).unflatten(0, (2, 3))
    return reward.of(said, batch(tokenizer))


@pytest.mark.parametrize(
    "reward, expected",
    [
        (SentenceBleu(), lambda h, r: sacrebleu.sentence_bleu(h, [r]).score / 100),
        (SentenceBleu("char"), lambda h, r: sacrebleu.sentence_bleu(h, [r], tokenize="char").score / 100),
        (SentenceChrf(), lambda h, r: sacrebleu.sentence_chrf(h, [r]).score / 100),
        (SentenceChrf(2), lambda h, r: sacrebleu.sentence_chrf(h, [r], word_order=2).score / 100),
        (SentenceTer(), lambda h, r: max(0, 1 - sacrebleu.sentence_ter(h, [r]).score / 100)),
    ],
)
def test_the_rewards_are_sacrebleu_s_of_the_text(tokenizer, reward, expected):
    found = of(reward, tokenizer)
    for row, reference in enumerate(MEANT):
        assert found[row].tolist() == pytest.approx([expected(line, reference) for line in SAID[row]])
    assert found[0, 1] == found[1, 0] == pytest.approx(1) and found[0, 0] < 1


class Counted(TextReward):
    """How long a line is, and which lines were asked for."""

    seen: list = []  # noqa: RUF012 (of all)

    def scores(self, hypotheses, references, sources):
        self.seen.append([*zip(hypotheses, references, sources, strict=True)])
        return [len(line) for line in hypotheses]


def test_each_hypothesis_is_scored_once(tokenizer):
    reward = Counted()
    reward.seen.clear()
    found = [of(reward, tokenizer) for _ in range(2)]
    assert torch.equal(*found) and found[0].tolist() == [[len(line) for line in lines] for lines in SAID]
    first, second = reward.seen[0], reward.seen[1:]
    assert [h for h, _, _ in first] == [*SAID[0], *SAID[1][:2]] and not any(second)
    assert first[0] == (SAID[0][0], MEANT[0], SENTENCES[4]) and first[3][2] == SENTENCES[5]


@pytest.mark.slow
def test_workers_find_the_same_and_a_copy_has_none_of_them(tokenizer):
    reward = SentenceChrf(workers=2)
    assert torch.equal(of(reward, tokenizer), of(SentenceChrf(), tokenizer))
    assert copy.deepcopy(reward)._pool is None and reward._pool is not None
    reward._pool.shutdown()


class Short(TextReward):
    def scores(self, hypotheses, references, sources):
        return [1.0]


class Worded(TextReward):
    def scores(self, hypotheses, references, sources):
        return ["good" for _ in hypotheses]


class Silent(TextReward):
    def scores(self, hypotheses, references, sources):
        [len(line) for line in hypotheses]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda _: SentenceBleu("14a"), "tokenizer is 14a; it must be one of .*13a"),
        (lambda _: SentenceChrf(-1), "word_order is -1, but must be 0"),
        (lambda _: SentenceTer(workers=-1), "workers is -1, but must be 1 or more"),
        (lambda tokenizer: SentenceTer().of(torch.zeros(2, 1, 1), batch(tokenizer)), "give it the subwords first"),
        (lambda tokenizer: of(Short(), tokenizer), "Short gave 1 scores for 5 hypotheses"),
        (lambda tokenizer: of(Worded(), tokenizer), "Worded.scores must give a number for each hypothesis .*'good'"),
        (lambda tokenizer: of(Silent(), tokenizer), "Silent.scores must give a number for each hypothesis .*NoneType"),
    ],
)
def test_wrong_settings_are_refused(tokenizer, make, message):
    with pytest.raises(UserError, match=message):
        make(tokenizer)


def test_the_metric_of_one_s_own_that_the_page_shows(tmp_path, monkeypatch):
    """A stand-in for the package, which is large: what it is called with is what COMET takes."""
    asked = []

    class Model(torch.nn.Linear):
        def predict(self, lines, batch_size, progress_bar):
            asked.extend(lines)
            return SimpleNamespace(scores=[float(line["mt"] == line["ref"]) for line in lines])

    comet = ModuleType("comet")
    comet.download_model, comet.load_from_checkpoint = lambda name: name, lambda path: Model(2, 2)
    monkeypatch.setitem(sys.modules, "comet", comet)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    Path("my_metric.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    write_corpus(tmp_path / "corpus", rows=300)
    options = re.search(r"--import my_metric.*", PAGE)[0].split()
    main(["train", *TINY.split(), *options, "--model.objective.start_step=1"])
    assert asked and {"src", "mt", "ref"} == set(asked[0]) and asked[0]["ref"] and asked[0]["src"]
    assert load_run(Path("runs/mine")).network.vocab_size == 36
