"""Decoding speed of one model in every engine: ours, Hugging Face's `generate`, CTranslate2.

    python scripts/bench/engines.py                                       # 2.4 million random weights
    python scripts/bench/engines.py --width 512 --inner-width 2048 --heads 8 --layers 6 --vocab-size 32000 \\
        --sentences 16 --length 24                                        # Transformer base, 60 million
    python scripts/bench/engines.py --model runs/multi30k_ende --source test.en

All get the same batches, of sentences of like length, and the same beam, and rank by log-probability over length, which
all of them can. Random weights hardly ever end a sentence, so there each is forced to --length tokens. Before anything
is timed, greedy output in float32 has to be the same, token by token. The engines take turns, so that what else the
machine does hits all alike. The table gives output tokens for each second on the clock, of the median turn, and how
many times as fast our float32 is, on the clock and in processor time. Needs the extras `hf` and `ctranslate2`.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from beamtrain.base.memory import keep_what_pays
from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.interop.engines import load_engine
from beamtrain.interop.export_ctranslate2 import write_ctranslate2
from beamtrain.interop.export_huggingface import write_network
from beamtrain.model.packing import packed_weights
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import load_run
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

Search = Callable[[list[list[int]], SearchOptions], list[list[int]]]
"""Sources and options -> the best translation of each, EOS left out."""
FIRST_TOKENS = 5  # PAD, BOS, EOS, UNK, and one that is not used


class Numbers:
    """Subwords that are the numbers of their ids, for random weights."""

    def __init__(self, size: int) -> None:
        self.vocabulary = [str(index) for index in range(size)]

    def pieces(self, ids: list[int]) -> list[str]:
        return [self.vocabulary[each] for each in ids]


def ours(network: Transformer) -> Search:
    def search(sources: list[list[int]], options: SearchOptions) -> list[list[int]]:
        return [found[0].tokens for found in beam_search(network, pad(sources), options)]

    return search


def generate(folder: Path, early_stopping: bool) -> Search:
    from transformers import AutoModelForSeq2SeqLM

    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    @torch.no_grad()
    def search(sources: list[list[int]], options: SearchOptions) -> list[list[int]]:
        source: Tensor = pad(sources)
        beam = options.beam_size > 1
        rows = model.generate(
            source,
            attention_mask=(source != PAD).long(),
            num_beams=options.beam_size,
            early_stopping=early_stopping if beam else None,
            length_penalty=options.alpha if beam else None,
            min_new_tokens=options.min_length or None,
            max_new_tokens=options.max_length,
            suppress_tokens=[PAD, BOS],
            decoder_start_token_id=BOS,
        )
        return [_until_end(row[1:]) for row in rows.tolist()]

    return search


def by_our_engine(network: Transformer, folder: Path, vocabularies: Any) -> Search:
    engine = load_engine(network, vocabularies, folder, scored=False)

    def search(sources: list[list[int]], options: SearchOptions) -> list[list[int]]:
        return [found[0].tokens for found in engine.search(sources, [[]] * len(sources), options)]

    return search


def directly(folder: Path, vocabularies: Any) -> Search:
    from ctranslate2 import Translator

    translator = Translator(str(folder), intra_threads=torch.get_num_threads())
    ids = {piece: index for index, piece in enumerate(vocabularies.target.vocabulary)}

    def search(sources: list[list[int]], options: SearchOptions) -> list[list[int]]:
        found = translator.translate_batch(
            [vocabularies.source.pieces(source[:-1]) for source in sources],
            beam_size=options.beam_size,
            length_penalty=options.alpha,
            min_decoding_length=options.min_length,
            max_decoding_length=options.max_length,
            suppress_sequences=[[piece] for piece in vocabularies.target.pieces([PAD, BOS])],
        )
        return [[ids[piece] for piece in each.hypotheses[0]] for each in found]

    return search


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(EOS)] if EOS in row else row


def read_run(args: argparse.Namespace) -> tuple[Transformer, Any, list[list[int]]]:
    """The run's network and subwords, and the first lines of the text, by length."""
    run = load_run(args.model)
    assert isinstance(run.network, Transformer)
    lines = args.source.read_text(encoding="utf-8").splitlines()[: args.sentences]
    sources = [[*ids, EOS] for ids in run.tokenizer.source.encode(lines)]
    return run.network, run.tokenizer, sorted(sources, key=len)


def random_network(args: argparse.Namespace) -> tuple[Transformer, Any, list[list[int]]]:
    """Random weights, and sources of --length random tokens."""
    torch.manual_seed(1)
    network = Transformer(
        args.vocab_size,
        width=args.width,
        inner_width=args.inner_width,
        heads=args.heads,
        encoder_layers=args.layers,
        decoder_layers=args.layers,
    )
    sources = torch.randint(FIRST_TOKENS, args.vocab_size, (args.sentences, args.length))
    sources[:, -1] = EOS
    vocabularies = SimpleNamespace(
        source=Numbers(args.vocab_size), target=Numbers(args.vocab_size), save=lambda folder: None
    )
    return network.eval(), vocabularies, sources.tolist()


def options_of(args: argparse.Namespace) -> SearchOptions:
    """The limits of length, which are the same for all sentences."""
    forced = args.model is None
    most = args.length if forced else args.max_length
    return SearchOptions(
        length_penalty="average",
        min_length=most if forced else 0,
        max_length=most,
        max_length_ratio=0,
        max_length_offset=most,
    )


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("--model", type=Path, help="a run's folder; without it, random weights")
    parser.add_argument("--source", type=Path, help="with --model: text to translate, one sentence per line")
    parser.add_argument("--sentences", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=128, help="sentences in a batch")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--max-length", type=int, default=60, help="limit of tokens with EOS (with --model)")
    parser.add_argument("--length", type=int, default=20, help="tokens of every sentence (random weights)")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--inner-width", type=int, default=512)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab-size", type=int, default=4000)
    parser.add_argument("--only", nargs="+", help="engines to measure, by the beginning of their names")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each engine")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_what_pays()
    network, vocabularies, sources = random_network(args) if args.model is None else read_run(args)
    batches = [sources[start : start + args.batch_size] for start in range(0, len(sources), args.batch_size)]
    with tempfile.TemporaryDirectory() as name, packed_weights():  # CTranslate2 packs them when it loads them
        measure(args, engines_of(network, vocabularies, Path(name), args.only), batches)


def engines_of(network: Transformer, vocabularies: Any, folder: Path, only: list[str] | None) -> dict[str, Search]:
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    makers: dict[str, Callable[[], Search]] = {
        "beamtrain": lambda: ours(network),
        "beamtrain, bf16": lambda: ours(copy.deepcopy(network).bfloat16()),
        "generate, early_stopping=False": lambda: generate(folder / "hf", False),
        "generate, early_stopping=True": lambda: generate(folder / "hf", True),
        "CTranslate2 float32": lambda: directly(folder / "float32", vocabularies),
        "--engine ctranslate2": lambda: by_our_engine(network, folder / "float32", vocabularies),
        "CTranslate2 int8": lambda: directly(folder / "int8", vocabularies),
    }
    write_network(network, 512, folder / "hf")
    for quantization in ("float32", "int8"):
        (folder / quantization).mkdir()
        write_ctranslate2(network, vocabularies, quantization, folder / quantization)
    return {name: make() for name, make in makers.items() if only is None or name.startswith(tuple(only))}


def measure(args: argparse.Namespace, engines: dict[str, Search], batches: list[list[list[int]]]) -> None:
    for beam in args.beams:
        options = replace(options_of(args), beam_size=beam)
        found = {name: [row for batch in batches for row in search(batch, options)] for name, search in engines.items()}
        expected = found["beamtrain"]
        if beam == 1:
            for name in engines:
                if "bf16" not in name and "int8" not in name:
                    same = [one[: len(two)] == two[: len(one)] for one, two in zip(expected, found[name], strict=True)]
                    assert all(same), f"{name}: greedy output differs in {same.count(False)} of {len(same)} sentences"
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
        for _ in range(args.repeats):
            for name, search in engines.items():
                times[name].append(_seconds(search, batches, options))
        tokens = sum(len(row) + 1 for row in expected)
        print(f"beam {beam}, {args.threads} thread(s), {tokens:,} output tokens, PyTorch {torch.__version__}")
        reference = [statistics.median(each) for each in zip(*times["beamtrain"], strict=True)]
        for name, turns in times.items():
            clock, processor = (statistics.median(each) for each in zip(*turns, strict=True))
            share = sum(
                one[: len(two)] == two[: len(one)] for one, two in zip(expected, found[name], strict=True)
            ) / len(expected)
            print(
                f"{name:31} {tokens / clock:8,.0f} tokens/s   ours is {clock / reference[0]:5.2f} times as fast "
                f"({processor / reference[1]:5.2f} in processor time)   {share:.1%} same"
            )


def _seconds(search: Search, batches: list[list[list[int]]], options: SearchOptions) -> tuple[float, float]:
    """On the clock, and of the processor."""
    start = time.perf_counter(), time.process_time()
    for batch in batches:
        search(batch, options)
    return time.perf_counter() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    main()
