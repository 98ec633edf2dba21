"""What a training step with the beam search in the loop costs, against a teacher-forced step on the same batch.

    python scripts/bench/beam_training.py                       # the ratio, its parts, and the curves in K and T
    python scripts/bench/beam_training.py --device cuda --width 512 --vocab-size 32000 --sentences 64 --precision bf16

Steps are forward and backward, interleaved, medians of `--rounds`. Times on the CPU are those of the process (user
and system), so that other work on the machine counts little; on a GPU they are the clock's, synchronised. Memory is the
peak of live tensors above what the network and the batch take.
"""

import argparse
import statistics
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from beamtrain.base.memory import keep_what_pays
from beamtrain.base.script_parser import ScriptParser
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import EOS
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer
from beamtrain.objectives import (
    AlignedCrossEntropy,
    BagOfTokens,
    BeamLoss,
    BeamTraining,
    DescendantCredit,
    ExpectedReward,
    GoldShare,
    GumbelGreedy,
    MinimumRisk,
    Objective,
    OptimalTransport,
    ParameterSearch,
    SampledRisk,
    ScheduledSampling,
    SelfCritical,
    SoftSurvival,
    SoftTeacherForcing,
    TeacherForcing,
)
from beamtrain.objectives import beam_training as beam_module
from beamtrain.objectives.mixture import Mixture
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions
from beamtrain.search.unroll import deferred_gradient, softmax_gradient, two_pass
from beamtrain.search.unroll.chain import Chain
from beamtrain.search.unroll.options import UnrollOptions


def main() -> None:
    options = arguments()
    keep_what_pays()
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    print(
        f"{options.network}, D {options.width}, V {options.vocab_size:,}, {options.layers} + {options.layers} layers, "
        f"B {options.sentences}, {options.precision} on {options.device}, {options.threads} threads, "
        f"gold length T, searched to T + {options.margin}, torch {torch.__version__}\n"
    )
    bench.ratio(options.beams, options.length, options.only)
    if options.only:
        return
    bench.split(options.beams, options.length)
    bench.curve("K", [(beams, options.length) for beams in (1, 2, 4, 8)])
    bench.curve("T", [(options.beams, length) for length in (10, 20, 40, 60, 80, 100)])


def arguments() -> argparse.Namespace:
    parser = ScriptParser(__doc__)
    parser.add_argument("--network", choices=["transformer", "gru"], default="transformer")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3, help="of the encoder, and of the decoder")
    parser.add_argument("--vocab-size", type=int, default=4000)
    parser.add_argument("--sentences", type=int, default=32, help="B")
    parser.add_argument("--beams", type=int, default=4, help="K")
    parser.add_argument("--length", type=int, default=20, help="T, tokens of source and of target, EOS included")
    parser.add_argument("--margin", type=int, default=4, help="of the search beyond the gold length")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="rows of the first table, and nothing else")
    return parser.parse_args()


class Bench:
    """A random network, random sources, and as targets what the network finds, a quarter of the words replaced: so all
    candidates have a gradient, as in real training. The search runs to its limit, since such a network seldom ends."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.options = options
        shape = {"width": options.width, "encoder_layers": options.layers, "decoder_layers": options.layers}
        if options.network == "gru":
            self.network: Seq2Seq = GRUEncoderDecoder(options.vocab_size, **shape)
        else:
            heads = options.width // 64
            self.network = Transformer(options.vocab_size, inner_width=4 * options.width, heads=heads, **shape)
        self.network.to(options.device)

    def objectives(self, beams: int) -> dict[str, Any]:
        """Name -> function of a batch that gives the value to differentiate."""
        gold = TeacherForcing(0.1)

        def with_beam(loss: BeamLoss, **unroll: Any) -> BeamTraining:
            unrolled = {"beam_size": beams, "candidates": max(32, beams), **unroll}
            return BeamTraining(loss, unroll=UnrollOptions(**unrolled), margin=self.options.margin)

        default = with_beam(ExpectedReward())
        soft_paths = {"selection": "soft", "open_paths": ("embeddings", "ancestry")}
        parts = {
            "beam part": default,
            "beam part, minimum risk, hard": with_beam(MinimumRisk(), selection="hard"),
            "beam part, minimum risk, mixing": with_beam(MinimumRisk(), open_paths=("embeddings",)),
            "beam part, soft survival, hard": with_beam(SoftSurvival(), selection="hard"),
            "beam part, soft survival, hard, one rival, M 2 K": with_beam(
                SoftSurvival(rivals=1), selection="hard", candidates=2 * beams
            ),
            "beam part, survival of the reference, hard": with_beam(SoftSurvival("reference"), selection="hard"),
            "beam part, descendant credit, hard": with_beam(DescendantCredit(), selection="hard"),
            "beam part, optimal transport": with_beam(OptimalTransport()),
            "beam part, aligned cross-entropy": with_beam(AlignedCrossEntropy()),
            "beam part, bag of tokens": with_beam(BagOfTokens()),
            "beam part, soft, step by step": with_beam(ExpectedReward(), **soft_paths),
            "beam part, soft, step by step, aligned": with_beam(AlignedCrossEntropy(), **soft_paths),
            "gold prefixes, optimal transport": SoftTeacherForcing(OptimalTransport()),
            "gold prefixes, aligned cross-entropy": SoftTeacherForcing(AlignedCrossEntropy()),
            "risk of 8 samples": SampledRisk(margin=self.options.margin),
            "self-critical, 4 samples": SelfCritical(margin=self.options.margin),
            "Gumbel-greedy": GumbelGreedy(margin=self.options.margin),
        }
        whole = {
            "whole step": default,
            "scheduled sampling": ScheduledSampling(GoldShare("linear", half=1)),
            "scheduled sampling, expected": ScheduledSampling(GoldShare("linear", half=1), "expected"),
            "parameter search, 4 candidates": ParameterSearch(margin=self.options.margin),
        }
        return {
            "teacher forcing": lambda batch: gold(self.network, batch).total,
            **{name: partial(self.part, part) for name, part in parts.items()},
            **{name: partial(self.whole, each) for name, each in whole.items()},
        }

    def whole(self, objective: Objective, batch: Batch) -> Tensor:
        return objective(self.network, batch, step=1).total

    def part(self, objective: Mixture, batch: Batch) -> Tensor:
        with objective.mode_of_part(self.network):
            return objective.part(self.network, batch)[0]

    def batch(self, length: int) -> Batch:
        B, V = self.options.sentences, self.options.vocab_size
        words = torch.randint(4, V, (2, B, length - 1))
        end = torch.full((B, 1), EOS)
        source = torch.cat((words[0], end), 1)
        self.network.eval()
        search = SearchOptions(beam_size=self.options.beams, min_length=length, max_length=length)
        for row, (best, *_) in zip(
            words[1], beam_search(self.network, source.to(self.options.device), search), strict=True
        ):
            kept = torch.rand(length - 1) < 0.75
            row[kept] = torch.tensor(best.tokens)[: length - 1][kept]
        self.network.train()
        batch = Batch.of_pairs(source, torch.cat((words[1], end), 1), torch.arange(B))
        return batch.to(self.options.device)

    def step(self, objective: Callable[[Batch], Tensor], batch: Batch) -> None:
        with torch.autocast(self.options.device, torch.bfloat16, enabled=self.options.precision == "bf16"):
            value = objective(batch)
        value.backward()
        self.network.zero_grad()

    def measure(self, beams: int, length: int, names: list[str]) -> dict[str, tuple[float, float]]:
        """Name -> seconds and bytes of a step."""
        objectives, batch = self.objectives(beams), self.batch(length)
        seconds = defaultdict(list)
        memory = {}
        for name in names:
            memory[name] = peak(partial(self.step, objectives[name], batch), self.options.device)
        for _ in range(self.options.rounds):
            for name in names:
                begin = self.now()
                self.step(objectives[name], batch)
                seconds[name].append(self.now() - begin)
        return {name: (statistics.median(seconds[name]), memory[name]) for name in names}

    def now(self) -> float:
        if self.options.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def ratio(self, beams: int, length: int, only: list[str] | None) -> None:
        found = self.measure(beams, length, ["teacher forcing", *(only or list(self.objectives(beams))[1:])])
        base_time, base_memory = found["teacher forcing"]
        print(f"| K {beams}, T {length} | ms | times | MiB | times |\n|---|---|---|---|---|")
        for name, (seconds, size) in found.items():
            print(
                f"| {name} | {seconds * 1e3:.0f} | {seconds / base_time:.2f} | {size / 2**20:.0f} "
                f"| {size / base_memory:.2f} |"
            )
        print(flush=True)

    def curve(self, axis: str, points: list[tuple[int, int]]) -> None:
        print(f"| {axis} | beam part, ms | times teacher forcing | MiB | times |\n|---|---|---|---|---|")
        for beams, length in points:
            found = self.measure(beams, length, ["teacher forcing", "beam part"])
            (base_time, base_memory), (seconds, size) = found.values()
            print(
                f"| {beams if axis == 'K' else length} | {seconds * 1e3:.0f} | {seconds / base_time:.2f} "
                f"| {size / 2**20:.0f} | {size / base_memory:.2f} |",
                flush=True,
            )
        print(flush=True)

    def split(self, beams: int, length: int) -> None:
        """Where the time of the beam part goes: each part without the parts inside it."""
        objective, batch = self.objectives(beams)["beam part"], self.batch(length)
        clock, network = Clock(self.now), type(self.network)
        parts = [
            ("encoder", network, "encode_counted"),
            ("search: decoder", network, "step"),
            ("search: logits and candidates", Chain, "candidates"),
            ("search: the rest", two_pass, "_search"),
            ("decoder over the prefix tree", Transformer, "decode_tree"),
            ("top-k operator", type(BeamTraining(ExpectedReward()).operator), "select"),
            ("loss", ExpectedReward, "forward"),
            ("figures to watch", beam_module, "_figures"),
            ("logits and candidates again, for their gradient", deferred_gradient, "through_logits"),
            ("logits and candidates again, for their gradient", softmax_gradient, "through_logits"),
            ("backward through the prefix tree", deferred_gradient._ThroughTree, "backward"),
            ("backward of the rest", Tensor, "backward"),
        ]
        with ExitStack() as stack:
            for name, owner, attribute in parts:
                stack.enter_context(patch.object(owner, attribute, clock.timed(name, getattr(owner, attribute))))
            for _ in range(self.options.rounds):
                with clock.running("the rest"):
                    self.step(objective, batch)
        total = sum(clock.seconds.values())
        print(f"| part of the beam part, K {beams}, T {length} | share |\n|---|---|")
        names = [*dict.fromkeys(name for name, _, _ in parts), "the rest"]
        for name in filter(clock.seconds.get, names):
            print(f"| {name} | {clock.seconds[name] / total:.0%} |")
        print(flush=True)


class Clock:
    """Time spent in named functions, without the named functions that they call."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._now, self._inside = now, [0.0]

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        self._inside.append(0.0)
        begin = self._now()
        yield
        elapsed = self._now() - begin
        self.seconds[name] += elapsed - self._inside.pop()
        self._inside[-1] += elapsed

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.running(name):
                return function(*args, **kwargs)

        return wrapper


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make, as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {tensor.untyped_storage().data_ptr() for tensor in tree_leaves(args) if isinstance(tensor, Tensor)}
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in before | self._known and storage.nbytes():
                    self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        self._known.add(place)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._remove, place, size)

    def _remove(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.bytes -= size


def peak(run: Callable[[], None], device: str) -> float:
    """Bytes at the peak of a run, above what there was before it."""
    run()
    if device == "cpu":
        with LiveTensors() as live:
            run()
        return live.peak
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


if __name__ == "__main__":
    main()
