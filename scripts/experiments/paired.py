"""One system less another on the same sentences, by paired bootstrap."""

from beamtrain.scoring.metrics import Difference, paired_bootstrap


def differences(before: list[str], ours: list[str], references: list[str]) -> list[tuple[str, Difference]]:
    """Of BLEU and chrF2: the score's name, and ours less the one before."""
    found = paired_bootstrap({"before": before, "ours": ours}, references)["ours"]
    return [(each.score.name, each.difference) for each in found if each.difference]


def told(before: list[str], ours: list[str], references: list[str]) -> str:
    """The same in words, with p."""
    return ", ".join(
        f"{difference.value:+.2f} {name} (p {difference.p_value:.3f})"
        for name, difference in differences(before, ours, references)
    )
