"""What a search returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """One complete target sentence, with the model's probability of it."""

    tokens: list[int]
    """Subword ids, without BOS and EOS."""
    score: float
    """What the hypotheses of a sentence are ranked by: log_prob / length penalty in a beam search."""
    log_prob: float
    """The model's log-probability of the sentence, its EOS included."""
    token_log_probs: list[float]
    """The log-probability of every token and, last, of EOS: one more entry than `tokens`."""
    attention: Tensor | None = None
    """On request: (len(tokens) + 1, S), how each prediction looked at the source tokens (EOS and padding included)."""
