"""chrF of a sentence, by sacrebleu."""

from sacrebleu.metrics import CHRF

from beamtrain.base.errors import UserError
from beamtrain.objectives.rewards.text_reward import TextReward


class SentenceChrf(TextReward):
    """chrF of each line by itself over 100: the F-score of character n-grams up to 6 with beta 2 (Popović 2015).

    Args:
        word_order: the longest word n-grams that count too; 2 is chrF++ (Popović 2017).
        workers: processes that score, see `TextReward`.

    Raises:
        UserError: a word_order below 0.
    """

    def __init__(self, word_order: int = 0, workers: int = 0) -> None:
        super().__init__(workers)
        if word_order < 0:
            raise UserError(f"word_order is {word_order}, but must be 0 (chrF) or more; 2 is chrF++")
        self._metric = CHRF(word_order=word_order)

    def scores(self, hypotheses: list[str], references: list[str], sources: list[str]) -> list[float]:
        pairs = zip(hypotheses, references, strict=True)
        return [self._metric.sentence_score(said, [meant]).score / 100 for said, meant in pairs]
