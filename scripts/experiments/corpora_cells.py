"""The recipes that corpora.py compares: each a name and the settings in which it differs from its start."""

from typing import Any

from cells import (
    ALL_PATHS,
    POSITIONS,
    RISK,
    TEACHER,
    at_rate,
    beam,
    expected,
    linear_bleu,
    loss,
    objective,
    operator,
    risk,
    soft,
)

RATE = 1e-3  # the peak for batches of 2,048 tokens
CONTROL = "teacher forcing"
SLOWER, FASTER = "teacher forcing, learning rate / 3", "teacher forcing, learning rate x 2"
RECIPE = "GLEU, straight-through"
MINIMUM_RISK = "minimum risk, hard"
MIXING = "minimum risk, mixing"
WIDER = "minimum risk, hard, K 8"
WIDEST = "minimum risk, hard, K 16"
PAPER = "the paper's"
NARROW = "minimum risk, hard, norms and biases, learning rate x 5"
WEAKER = {factor: f"GLEU, straight-through, choices x {factor:g}" for factor in (0.1, 0.3)}
OPEN = {"selection": "straight_through", "open_paths": ["embeddings"]}

BEAMS: dict[str, dict[str, Any]] = {
    RECIPE: beam(),
    MINIMUM_RISK: beam(RISK, unroll={"selection": "hard"}),
    MIXING: beam(RISK, unroll=OPEN),
    PAPER: beam(POSITIONS, unroll={"selection": "soft", "open_paths": ALL_PATHS}, margin=0, weight=0.5, dropout=True),
    "GLEU, mixing": beam(unroll=OPEN),
    "GLEU, mixing, window 3": beam(unroll={**OPEN, "window": 3}),
    "GLEU, soft": beam(operator=soft(0.125), unroll={"selection": "soft"}),
    "GLEU, hard": beam(unroll={"selection": "hard"}),
    "GLEU, score update open": beam(unroll={"open_paths": ["score_update"]}),
    "GLEU, accumulated score open": beam(unroll={"open_paths": ["accumulated_score"]}),
    "GLEU, ancestry open": beam(unroll={"open_paths": ["ancestry"]}),
    "GLEU, margin 16": beam(margin=16),
    "GLEU, K 8": beam(unroll={"beam_size": 8}),
    "linear BLEU, straight-through": beam(expected(linear_bleu(0.5))),
    "minimum risk, hard, linear BLEU": beam(risk(linear_bleu(0.5)), unroll={"selection": "hard"}),
    "minimum risk, hard, sentence BLEU": beam(risk(loss("SentenceBleu")), unroll={"selection": "hard"}),
    "minimum risk, hard, chrF": beam(risk(loss("SentenceChrf")), unroll={"selection": "hard"}),
    "GLEU, NeuralSort": beam(operator=operator("NeuralSort", temperature=0.5, candidates=None)),
    "GLEU, relaxed subset": beam(operator=operator("RelaxedSubset", temperature=0.5, candidates=None)),
    "GLEU, dropout": beam(dropout=True),
    "soft survival": beam(loss("SoftSurvival"), unroll={"selection": "hard"}),
    "descendant credit": beam(loss("DescendantCredit"), unroll={"selection": "hard"}),
    "minimum risk + descendant credit": beam(
        loss("WeightedSum", losses=[RISK, loss("DescendantCredit")], weights=[1.0, 1.0]), unroll={"selection": "hard"}
    ),
    "minimum risk over samples": objective("SampledRisk", {}),
    "self-critical": objective("SelfCritical", {}),
    "parameter search": objective("ParameterSearch", {}),
    "aligned cross-entropy": beam(loss("AlignedCrossEntropy")),
    "optimal transport": beam(loss("OptimalTransport")),
    **{name: beam(unroll={"choice_gradient": factor}) for factor, name in WEAKER.items()},
    WIDER: beam(RISK, unroll={"selection": "hard", "beam_size": 8}),
    WIDEST: beam(RISK, unroll={"selection": "hard", "beam_size": 16}),
    "minimum risk, hard, dropout": beam(RISK, unroll={"selection": "hard"}, dropout=True),
}
AT_OTHER_RATES: dict[str, tuple[dict[str, Any], float]] = {
    f"{name}, learning rate x {factor:g}": (BEAMS[name], factor)
    for name in (RECIPE, *WEAKER.values(), MINIMUM_RISK, MIXING, WIDER, WIDEST)
    for factor in (0.25, 0.5, 2)
} | {NARROW: ({"model": {**BEAMS[MINIMUM_RISK]["model"], "trained": ["*bias", "*norm*"]}}, 5)}
CONTROLS = {CONTROL: 1.0, SLOWER: 1 / 3, FASTER: 2.0}  # by learning rate
CONTROL_OF = {name: CONTROL for name in [*BEAMS, *AT_OTHER_RATES, SLOWER, FASTER]}
STAGES = {
    "ablations": [CONTROL, SLOWER, FASTER, *BEAMS, *AT_OTHER_RATES],
    "final": [CONTROL, RECIPE, MINIMUM_RISK, MIXING, PAPER],
}


def cells_of(tokens: int) -> dict[str, dict[str, Any]]:
    """The settings of all cells for batches of so many tokens: the learning rate grows with their square root."""
    rate = RATE * (tokens / 2048) ** 0.5
    controls = {name: at_rate(TEACHER, rate * factor) for name, factor in CONTROLS.items()}
    beams = {name: at_rate(cell, rate) for name, cell in BEAMS.items()}
    return controls | beams | {name: at_rate(cell, rate * factor) for name, (cell, factor) in AT_OTHER_RATES.items()}
