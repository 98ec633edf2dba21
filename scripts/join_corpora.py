"""One corpus out of several: their training, validation and test text, one after another.

    python scripts/join_corpora.py OUT FOLDER FOLDER ...

Each FOLDER is read as `--data.source` reads it: a local folder in any layout, or an id of the hub. OUT, a new folder,
gets train.en, train.de, validation.en, validation.de and, where there are any, test.en and test.de, with the test text
of each corpus apart beside them, as test_FOLDER.en and test_FOLDER.de.
"""

import re
import sys
import tempfile
from itertools import chain
from pathlib import Path

from beamtrain.base.errors import UserError
from beamtrain.base.files import atomic_folder, write_text
from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.corpus import ROLES, Split, Text, open_corpus

Pairs = tuple[list[str], list[str]]
_LINE_END = re.compile(r"\r?\n")


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--languages", nargs=2, default=["en", "de"], metavar=("SOURCE", "TARGET"))
    parser.add_argument(
        "--validation", type=int, metavar="PAIRS", help="the first so many of each corpus; default: all"
    )
    options = parser.parse_args()
    try:
        join(options.out, options.folders, options.languages, options.validation)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def join(out: Path, folders: list[str], languages: list[str], validation: int | None = None) -> None:
    """Write the joined text.

    Raises:
        UserError: a corpus without training or validation text, one that cannot be read, or two of one name; something
            lies at `out` already; no validation pairs are asked for.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder; give another one, or remove it first")
    if validation is not None and validation < 1:
        raise UserError(f"--validation {validation}: must be 1 or more")
    names = [Path(folder).resolve().name for folder in folders]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two corpora are called {doubled[0]}: their test text needs two names; rename a folder")
    texts: dict[str, list[Pairs]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, folder in zip(names, folders, strict=True):
            splits = open_corpus(
                folder,
                source_lang=languages[0],
                target_lang=languages[1],
                config_name=None,
                split_names=dict.fromkeys(ROLES),
                cache_dir=Path(cache),
            )
            for role in ROLES:
                if role in splits:
                    texts.setdefault(role, []).append(lines(splits[role], validation if role == "validation" else None))
                elif role != "test":
                    raise UserError(f"{folder}: no {role} text")
            if "test" in splits and len(folders) > 1:
                texts[f"test_{name}"] = texts["test"][-1:]
    with atomic_folder(out) as whole:
        for name, parts in texts.items():
            for side, language in enumerate(languages):
                joined = chain.from_iterable(part[side] for part in parts)
                write_text(whole / f"{name}.{language}", "".join(f"{_LINE_END.sub(' ', line)}\n" for line in joined))


def lines(split: Split, most: int | None) -> Pairs:
    text = Text(split.load())
    return text.read(0, len(text) if most is None else min(most, len(text)))


if __name__ == "__main__":
    main()
