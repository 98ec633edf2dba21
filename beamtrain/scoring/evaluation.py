"""A test set translated and scored: everything that is needed to read a score and to get it again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beamtrain.base.inference_sizes import BATCH_TOKENS
from beamtrain.data.tokenizer import Tokenizer
from beamtrain.model.base import Seq2Seq
from beamtrain.runs.loading import Run
from beamtrain.runs.scoring_options import ScoringOptions
from beamtrain.scoring.metrics import CorpusScores, check_lines, score_corpus
from beamtrain.search.options import SearchOptions
from beamtrain.translating.engine import Engine
from beamtrain.translating.translator import Translation, Translator, Window


@dataclass(frozen=True)
class Evaluation:
    """The scores of one checkpoint on one test set, decoded in one way."""

    data: str
    """What was translated: a split, the name of a test set, or a file."""
    checkpoint: str
    search: SearchOptions
    scores: CorpusScores
    seconds: float
    """Spent on translating, from text to text; not on loading the model or on scoring."""
    output_tokens: int
    """Subwords produced, the end of each sentence included."""
    sources: Sequence[str]
    references: Sequence[str]
    hypotheses: Sequence[str]
    problems: Sequence[str]
    """Lines that were left untranslated, and why."""
    engine: str = "beamtrain"
    """What searched."""

    @property
    def sentences_per_second(self) -> float:
        return len(self.hypotheses) / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.output_tokens / self.seconds


def evaluate(
    network: Seq2Seq | Engine,
    tokenizer: Tokenizer,
    search: SearchOptions,
    sources: Sequence[str],
    *references: Sequence[str],
    data: str,
    checkpoint: str,
    scoring: ScoringOptions,
    batch_tokens: int = BATCH_TOKENS,
    engine: str = "beamtrain",
    vectors: Path | None = None,
) -> Evaluation:
    """Translate `sources` and score the translations against `references`, by word vectors too if they are given.

    Raises UserError when the numbers of lines differ or there are none.
    """
    check_lines(sources, *references, name=f"the source of {data}")
    start = time.perf_counter()
    found = translate_share(network, tokenizer, search, sources, batch_tokens=batch_tokens)
    seconds = time.perf_counter() - start
    translations = [found[line] for line in sorted(found)]
    hypotheses = [translation.text for translation in translations]
    return Evaluation(
        data=data,
        checkpoint=checkpoint,
        search=search,
        scores=score_corpus(hypotheses, *references, options=scoring, vectors=vectors),
        seconds=seconds,
        output_tokens=sum(len(t.candidates[0].tokens) + 1 for t in translations if t.source_tokens),
        sources=sources,
        references=references[0],
        hypotheses=hypotheses,
        problems=[f"line {t.line}: {t.problem}" for t in translations if t.problem],
        engine=engine,
    )


def translate_share(
    network: Seq2Seq | Engine,
    tokenizer: Tokenizer,
    search: SearchOptions,
    sources: Sequence[str],
    *,
    batch_tokens: int = BATCH_TOKENS,
    number: int = 0,
    shares: int = 1,
    attention: bool = False,
) -> dict[int, Translation]:
    """Line of `sources`, from 1 -> its translation: of all lines, or those that fall to process `number` of `shares`.

    Sentences are in the same batches whatever the number of shares, so that all shares together are what one is, to
    the last bit.
    """
    translator = Translator(network, tokenizer, search, batch_tokens=batch_tokens, attention=attention)
    window = Window(1, sources, [""] * len(sources))  # one window: the least padding
    return translator.translate_share(window, number, shares)


def checkpoint_name(run: Run) -> str:
    """The run's folder and, where it is known, the step its weights are from."""
    step = run.weights.get("step")
    return f"{run.path}, step {step:,}" if isinstance(step, int) else str(run.path)
