"""What is searched for the document, and what is left out with a word."""

import re

import pytest

from beamtrain.inspecting.document import Sentence, sentence_document
from beamtrain.inspecting.searches import searches
from beamtrain.objectives import TeacherForcing


@pytest.mark.parametrize(
    ("source", "reference", "problem"),
    [
        ("a", "b", None),
        ("a" * 12, "b", "the sentence has 1[0-9] tokens, above the limit of 9; left out"),
        ("a", "b" * 12, "the reference has 1[0-9] tokens, above the limit of 9; left out"),
        (" ", "b", "there is nothing to translate"),
    ],
)
def test_a_network_is_asked_no_further_than_it_has_positions(
    transformer, tokenizer, monkeypatch, source, reference, problem
):
    monkeypatch.setattr(transformer, "max_positions", 10)
    asked = searches(TeacherForcing(), temperatures=())
    found = sentence_document(transformer, tokenizer, Sentence(1, source, "c", reference), asked)
    assert len(found["searches"]) == (problem is None)
    assert all(len(search["steps"]) <= 10 for search in found["searches"])
    if problem:
        assert re.fullmatch(problem, found["problem"])
