"""The pictures of docs/topk.md: each operator's matrix, its curve and its gradient as the temperature falls.

python scripts/bench/plot_topk.py            # writes docs/images/topk/*.png
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from beamtrain import topk
from beamtrain.base.script_parser import ScriptParser

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SCORES = torch.tensor([2.0, 1.7, 1.0, 0.1, 0.0, -1.0, -1.6, -2.5], dtype=torch.float64)  # log-probability-like, sorted
K = 4
TEMPERATURES = [3.0, 1.0, 0.3, 0.1, 0.03]


def gumbel_subset(scores: Tensor, k: int, temperature: float) -> Tensor:
    """One relaxed sample, the same noise at every temperature."""
    operator = topk.Gumbel(topk.RelaxedSubset(temperature, None))
    return operator.select(scores, k, torch.Generator().manual_seed(4)).weights


OPERATORS: dict[str, Callable[[Tensor, int, float], Tensor]] = {
    "soft": lambda x, k, t: topk.soft_topk(x, k, t, candidates=None).weights,
    "soft_set": lambda x, k, t: topk.soft_topk(x, k, t, candidates=None, sorted=False).weights,
    "sinkhorn": lambda x, k, t: topk.sinkhorn_topk(x, k, t, iterations=200),
    "sinkhorn_sort": lambda x, k, t: topk.SinkhornSort(t, None, iterations=200).select(x, k).weights,
    "neuralsort": lambda x, k, t: topk.neural_topk(x, k, t),
    "softsort": lambda x, k, t: topk.softsort_topk(x, k, t),
    "peaked": lambda x, k, t: topk.peaked_topk(x, k, t),
    "lapsum": lambda x, k, t: topk.lapsum_topk(x, k, t),
    "subset": topk.subset_topk,
    "gumbel_subset": gumbel_subset,
    "perturbed": lambda x, k, t: topk.perturbed_topk(x, k, t, generator=torch.Generator().manual_seed(0), samples=2000),
}


def matrices(name: str, folder: Path) -> None:
    """The weights (ranks by candidates) at each temperature, in one row of panels."""
    figure, panels = plt.subplots(1, len(TEMPERATURES), figsize=(2.6 * len(TEMPERATURES), 1.9), sharey=True)
    for panel, temperature in zip(panels, TEMPERATURES, strict=True):
        weights = OPERATORS[name](SCORES, K, temperature)
        panel.imshow(weights, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        panel.set(title=f"temperature {temperature:g}", xticks=range(len(SCORES)))
        panel.set_xticklabels([f"{score:g}" for score in SCORES.tolist()], fontsize=6)
        ranks = weights.shape[0]
        panel.set_yticks(range(ranks), [str(rank + 1) for rank in range(ranks)] if ranks > 1 else ["set"], fontsize=7)
    panels[0].set_ylabel("rank")
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=90)
    plt.close(figure)


def ranks_and_values(folder: Path) -> None:
    """Soft ranks and softly sorted values against the temperature: no matrix comes with them."""
    temperatures = torch.logspace(-2, 1.5, 60)
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.2))
    for panel, title, values in (
        (panels[0], "soft_rank, quadratic", [topk.soft_rank(SCORES, t) for t in temperatures.tolist()]),
        (panels[1], "soft_rank, entropic", [topk.soft_rank(SCORES, t, "entropic") for t in temperatures.tolist()]),
        (panels[2], "soft_sort, quadratic", [topk.soft_sort(SCORES, t) for t in temperatures.tolist()]),
    ):
        panel.plot(temperatures, torch.stack(values))
        panel.set(xscale="log", xlabel="temperature", title=title)
        panel.invert_xaxis()
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "fast_soft_sort.png", dpi=90)
    plt.close(figure)


def gradients(folder: Path) -> None:
    """On random problems: how large the gradient of a random loss is, and how many candidates share it."""
    temperatures = torch.logspace(0.5, -2.5, 16).tolist()
    generator = torch.Generator().manual_seed(0)
    scores = (3 * torch.randn(200, 500, generator=generator, dtype=torch.float64)).topk(64).values
    gain = torch.randn(200, K, 64, generator=generator, dtype=torch.float64)
    figure, panels = plt.subplots(1, 3, figsize=(15, 3.8))
    shown = ["soft", "soft_set", "lapsum", "softsort", "neuralsort", "peaked", "subset"]
    for name in shown:
        norms, shares, dead = [], [], []
        for temperature in temperatures:
            leaf = scores.clone().requires_grad_()
            weights = OPERATORS[name](leaf, K, temperature)
            (gradient,) = torch.autograd.grad((weights * gain[:, : weights.shape[1]]).sum(), leaf)
            length = gradient.norm(dim=-1)
            norms.append(length.quantile(0.95).item())
            dead.append((length < 1e-6).double().mean().item())
            alive = gradient[length >= 1e-6].abs()
            shares.append(
                (alive.sum(-1).square() / alive.square().sum(-1)).median().item() if len(alive) else float("nan")
            )
        for panel, values in zip(panels, (norms, shares, dead), strict=True):
            panel.plot(temperatures, values, label=name)
    panels[0].set(yscale="log", title="95th percentile of the gradient's norm")
    panels[1].set(yscale="log", title="effective number of candidates that receive it")
    panels[2].set(title="share of problems with a dead gradient (< 1e-6)")
    for panel in panels:
        panel.set(xscale="log", xlabel="temperature")
        panel.invert_xaxis()
        panel.grid(alpha=0.3)
    panels[2].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "gradients.png", dpi=90)
    plt.close(figure)


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/images/topk"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in OPERATORS:
        matrices(name, folder)
    ranks_and_values(folder)
    gradients(folder)
    print(f"wrote {len(OPERATORS) + 2} pictures to {folder}")


if __name__ == "__main__":
    main()
