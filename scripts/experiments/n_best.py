"""The hypotheses that a run's search ends with, to be ranked by more than one length penalty."""

from dataclasses import replace
from pathlib import Path

from beamtrain.base.script_parser import ScriptParser
from beamtrain.runs.loading import Run, load_run
from beamtrain.scoring.parallel_text import ParallelText
from beamtrain.search.length import length_penalties
from beamtrain.search.options import SearchOptions
from beamtrain.translating.translator import Translation, Translator


def parser_for(documentation: str | None) -> ScriptParser:
    parser = ScriptParser(documentation)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--text", type=Path, help="a corpus, in place of the one that a run was trained on")
    return parser


def loaded(path: Path, text: Path | None) -> Run:
    """The run, with this text as its corpus."""
    run = load_run(path)
    corpus = run.description.corpus | ({"source": str(text)} if text else {})
    return replace(run, description=replace(run.description, corpus=corpus))


def final_hypotheses(run: Run, text: ParallelText, beam: int) -> list[Translation]:
    """All that the beam ends with, which does not depend on the length penalty."""
    search = SearchOptions(beam_size=beam, n_best=beam)
    return list(Translator(run.network, run.tokenizer, search).translate(text.sources))


def best(translation: Translation, alpha: float) -> str:
    """The hypothesis that ranks first by GNMT's penalty; with alpha 0, by log-probability alone."""
    longest = 1 + max(len(each.tokens) for each in translation.candidates)
    penalties = length_penalties(longest, "gnmt", alpha).tolist()
    ranked = max(translation.candidates, key=lambda each: each.log_prob / penalties[len(each.tokens) + 1])
    return ranked.text
