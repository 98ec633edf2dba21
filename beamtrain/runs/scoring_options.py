"""How the translations of a run are scored: what a config's `model.scoring` can set."""

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from beamtrain.base.errors import UserError, nearest

Metric = Literal["bleu", "chrf", "chrf++", "ter"]
BleuTokenizer = Literal[
    "13a", "intl", "none", "char", "zh", "ja-mecab", "ko-mecab", "flores101", "flores200", "spBLEU-1K"
]
_TOKENIZERS: dict[str, BleuTokenizer] = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn"), "ja-mecab"),
    **dict.fromkeys(("ko", "kor"), "ko-mecab"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod"), "char"),
}
"""Of languages that 13a does not suit, by their codes. The first three are sacrebleu's own. The last is our deviation:
for languages written without spaces between words sacrebleu has nothing but 13a, to which a sentence is one word."""


@dataclass(frozen=True)
class ScoringOptions:
    """How to score; all is computed by sacrebleu, and its signatures say what is set here.

    Raises:
        UserError: a metric or a tokenizer that there is not.
    """

    metric: Metric = "bleu"
    """What validation measures and the best checkpoint is chosen by. Less ter is better, more of the others."""
    tokenizer: BleuTokenizer | None = None
    """What BLEU takes for words; none: sacrebleu's own for the target language, such as zh for Chinese; mostly 13a."""
    ter_by_character: bool | None = None
    """TER of Chinese and Japanese characters instead of words; none: where the target language is one of them."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("metric", self.metric, get_args(Metric)),
            ("tokenizer", self.tokenizer, get_args(BleuTokenizer)),
        ):
            if value not in (None, *allowed):
                guess = nearest(str(value), allowed)
                raise UserError(
                    f"the {name} is {value}; it must be one of {', '.join(allowed)}"
                    + (f"; did you mean {guess}?" if guess else "")
                )

    def of_language(self, target_lang: str) -> "ScoringOptions":
        """The same with what depends on the language, whose code may be such as zh, zh-CN or zho_Hans."""
        own = _TOKENIZERS.get(re.split("[-_]", target_lang.lower())[0], "13a")
        by_character = own in ("zh", "ja-mecab") if self.ter_by_character is None else self.ter_by_character
        return replace(self, tokenizer=self.tokenizer or own, ter_by_character=by_character)

    @property
    def monitor(self) -> str:
        """The name that the metric of the development set is logged under."""
        return f"dev_{self.metric}"

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether the best is the least or the greatest."""
        return "min" if self.metric == "ter" else "max"
