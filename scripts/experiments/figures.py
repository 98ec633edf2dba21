"""BLEU and chrF2 by themselves, and figures in tables of Markdown."""

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.bleu import BLEUScore


def bleu(ours: list[str], gold: list[str]) -> BLEUScore:
    """BLEU, with its `score` and the `ratio` of lengths, as `score_corpus` computes them beside slower scores."""
    return BLEU(force=True).corpus_score(ours, [gold])


def chrf(ours: list[str], gold: list[str]) -> float:
    """chrF2, likewise."""
    return CHRF().corpus_score(ours, [gold]).score


def row(*cells: object) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(map(str, cells)) + " |"


def header(*cells: object) -> str:
    return row(*cells) + "\n|" + "---|" * len(cells)


def signed(value: float, digits: int = 2) -> str:
    """Such as +.15 and -1.10."""
    return f"{value:+.{digits}f}".replace("+0.", "+.").replace("-0.", "-.")


def plain(value: float, digits: int = 2) -> str:
    """Such as .97 and 1.02."""
    return signed(value, digits).removeprefix("+")


def with_p(value: float, p: float) -> str:
    """A difference with the probability of such a one by chance, bold below .05."""
    return f"**{signed(value)}** (p {plain(p, 3)})" if p < 0.05 else f"{signed(value)} (p {plain(p)})"
