"""Forced decoding gives a translation the log-probability that a search gives it."""

import pytest
from tiny import SENTENCES

from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.runs.loading import load_run
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions
from beamtrain.translating.forced import forced


@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_is_what_the_search_gives_when_it_has_no_choice(transformer_run, batch_tokens: int):
    run = load_run(transformer_run)
    translations = SENTENCES[::-1]
    found = forced(run.network, run.tokenizer, SENTENCES, translations, batch_tokens=batch_tokens)
    sources, targets = (side.encode(list(lines)) for side, lines in zip(
        (run.tokenizer.source, run.tokenizer.target), (SENTENCES, translations), strict=True))  # fmt: skip
    for source, target, each in zip(sources, targets, found, strict=True):
        only = SearchOptions(beam_size=1, max_length=len(target) + 1, max_length_ratio=100)
        ((searched,),) = beam_search(run.network, pad([[*source, EOS]]), only, prefix=pad([target]))
        assert searched.tokens == target
        assert each is not None and each.length == len(target) + 1
        assert each.log_prob == pytest.approx(searched.log_prob, rel=1e-4)


def test_lines_that_are_not_translated(transformer_run):
    run = load_run(transformer_run)
    found = forced(run.network, run.tokenizer, ["  ", "a" * 50, "a cat"], ["x", "x", ""], max_source_tokens=40)
    assert [each is None for each in found] == [True, True, False]
    assert found[2].length == 1
