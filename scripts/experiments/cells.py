"""What is compared: each cell is a name and the settings in which it differs from configs/multi30k_ende_soft.yaml."""

from typing import Any

OBJECTIVES, TOPK = "beamtrain.objectives", "beamtrain.topk"
CONTROL = "teacher forcing"
ADAM = {"betas": [0.9, 0.98], "weight_decay": 0.0, "fused": True}


def beam(
    loss: dict[str, Any] | None = None,
    operator: dict[str, Any] | None = None,
    unroll: dict[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """The recipe that is varied, with some of its objective replaced."""
    unrolled = {"beam_size": 4, "candidates": 32, "selection": "straight_through", "open_paths": [], **(unroll or {})}
    arguments = {
        "loss": loss or expected(),
        "operator": operator or soft(),
        "unroll": unrolled,
        "weight": 0.9,
        **settings,
    }
    return objective("BeamTraining", arguments)


def objective(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"model": {"objective": {"class_path": f"{OBJECTIVES}.{name}", "init_args": arguments}}}


def at_rate(cell: dict[str, Any], rate: float) -> dict[str, Any]:
    """The same with another peak of the learning rate."""
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": rate, **ADAM}}
    return {"model": {**cell["model"], "optimizer": optimizer}}


def in_large_batches(cell: dict[str, Any], rate: float = 1e-3) -> dict[str, Any]:
    """With 2,048 tokens in a batch instead of 512, which bear a greater learning rate."""
    return {**at_rate(cell, rate), "data": {"batch_tokens": 2048}}


def expected(reward: dict[str, Any] | None = None, sharpness: float = 0.3) -> dict[str, Any]:
    return loss("ExpectedReward", reward=reward or gleu(), sharpness=sharpness)


def risk(reward: dict[str, Any] | None = None, sharpness: float = 0.3) -> dict[str, Any]:
    return loss("MinimumRisk", reward=reward or gleu(), sharpness=sharpness)


def gleu(order: int = 4) -> dict[str, Any]:
    return loss("Gleu", order=order)


def linear_bleu(length_cost: float) -> dict[str, Any]:
    return loss("LinearBleu", length_cost=length_cost)


def loss(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": f"{OBJECTIVES}.{name}", "init_args": settings}


def soft(temperature: float = 0.5) -> dict[str, Any]:
    return operator("SoftTopK", temperature=temperature, candidates=None)


def operator(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": f"{TOPK}.{name}", "init_args": settings}


RISK = risk()
COMPLETION = loss("OptimalCompletion")
MARGIN = loss("GoldMargin")
POSITIONS = loss("PositionCrossEntropy")
ALL_PATHS = ["score_update", "accumulated_score", "embeddings", "ancestry"]

RECIPE = "n-gram overlap"
LARGE_BATCHES = "2,048 tokens, learning rate 0.001"
FASTER = "2,048 tokens, learning rate 0.003"
PAPER = "the paper's: positions, soft, all paths"
MINIMUM_RISK = "minimum risk, hard"
PAPER_CELL = beam(POSITIONS, unroll={"selection": "soft", "open_paths": ALL_PATHS}, margin=0, weight=0.5, dropout=True)
TEACHER = objective("TeacherForcing", {})

AVERAGING = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging", "init_args": {"decay": 0.99}}

ABLATIONS: dict[str, dict[str, Any]] = {
    RECIPE: beam(),
    CONTROL: TEACHER,
    # losses
    MINIMUM_RISK: beam(RISK, unroll={"selection": "hard"}),
    "optimal completion": beam(COMPLETION),
    "optimal completion, any": beam(loss("OptimalCompletion", target="any")),
    "gold margin": beam(MARGIN),
    "positions, straight-through": beam(POSITIONS),
    "positions, soft, paths closed": beam(POSITIONS, unroll={"selection": "soft"}, margin=0),
    PAPER: PAPER_CELL,
    "n-gram overlap + optimal completion": beam(
        loss("WeightedSum", losses=[expected(), COMPLETION], weights=[1.0, 0.2])
    ),
    # selections
    "n-gram overlap, hard": beam(unroll={"selection": "hard"}),
    "n-gram overlap, soft, temperature 0.125": beam(operator=soft(0.125), unroll={"selection": "soft"}),
    "n-gram overlap, soft, temperature 0.005": beam(operator=soft(0.005), unroll={"selection": "soft"}),
    # relaxations
    "NeuralSort": beam(operator=operator("NeuralSort", temperature=0.5, candidates=None)),
    "SoftSort": beam(operator=operator("SoftSort", temperature=0.5, candidates=None)),
    "peaked softmax": beam(operator=operator("Peaked", temperature=0.5, candidates=None)),
    "relaxed subset": beam(operator=operator("RelaxedSubset", temperature=0.5, candidates=None)),
    "Gumbel relaxed subset": beam(
        operator=operator("Gumbel", operator=operator("RelaxedSubset", temperature=0.5, candidates=None))
    ),
    # beam size and candidates
    "M 128": beam(unroll={"candidates": 128}),
    "K 2": beam(unroll={"beam_size": 2}),
    "K 8": beam(unroll={"beam_size": 8}),
    # gradient paths, each opened alone
    "score update open": beam(unroll={"open_paths": ["score_update"]}),
    "accumulated score open": beam(unroll={"open_paths": ["accumulated_score"]}),
    "embeddings open": beam(unroll={"open_paths": ["embeddings"]}),
    "ancestry open": beam(unroll={"open_paths": ["ancestry"]}),
    # temperature, mixing weight, reward
    "temperature 0.1": beam(operator=soft(0.1)),
    "temperature 2": beam(operator=soft(2.0)),
    "temperature 2 to 0.1": beam(annealing={"initial": 2.0, "final": 0.1, "steps": 300}),
    "weight 0.5": beam(weight=0.5),
    "weight 0.99": beam(weight=0.99),
    "n-grams up to 2": beam(expected(gleu(order=2))),
    "linear BLEU, length cost 0.5": beam(expected(linear_bleu(0.5))),
    "linear BLEU, length cost 1": beam(expected(linear_bleu(1.0))),
    "linear BLEU, length cost 1, order weights 0.1": beam(expected(linear_bleu(1.0), sharpness=0.1)),
    "minimum risk, hard, linear BLEU, length cost 1": beam(risk(linear_bleu(1.0)), unroll={"selection": "hard"}),
    "order weights 0.1": beam(expected(sharpness=0.1)),
    "order weights 1": beam(expected(sharpness=1.0)),
    "clipped at 2": beam(max_gradient_norm=2.0),
    "with dropout": beam(dropout=True),
    # optimisation
    "learning rate 0.0001": at_rate(beam(), 1e-4),
    "learning rate 0.001": at_rate(beam(), 1e-3),
    "teacher forcing, learning rate 0.001": at_rate(TEACHER, 1e-3),
    "minimum risk, hard, learning rate 0.001": at_rate(beam(RISK, unroll={"selection": "hard"}), 1e-3),
    "minimum risk, hard, K 8": beam(RISK, unroll={"selection": "hard", "beam_size": 8}),
    "minimum risk, hard, order weights 1": beam(risk(sharpness=1.0), unroll={"selection": "hard"}),
    LARGE_BATCHES: in_large_batches(beam()),
    f"margin 16, {LARGE_BATCHES}": in_large_batches(beam(margin=16)),
    f"linear BLEU, length cost 0.5, {LARGE_BATCHES}": in_large_batches(beam(expected(linear_bleu(0.5)))),
    f"with dropout, {LARGE_BATCHES}": in_large_batches(beam(dropout=True)),
    f"minimum risk, hard, {LARGE_BATCHES}": in_large_batches(beam(RISK, unroll={"selection": "hard"})),
    f"{PAPER}, {LARGE_BATCHES}": in_large_batches(PAPER_CELL),
    f"teacher forcing, {LARGE_BATCHES}": in_large_batches(TEACHER),
    FASTER: in_large_batches(beam(), 3e-3),
    f"teacher forcing, {FASTER}": in_large_batches(TEACHER, 3e-3),
    "averaged weights": {**beam(), "trainer": {"callbacks": [AVERAGING]}},
}
CONTROLS = {  # teacher forcing: each for the cells with its batches, and for as long as its beam cell takes
    CONTROL: RECIPE,
    f"teacher forcing, {LARGE_BATCHES}": LARGE_BATCHES,
    f"teacher forcing, {FASTER}": FASTER,
    "teacher forcing, learning rate 0.001": "learning rate 0.001",
}
FINAL = {name: ABLATIONS[name] for name in (RECIPE, CONTROL, MINIMUM_RISK, PAPER)}
