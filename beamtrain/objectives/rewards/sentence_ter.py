"""TER of a sentence, by sacrebleu."""

from sacrebleu.metrics import TER

from beamtrain.objectives.rewards.text_reward import TextReward


class SentenceTer(TextReward):
    """1 - TER of each line by itself, 0 where that is below: TER is edits, shifts of blocks among them, over the words
    of the reference (Snover et al. 2006).

    Args:
        by_character: whether Chinese and Japanese characters count instead of words.
        workers: processes that score, see `TextReward`.
    """

    def __init__(self, by_character: bool = False, workers: int = 0) -> None:
        super().__init__(workers)
        self._metric = TER(normalized=by_character, asian_support=by_character)

    def scores(self, hypotheses: list[str], references: list[str], sources: list[str]) -> list[float]:
        pairs = zip(hypotheses, references, strict=True)
        return [max(0.0, 1 - self._metric.sentence_score(said, [meant]).score / 100) for said, meant in pairs]
