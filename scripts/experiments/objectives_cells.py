"""The objectives that objectives.py compares: each a name and the settings in which it differs from its start."""

from typing import Any

from cells import ALL_PATHS, COMPLETION, MARGIN, POSITIONS, RISK, TEACHER, at_rate, beam, loss, objective, risk

RATE, TOKENS = 1e-3, 2048
CONTROL = "teacher forcing"
HARD = {"selection": "hard"}

_CELLS: dict[str, dict[str, Any]] = {
    CONTROL: TEACHER,
    # the search in the loop
    "expected GLEU, straight-through": beam(),
    "expected GLEU, hard": beam(unroll=HARD),
    "minimum risk, hard": beam(RISK, unroll=HARD),
    "minimum risk, sentence BLEU": beam(risk(loss("SentenceBleu")), unroll=HARD),
    "minimum risk, chrF": beam(risk(loss("SentenceChrf")), unroll=HARD),
    "descendant credit": beam(loss("DescendantCredit"), unroll=HARD),
    "soft survival": beam(loss("SoftSurvival"), unroll=HARD),
    "optimal transport": beam(loss("OptimalTransport")),
    "aligned cross-entropy": beam(loss("AlignedCrossEntropy")),
    "bag of tokens": beam(loss("BagOfTokens")),
    "optimal completion": beam(COMPLETION),
    "gold margin": beam(MARGIN),
    "positions, soft, all paths": beam(
        POSITIONS, unroll={"selection": "soft", "open_paths": ALL_PATHS}, margin=0, weight=0.5, dropout=True
    ),
    "positions, soft, snapping": beam(
        POSITIONS,
        unroll={"selection": "soft", "open_paths": ["embeddings"], "snapping": 0.25},
        margin=0,
        weight=0.5,
        dropout=True,
    ),
    "expected GLEU, Gumbel noise": beam(unroll={"noise": 0.5}),
    # without a beam in the loss
    "optimal transport, gold prefixes": objective("SoftTeacherForcing", {"loss": loss("OptimalTransport")}),
    "risk of samples": objective("SampledRisk", {}),
    "self-critical": objective("SelfCritical", {}),
    "self-critical, chrF": objective("SelfCritical", {"reward": loss("SentenceChrf")}),
    "Gumbel-greedy": objective("GumbelGreedy", {"temperature": 2.0}),
    "scheduled sampling, sample": objective("ScheduledSampling", {"own": "sample", "gold_share": {"half": 1000}}),
    "scheduled sampling, expected": objective("ScheduledSampling", {"own": "expected", "gold_share": {"half": 1000}}),
    "parameter search": objective("ParameterSearch", {}),
}
CELLS = {name: at_rate(cell, RATE) for name, cell in _CELLS.items()}
