"""Measure the data layer: preparation, memory, the first batch, loading speed, padding.

    python scripts/bench/data.py generate FOLDER --pairs 4500000     made-up text of WMT14's sentence lengths
    python scripts/bench/data.py measure SOURCE --vocab-size 32000   any corpus: a folder, files or a hub id

Every step runs in a process of its own; memory is that of the process and all its children, once a second.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from beamtrain.base.script_parser import ScriptParser

if TYPE_CHECKING:
    from beamtrain.data.datamodule import TranslationData

CHUNK = 50_000
WORD_TYPES, ZIPF_EXPONENT = 1_000_000, 1.15
MEAN_WORDS, SPREAD = 25.0, 0.55


def main() -> None:
    parser = ScriptParser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("generate")
    one.add_argument("folder", type=Path)
    one.add_argument("--pairs", type=int, default=4_500_000)
    for name in ("measure", *STEPS):
        one = commands.add_parser(name)
        one.add_argument("source")
        one.add_argument("--cache", default=None, help="default: a temporary folder, removed at the end")
        one.add_argument("--vocab-size", type=int, default=8000)
        one.add_argument("--subwords", choices=("unigram", "bpe"), default="unigram")
        one.add_argument("--subword-sampling", type=float, default=0.0)
        one.add_argument("--batch-tokens", type=int, default=4096)
        one.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    if options.command == "generate":
        generate(options.folder, options.pairs)
    elif options.command == "measure":
        measure(options)
    else:
        STEPS[options.command](options)


def generate(folder: Path, pairs: int) -> None:
    """Write train, validation and test text whose words follow Zipf's law and whose lengths are log-normal."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    lexicons = [_lexicon(random, letters) for letters in ("aeiou", "aeiouäöü")]
    frequency = np.arange(1, WORD_TYPES + 1) ** -ZIPF_EXPONENT
    thresholds = np.cumsum(frequency / frequency.sum())
    for split, count in (("train", pairs), ("validation", 3000), ("test", 3000)):
        with open(folder / f"{split}.en", "w") as source, open(folder / f"{split}.de", "w") as target:
            for start in range(0, count, CHUNK):
                rows = min(CHUNK, count - start)
                words = np.exp(random.normal(np.log(MEAN_WORDS) - SPREAD**2 / 2, SPREAD, rows)).clip(1, 120)
                others = (words * random.normal(0.95, 0.12, rows)).clip(1, 120)
                for file, lexicon, lengths in ((source, lexicons[0], words), (target, lexicons[1], others)):
                    file.writelines(_sentences(random, lexicon, thresholds, lengths.astype(int)))


def _lexicon(random: np.random.Generator, vowels: str) -> np.ndarray:
    """Made-up words: the nine most frequent of one syllable, the next ninety of two, and so on."""
    syllables = np.array([c + v + e for c in "bdfghklmnprstvwz" for v in vowels for e in ("", "n", "r", "st")])
    words: list[str] = []
    while len(words) < WORD_TYPES:
        count = len(str(len(words) + 1))
        rows = min(9 * 10 ** (count - 1), WORD_TYPES - len(words))
        words += ["".join(row) for row in random.choice(syllables, (rows, count)).tolist()]
    return np.array(words, object)


def _sentences(
    random: np.random.Generator, lexicon: np.ndarray, thresholds: np.ndarray, lengths: np.ndarray
) -> Iterator[str]:
    words = lexicon[np.searchsorted(thresholds, random.random(lengths.sum()))]
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        yield " ".join(words[end - length : end]) + " .\n"


def measure(options: argparse.Namespace) -> None:
    """Run every step, and print what it took."""
    with tempfile.TemporaryDirectory() as temporary:
        settings = [options.source, "--cache", options.cache or temporary, "--subwords", options.subwords]
        settings += ["--vocab-size", str(options.vocab_size), "--batch-tokens", str(options.batch_tokens)]
        settings += ["--subword-sampling", str(options.subword_sampling)]
        for step, workers in (("prepare", 0), ("first", 0), ("epoch", 0), ("epoch", 2)):
            seconds, processor, resident, proportional, said = _watch([step, *settings, "--workers", str(workers)])
            print(
                f"{step:8} workers {workers}: {seconds:6.1f} s ({processor:.1f} s of processor), "
                f"peak memory {proportional / 2**30:.2f} GiB "
                f"(resident sizes added up, shared pages counted again: {resident / 2**30:.2f} GiB)\n         {said}",
                flush=True,
            )


def _watch(arguments: list[str]) -> tuple[float, float, int, int, str]:
    """Seconds, processor seconds, peak of all resident sizes, the same with shared pages once, and the output."""
    began, used = time.perf_counter(), _processor_seconds()
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    resident = proportional = 0
    while process.poll() is None:
        sizes = [_memory(number) for number in _family(process.pid)]
        resident = max(resident, sum(size for size, _ in sizes))
        proportional = max(proportional, sum(size for _, size in sizes))
        time.sleep(1.0)
    seconds = time.perf_counter() - began
    assert process.stdout is not None
    if process.returncode:
        sys.exit(process.returncode)
    return seconds, _processor_seconds() - used, resident, proportional, process.stdout.read().strip()


def _processor_seconds() -> float:
    """What the children of this process have used, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(number: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    except OSError:
        return []
    return [number, *(each for child in children for each in _family(int(child)))]


def _memory(number: int) -> tuple[int, int]:
    """Resident and proportional size of a process, in bytes."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes["Rss"], sizes["Pss"]


def prepare(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    data = _open(options)
    data.prepare_data()
    print(
        f"prepared in {time.perf_counter() - began:.1f} s on {len(os.sched_getaffinity(0))} processors; {data.cleaning}"
    )


def first(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    data = _open(options)
    imported = time.perf_counter()
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    print(
        f"first batch ({len(batch)} pairs) {time.perf_counter() - imported:.1f} s after imports, "
        f"which took {imported - began:.1f} s"
    )


def epoch(options: argparse.Namespace) -> None:
    data = _open(options)
    loader = data.train_dataloader()
    waits, cells, tokens, pairs = [], 0, 0, 0
    began = time.perf_counter()
    for batch in loader:
        waits.append(time.perf_counter() - began)
        cells += batch.source.numel() + batch.target_out.numel()
        tokens += int((batch.source != 0).sum()) + batch.num_target_tokens
        pairs += len(batch)
        began = time.perf_counter()
    padding = 100 * (1 - tokens / cells)
    print(
        f"{pairs} pairs in {len(waits)} batches of {options.batch_tokens}, padding {padding:.1f}% of both sides; "
        f"first batch after {waits[0]:.2f} s, then {1000 * np.median(waits[1:]):.2f} ms each (median)"
    )


def _open(options: argparse.Namespace) -> "TranslationData":
    from beamtrain.data.datamodule import TranslationData

    return TranslationData(
        source=options.source,
        cache_dir=options.cache,
        vocab_size=options.vocab_size,
        subwords=options.subwords,
        subword_sampling=options.subword_sampling,
        batch_tokens=options.batch_tokens,
        num_workers=options.workers,
    )


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {"prepare": prepare, "first": first, "epoch": epoch}

if __name__ == "__main__":
    main()
