"""Accuracy, time and memory of every top-k operator over the number of scores, beside installed peers: tables, a plot.

    python scripts/bench/topk.py                          # all operators over N: about 10 minutes on one core
    python scripts/bench/topk.py --headline               # SOFT against Sinkhorn, and soft ranks against torchsort

On the CPU one thread is used and its CPU time is measured, so that other work on the machine does not count. Every
measurement runs in a process of its own, whose memory may grow by --memory-limit MiB; "memory" stands where that was
not enough and "time" where --time-limit seconds were not. Memory: peak above what was held before the call.
On a GPU the host's waits for the device during one call are counted, and memory is the allocator's peak.
"""

import ctypes
import os
import pickle
import resource
import signal
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from beamtrain import topk
from beamtrain.base.script_parser import ScriptParser

Method = Callable[[Tensor, int, float], Tensor]  # scores (B, N), k, temperature -> any differentiable output


class Measured(NamedTuple):
    """Medians of one method at one size; `failure` says why there are none."""

    forward: float = float("nan")  # seconds
    both: float = float("nan")  # seconds, forward and backward
    memory: float = float("nan")  # MiB, forward and backward
    error: float = float("nan")  # largest difference from float64
    waits: int = 0  # host synchronisations in forward and backward (GPU only)
    failure: str = ""


def all_pairs_rank(scores: Tensor, k: int, temperature: float) -> Tensor:
    """Qin, Liu and Li 2010: 1/2 + sum_j sigmoid((x_j - x_i) / temperature), N^2 memory."""
    return 0.5 + torch.sigmoid((scores.unsqueeze(-2) - scores.unsqueeze(-1)) / temperature).sum(-1)


def own_methods(device: str) -> dict[str, Method]:
    """Every operator of the package, over all N unless said."""

    def generator() -> torch.Generator:
        return torch.Generator(device).manual_seed(0)

    return {
        "SOFT, best 64": lambda x, k, t: topk.soft_topk(x, k, t).weights,
        "SOFT set, best 64": lambda x, k, t: topk.soft_topk(x, k, t, sorted=False).weights,
        "SOFT": lambda x, k, t: topk.soft_topk(x, k, t, candidates=None).weights,
        "SOFT set": lambda x, k, t: topk.soft_topk(x, k, t, candidates=None, sorted=False).weights,
        "Sinkhorn-200, KKT": lambda x, k, t: topk.sinkhorn_topk(x, k, t),
        "Sinkhorn-200, plain, KKT": lambda x, k, t: topk.sinkhorn_topk(x, k, t, domain="plain"),
        "Sinkhorn-200, autograd": lambda x, k, t: topk.sinkhorn_topk(x, k, t, gradient="autograd"),
        "LapSum": lambda x, k, t: topk.lapsum_topk(x, k, t),
        "SoftSort": lambda x, k, t: topk.softsort_topk(x, k, t),
        "NeuralSort": lambda x, k, t: topk.neural_topk(x, k, t),
        "peaked softmax": lambda x, k, t: topk.peaked_topk(x, k, t),
        "successive softmax": lambda x, k, t: topk.subset_topk(x, k, t),
        "perturbed, 100 draws": lambda x, k, t: topk.perturbed_topk(x, k, t, generator=generator()),
        "soft rank": lambda x, k, t: topk.soft_rank(x, t),
        "soft rank, entropic": lambda x, k, t: topk.soft_rank(x, t, "entropic"),
        "Sinkhorn rank, 200": lambda x, k, t: topk.sinkhorn_rank(x, t),
        "all-pairs rank": all_pairs_rank,
    }


def peer_methods() -> dict[str, Method]:
    """What is installed of torchsort, difftopk and POT."""
    methods: dict[str, Method] = {}
    try:
        import torchsort

        methods["torchsort soft_rank"] = lambda x, k, t: torchsort.soft_rank(-x, regularization_strength=t)
    except ImportError:
        print("torchsort is not installed: pip install --no-build-isolation torchsort", file=sys.stderr)
    try:
        from difftopk.neuralsort import NeuralSort
        from difftopk.softsort import SoftSort

        methods["difftopk NeuralSort"] = lambda x, k, t: NeuralSort(tau=t)(x)
        methods["difftopk SoftSort"] = lambda x, k, t: SoftSort(tau=t)(x)
    except ImportError:
        print("difftopk is not installed: pip install -e '.[bench]'", file=sys.stderr)
    try:
        import ot

        def transported(scores: Tensor, k: int, temperature: float) -> Tensor:
            columns = scores.shape[-1]
            levels = torch.arange(k + 1, dtype=scores.dtype, device=scores.device)
            masses = torch.tensor([(columns - k) / columns] + [1 / columns] * k, dtype=scores.dtype)
            rows = torch.full((columns,), 1 / columns, dtype=scores.dtype)
            centred = scores - scores.detach().topk(k).values[:, -1:]
            plans = [
                ot.sinkhorn(
                    rows, masses, (row[:, None] - levels) ** 2, 2 * temperature,
                    method="sinkhorn_log", numItermax=200, stopThr=0, warn=False,
                )
                for row in centred
            ]  # fmt: skip
            return columns * torch.stack(plans)[..., 1:].flip(-1).mT

        methods["POT sinkhorn_log, 200"] = transported
    except ImportError:
        print("POT is not installed: pip install -e '.[bench]'", file=sys.stderr)
    return methods


def scores_like_logits(rows: int, columns: int, device: str) -> Tensor:
    """Log-probabilities of a softmax over normal logits of standard deviation 3."""
    logits = 3 * torch.randn(rows, columns, generator=torch.Generator().manual_seed(columns))
    return logits.log_softmax(-1).to(device)


def clock(device: str) -> float:
    """Seconds: this thread's CPU time, or on a GPU wall time after the device is done."""
    if device == "cpu":
        return time.thread_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def both_ways(method: Method, scores: Tensor, k: int, temperature: float) -> None:
    """Forward and backward, with a gradient that differs from output to output."""
    leaf = scores.detach().requires_grad_()
    output = method(leaf, k, temperature)
    output.backward(output.detach())


def seconds(call: Callable[[], object], device: str, limit: float) -> float:
    """The median of up to 15 calls, or of as many as fit into `limit` seconds."""
    taken: list[float] = []
    while len(taken) < 15 and (not taken or sum(taken) + taken[-1] < limit):
        begin = clock(device)
        call()
        taken.append(clock(device) - begin)
    return statistics.median(taken[1:] or taken)  # the first call warms up


def measure(method: Method, scores: Tensor, k: int, temperature: float, limit: float) -> Measured:
    """Everything about one method at one size, in this process."""
    device = scores.device.type
    memory = memory_of(method, scores, k, temperature).memory
    forward = seconds(lambda: method(scores, k, temperature), device, limit / 4)
    both = seconds(lambda: both_ways(method, scores, k, temperature), device, limit / 4)
    error = rounding_error(method, scores, k, temperature)
    return Measured(forward, both, memory, error, host_waits(method, scores, k, temperature) if device == "cuda" else 0)


def rounding_error(method: Method, scores: Tensor, k: int, temperature: float) -> float:
    """The largest difference from the same method in float64; NaN for peers that cannot compute in it."""
    try:
        with torch.no_grad():
            return (method(scores, k, temperature) - method(scores.double(), k, temperature)).abs().max().item()
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        return float("nan")


def memory_of(method: Method, scores: Tensor, k: int, temperature: float) -> Measured:
    """The peak above the scores, in one forward and backward."""
    both_ways(method, scores[:1, : 2 * k + 6], k, temperature)  # loads what is loaded once
    before = start_memory(scores.device.type)
    both_ways(method, scores, k, temperature)
    return Measured(memory=peak_memory(scores.device.type) - before)


def start_memory(device: str) -> float:
    """MiB held now; the peak is counted from here."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    ctypes.CDLL(None).malloc_trim(0)  # what was freed earlier must not be used unseen
    Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak
    return _status("VmRSS")


def peak_memory(device: str) -> float:
    """The most MiB held since start_memory."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else _status("VmHWM")


def _status(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def host_waits(method: Method, scores: Tensor, k: int, temperature: float) -> int:
    """How often the host waits for the GPU in one forward and backward."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            both_ways(method, scores, k, temperature)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def measure_apart(
    method: Method, scores: Tensor, k: int, temperature: float, limit: float, memory_limit: float
) -> Measured:
    """`measure` in a forked process with limits on memory and time; on a GPU in this one."""
    if scores.device.type == "cuda":
        try:
            return measure(method, scores, k, temperature, limit)
        except torch.OutOfMemoryError:
            return Measured(failure="memory")
    return apart(lambda: measure(method, scores, k, temperature, limit), 2 * limit, memory_limit)


def apart(work: Callable[[], Measured], cpu_seconds: float, memory_limit: float) -> Measured:
    """What `work` returns in a forked process that may use so many CPU seconds and MiB more than are held now."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # kills
        held = int(_status("VmSize") * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (held + int(memory_limit * 2**20),) * 2)
        try:
            result = work()
        except (MemoryError, RuntimeError) as error:
            result = Measured(failure="memory" if "memory" in str(error) or not str(error) else "error")
        except ValueError as error:
            result = Measured(failure="refused" if "overflow" in str(error) else "error")
        os.write(writer, pickle.dumps(result))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(child, 0)[1]
    if answer:
        return pickle.loads(answer)
    return Measured(failure="time" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF else "memory")


def table(sizes: list[int], results: dict[str, list[Measured]], show: Callable[[Measured], str]) -> str:
    """Markdown, one row for each method."""
    lines = ["| | " + " | ".join(f"N = {size:,}" for size in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    for name, row in results.items():
        lines.append(f"| {name} | " + " | ".join(one.failure or show(one) for one in row) + " |")
    return "\n".join(lines)


def plot(sizes: list[int], results: dict[str, list[Measured]], path: Path) -> None:
    """Run time against N, forward and with backward, a cross where a method ran out of memory or time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(13, 6), sharey=True)
    styles = [(colour, line) for line in ("-", "--", ":") for colour in plt.get_cmap("tab10").colors]  # type: ignore[attr-defined]
    for (name, row), (colour, line) in zip(results.items(), styles, strict=False):
        for panel, field in zip(panels, ("forward", "both"), strict=True):
            times = [getattr(one, field) * 1e3 for one in row]
            panel.plot(sizes, times, line, color=colour, marker="o", markersize=3, label=name)
            done = [index for index, one in enumerate(row) if not one.failure]
            if len(done) < len(sizes) and done:
                panel.plot(sizes[done[-1]], times[done[-1]], "x", color=colour, markersize=11)
    for panel, title in zip(panels, ("forward", "forward and backward"), strict=True):
        panel.set(xscale="log", yscale="log", xlabel="number of scores N", title=title)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("milliseconds (a cross: the next size needs too much memory or time)")
    panels[1].legend(bbox_to_anchor=(1.02, 1), loc="upper left", fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def interleaved(calls: Mapping[str, Callable[[], object]], device: str, rounds: int) -> dict[str, float]:
    """Medians over rounds in which every call runs in turn, quick ones up to 20 times, after one turn to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            for _ in range(min(20, 1 + int(0.5 / min(taken[name]))) if taken[name] else 1):
                begin = clock(device)
                call()
                taken[name].append(clock(device) - begin)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def published_sinkhorn(scores: Tensor, k: int, temperature: float) -> Tensor:
    """Sorted SOFT in the form of the paper's own listing: 200 plain iterations, every sum over a product of the plan's
    size; gradient by the optimality conditions. Our sinkhorn_topk(domain="plain") uses matrix products instead."""
    return PublishedSinkhorn.apply(scores, k, temperature)


class PublishedSinkhorn(torch.autograd.Function):
    """Forward and backward of published_sinkhorn."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, k: int, temperature: float) -> Tensor:
        rows, columns = scores.shape
        centred = scores - scores.topk(k).values[:, -1:]
        logits = centred.unsqueeze(-1) * torch.arange(k + 1.0, device=scores.device) / temperature  # (B, N, k + 1)
        kernel = (logits - logits.amax(-1, keepdim=True)).exp()
        masses = torch.tensor([columns - k] + [1.0] * k, device=scores.device)
        right = torch.full((rows, 1, k + 1), 1 / (k + 1), device=scores.device)
        for _ in range(200):
            left = 1 / (kernel * right).sum(-1, keepdim=True)
            right = masses / (kernel * left).sum(-2, keepdim=True)
        plan = left * kernel * right
        ctx.save_for_backward(plan, masses)
        ctx.temperature = temperature
        return plan[..., 1:].flip(-1).mT

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        plan, masses = ctx.saved_tensors
        chosen, by_chosen = plan[..., 1:], gradient.mT.flip(-1)
        weighted = by_chosen * chosen
        system = torch.diag(masses[1:]) - chosen.mT @ chosen
        target = (weighted - chosen * weighted.sum(-1, keepdim=True)).sum(-2)
        columns = torch.linalg.solve(system, target).unsqueeze(-2)
        left = weighted.sum(-1, keepdim=True) - (chosen * columns).sum(-1, keepdim=True)
        levels = torch.arange(1.0, plan.shape[-1], device=plan.device)
        return ((weighted - chosen * (left + columns)) @ levels) / ctx.temperature, None, None


def headline(device: str, temperature: float, rounds: int) -> None:
    """SOFT against 200 Sinkhorn iterations with KKT backward; soft rank against torchsort. Interleaved medians."""
    methods = own_methods(device)
    rivals = {
        "Sinkhorn, as published": published_sinkhorn,
        "Sinkhorn, matrix products": methods["Sinkhorn-200, plain, KKT"],
        "Sinkhorn, log domain": methods["Sinkhorn-200, KKT"],
    }
    mine = {name: methods[name] for name in ("SOFT, best 64", "SOFT set, best 64", "SOFT")}
    print("| B, k, N | method | ms | as published / it | matrix products / it | log domain / it | memory, MiB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for rows, k, columns in ((64, 5, 1025), (32, 4, 32000), (4, 8, 256000)):
        scores = scores_like_logits(rows, columns, device)
        taken = interleaved(
            {n: partial(both_ways, m, scores, k, temperature) for n, m in (mine | rivals).items()}, device, rounds
        )
        for name, method in (mine | rivals).items():
            ratios = "".join(f" {taken[rival] / taken[name]:,.0f} |" for rival in rivals)
            work = partial(memory_of, method, scores, k, temperature)
            peak = (work() if device == "cuda" else apart(work, 600, 64_000)).memory
            print(f"| {rows}, {k}, {columns:,} | {name} | {taken[name] * 1e3:,.2f} |{ratios} {peak:.1f} |", flush=True)
    rank = {"soft rank": methods["soft rank"], **{n: m for n, m in peer_methods().items() if "torchsort" in n}}
    print(
        "\n| B, N | " + " | ".join(f"{name}: forward, both (ms)" for name in rank) + " |\n|---|" + "---:|" * len(rank)
    )
    for rows, columns in ((1, 1000), (32, 1000), (1, 100_000), (32, 100_000)):
        scores = scores_like_logits(rows, columns, device)
        forward = {n: partial(m, scores, 1, temperature) for n, m in rank.items()}
        both = {f"{n}+": partial(both_ways, m, scores, 1, temperature) for n, m in rank.items()}
        taken = interleaved({**both, **forward}, device, rounds)
        cells = [f"{taken[name] * 1e3:.3f}, {taken[name + '+'] * 1e3:.3f}" for name in rank]
        print(f"| {rows}, {columns:,} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 1000, 10_000, 100_000], help="numbers of scores N"
    )
    parser.add_argument("--rows", type=int, default=1, help="batch size")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--memory-limit", type=float, default=2048, help="MiB above what is held before the call (CPU)")
    parser.add_argument("--time-limit", type=float, default=30, help="CPU seconds for one method at one size")
    parser.add_argument("--plot", type=Path, default=Path("docs/images/topk/benchmark.png"))
    parser.add_argument(
        "--headline", action="store_true", help="only SOFT against Sinkhorn, soft rank against torchsort"
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved repetitions of --headline")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.headline:
        return headline(arguments.device, arguments.temperature, arguments.rounds)
    results: dict[str, list[Measured]] = {}
    for name, method in {**own_methods(arguments.device), **peer_methods()}.items():
        results[name] = []
        for size in arguments.sizes:
            scores = scores_like_logits(arguments.rows, size, arguments.device)
            one = measure_apart(
                method, scores, arguments.k, arguments.temperature, arguments.time_limit, arguments.memory_limit
            )
            results[name].append(one)
            print(f"{name}, N = {size}: {one}", file=sys.stderr, flush=True)
    sections: dict[str, Callable[[Measured], str]] = {
        "Forward, milliseconds": lambda one: f"{one.forward * 1e3:,.2f}",
        "Forward and backward, milliseconds": lambda one: f"{one.both * 1e3:,.2f}",
        "Peak memory above the input, forward and backward, MiB": lambda one: f"{one.memory:,.1f}",
        "Largest difference of float32 from float64": lambda one: f"{one.error:.0e}",
    }
    if arguments.device == "cuda":
        sections["Host waits for the GPU, forward and backward"] = lambda one: str(one.waits)
    print(f"B = {arguments.rows}, k = {arguments.k}, temperature = {arguments.temperature}, {arguments.device}")
    for title, show in sections.items():
        print(f"\n{title}\n\n{table(arguments.sizes, results, show)}")
    plot(arguments.sizes, results, arguments.plot)
    print(f"\nwrote {arguments.plot}", file=sys.stderr)


if __name__ == "__main__":
    main()
