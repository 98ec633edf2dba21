"""BLEU of a sentence, by sacrebleu."""

from sacrebleu.metrics import BLEU

from beamtrain.base.errors import UserError
from beamtrain.objectives.rewards.text_reward import TextReward


class SentenceBleu(TextReward):
    """BLEU of each line by itself over 100, without the orders of n-grams that a short line has none of, and with
    exponential smoothing (Papineni et al. 2002; Chen and Cherry 2014, method 3; sacrebleu's `sentence_bleu`).

    Args:
        tokenizer: what it takes for words, by sacrebleu's name: 13a, zh, char and so on.
        workers: processes that score, see `TextReward`.

    Raises:
        UserError: there is no such tokenizer, or it needs something that is not installed.
    """

    def __init__(self, tokenizer: str = "13a", workers: int = 0) -> None:
        super().__init__(workers)
        if tokenizer not in BLEU.TOKENIZERS:
            raise UserError(f"SentenceBleu's tokenizer is {tokenizer}; it must be one of {', '.join(BLEU.TOKENIZERS)}")
        try:
            self._metric = BLEU(tokenize=tokenizer, effective_order=True)
        except (RuntimeError, ImportError, OSError) as error:
            raise UserError(f"SentenceBleu's tokenizer {tokenizer}: {' '.join(str(error).split())}") from error

    def scores(self, hypotheses: list[str], references: list[str], sources: list[str]) -> list[float]:
        pairs = zip(hypotheses, references, strict=True)
        return [self._metric.sentence_score(said, [meant]).score / 100 for said, meant in pairs]
