"""What to evaluate on: files, a split of the corpus a run was trained on, or a test set that sacrebleu knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beamtrain.base.errors import UserError, nearest
from beamtrain.base.text_io import is_standard
from beamtrain.data.lines import read_lines
from beamtrain.runs.loading import Run


@dataclass(frozen=True)
class ParallelText:
    """Sentences and their translations, line by line."""

    name: str
    sources: list[str]
    references: list[list[str]]
    """One list for each reference."""


def from_files(source: Path, references: Sequence[Path]) -> ParallelText:
    """Parallel text in files, plain or .gz, one of which may be standard input.

    Raises UserError for a file that cannot be read or is not UTF-8.
    """
    name = "standard input" if is_standard(source) else source.name
    return ParallelText(name, list(read_lines(source)), [list(read_lines(path)) for path in references])


def from_split(run: Run, split: str, most: int | None = None) -> ParallelText:
    """A split of the run's own corpus, by its role (train, validation, test) or its name; its first `most` lines.

    Raises UserError when the corpus is out of reach or has no such split.
    """
    from beamtrain.data.datamodule import TranslationData

    description = run.description
    if not description.corpus.get("source"):
        raise UserError(f"--split {split}: {run.path}/model.json does not name a corpus; give --source and --reference")
    data = TranslationData(
        source_lang=description.source_lang, target_lang=description.target_lang, **description.corpus
    )
    sources, references = data.pairs(split, most)
    return ParallelText(split, sources, [references])


def from_sacrebleu(name: str, source_lang: str, target_lang: str) -> ParallelText:
    """A public test set, such as wmt14/full: downloaded once, to ~/.sacrebleu or $SACREBLEU.

    Raises UserError when there is no such test set, it has no such languages, or it cannot be downloaded.
    """
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        guess = nearest(name, DATASETS)
        raise UserError(
            f"--test-set {name}: sacrebleu knows no such test set"
            + (f"; did you mean {guess}?" if guess else "; `sacrebleu --list` shows them")
        )
    dataset, languages = DATASETS[name], f"{source_lang}-{target_lang}"
    if languages not in dataset.langpairs:
        raise UserError(
            f"--test-set {name}: it has no {languages}, which the model translates; it has "
            + ", ".join(sorted(dataset.langpairs))
        )
    try:
        source, references = dataset.get_source_file(languages), dataset.get_reference_files(languages)
    except (OSError, SystemExit) as error:  # sacrebleu exits on a wrong checksum
        raise UserError(
            f"--test-set {name}: cannot be downloaded ({error}); "
            "give its text by --source and --reference, or its folder of another machine by $SACREBLEU"
        ) from error
    return ParallelText(name, list(read_lines(Path(source))), [list(read_lines(Path(path))) for path in references])
