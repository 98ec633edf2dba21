"""How translations are written: plain text, tab-separated values, or one JSON object a line."""

import json
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beamtrain.translating.translator import Candidate, Translation

Formatter = Callable[["Translation"], str]


class OutputFormat(StrEnum):
    """How translations are written."""

    text = "text"
    tsv = "tsv"
    jsonl = "jsonl"


def formatter(format: OutputFormat, token_scores: bool) -> Formatter:
    """The function that turns a translation into its line or lines, line feed included."""
    if format is OutputFormat.text:
        return _text
    return partial(_tsv if format is OutputFormat.tsv else _jsonl, token_scores=token_scores)


def _text(translation: "Translation") -> str:
    """The best translation, one line."""
    return translation.text + "\n"


def _tsv(translation: "Translation", token_scores: bool) -> str:
    """line, rank, score, text [, tokens, token log-probabilities]: a line for every candidate."""
    return "".join(
        "\t".join(_columns(translation.line, rank, candidate, token_scores)) + "\n"
        for rank, candidate in enumerate(translation.candidates, start=1)
    )


def _columns(line: int, rank: int, candidate: "Candidate", token_scores: bool) -> list[str]:
    columns = [str(line), str(rank), f"{candidate.score:.6f}", candidate.text.replace("\t", " ")]
    if token_scores:
        columns += [" ".join(candidate.tokens), " ".join(f"{value:.6f}" for value in candidate.token_log_probs)]
    return columns


def _jsonl(translation: "Translation", token_scores: bool) -> str:
    """An object for every candidate."""
    return "".join(
        json.dumps(_object(translation, rank, candidate, token_scores), ensure_ascii=False) + "\n"
        for rank, candidate in enumerate(translation.candidates, start=1)
    )


def _object(translation: "Translation", rank: int, candidate: "Candidate", token_scores: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "line": translation.line,
        "rank": rank,
        "text": candidate.text,
        "score": round(candidate.score, 6),
        "log_prob": round(candidate.log_prob, 6),
    }
    if token_scores:
        record["tokens"] = candidate.tokens
        record["token_log_probs"] = [round(value, 6) for value in candidate.token_log_probs]
    if candidate.attention is not None:
        record["source_tokens"] = translation.source_tokens
        record["attention"] = [[round(weight, 4) for weight in row] for row in candidate.attention.tolist()]
    if translation.problem is not None:
        record["problem"] = translation.problem
    return record
