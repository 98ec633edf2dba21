"""Long sentences: do systems come to their end, and do they repeat themselves?

    python scripts/experiments/long_sentences.py --data FOLDER --out OUT --start docs mixed

FOLDER and OUT are those of corpora.py. Of the sentences of `--words` words and more, of each corpus of a start apart:
the ratio of output to reference length, and the share of outputs that say five words in a row twice, of every finished
cell beside the start and the references. The target is a ratio from .97 to 1.03, and repetition that is at most a
tenth more frequent than in the references.
"""

import argparse

from command_line import positive, run_script
from corpora import test_sets
from corpora_results import (
    Texts,
    control_of,
    corpora_of,
    finished_cells,
    joined,
    outputs_of_all,
    parser_for,
    translated_starts,
)
from figures import bleu, header, plain, row, signed

RATIOS = 0.97, 1.03
MORE = 1.1  # times the references' rate of repetition
REPEATED = 5  # words
FEWEST = 50  # long sentences of a corpus that is shown


def main() -> None:
    parser = parser_for(__doc__)
    parser.add_argument("--words", type=positive, default=20, help="the least words of a source sentence")
    parser.add_argument("--test_only", action="store_true", help="without the validation set")
    options = parser.parse_args()
    for start in translated_starts(options):
        print_start(options, start)


def print_start(options: argparse.Namespace, start: str) -> None:
    sets = test_sets(options, start)
    cells = finished_cells(options.out, start, sets)
    sources, gold = ({name: pair[side] for name, pair in sets.items()} for side in (0, 1))
    translated = outputs_of_all(options.out / "starts" / start, sets)
    for corpus in corpora_of(sets):
        names = [corpus.test] if options.test_only else corpus.held_out
        long = [place for place, line in enumerate(joined(sources, names)) if len(line.split()) >= options.words]
        if len(long) < FEWEST:
            print(f"\n{start}, {' and '.join(names)}: {len(long)} such sentences, fewer than {FEWEST}: left out")
            continue
        references = chosen(gold, names, long)
        print(f"\n## {start}, {' and '.join(names)}: {len(long):,} sentences of {options.words} words and more\n")
        print(header("", "seed", "stage", "BLEU", "less the control", "length", "repeating", "target"))
        print(row("references", "", "", "", "", "1", with_share(repeating(references), references), ""))
        print(row("start", "", "", *figures(chosen(translated, names, long), None, references)))
        for cell in cells:
            control = control_of(cell, cells)
            theirs = control and chosen(control.outputs, names, long)
            print(row(*cell[:3], *figures(chosen(cell.outputs, names, long), theirs, references)), flush=True)


def chosen(texts: Texts, names: list[str], places: list[int]) -> list[str]:
    lines = joined(texts, names)
    return [lines[place] for place in places]


def figures(ours: list[str], theirs: list[str] | None, references: list[str]) -> list[str]:
    score, count = bleu(ours, references), repeating(ours)
    apart = signed(score.score - bleu(theirs, references).score) if theirs else ""
    met = RATIOS[0] <= score.ratio <= RATIOS[1] and count <= MORE * repeating(references)
    return [f"{score.score:.2f}", apart, plain(score.ratio, 3), with_share(count, ours), "met" if met else "not met"]


def repeating(lines: list[str]) -> int:
    """How many lines say some `REPEATED` words in a row twice."""
    return sum(repeats(line.split()) for line in lines)


def repeats(words: list[str]) -> bool:
    runs = [tuple(words[place : place + REPEATED]) for place in range(len(words) - REPEATED + 1)]
    return len(set(runs)) < len(runs)


def with_share(count: int, lines: list[str]) -> str:
    return f"{count} ({count / len(lines):.1%})"


if __name__ == "__main__":
    run_script(main)
