"""What `beamtrain inspect` finds as one document: the terminal, the page and the pictures are made of it alone.

docs/inspect.md says what each field means. `VERSION` changes whenever one is taken away or means something else.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from beamtrain.data.batch import Batch, pad
from beamtrain.data.tokenizer import EOS, PAD, Subwords, Tokenizer
from beamtrain.inspecting.recording import RecordedStep, Recording, record
from beamtrain.inspecting.searches import LookedAt
from beamtrain.inspecting.words import loss_told, search_told, told
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.losses.base import BeamLoss, order_weights
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.text_reward import give_text
from beamtrain.runs.loading import Run

FORMAT, VERSION = "beamtrain inspect", 1
SHOWN = 12
"""Candidates of a step that are told one by one; more where ranks or the gradient need them. The rest is summed up."""
MOST_TOKENS = 256
"""Of a sentence, and of its reference: to look at, and for its gradient."""
_PUSHED = 3  # candidates that are told because the gradient is largest there

Json = dict[str, Any]


@dataclass(frozen=True)
class Sentence:
    """What to look at."""

    line: int
    """Its number in the input, from 1."""
    source: str
    translation: str
    """By the run's own search."""
    reference: str | None = None
    """The translation to measure by; None: that of the run."""
    problem: str | None = None
    """Why it was not translated."""


def document(run: Run, sentences: Sequence[Json]) -> Json:
    """The whole, of a run's sentences as `sentence_document` gives them."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": str(run.path),
        "source_lang": run.description.source_lang,
        "target_lang": run.description.target_lang,
        "sentences": list(sentences),
    }


def sentence_document(network: Seq2Seq, tokenizer: Tokenizer, sentence: Sentence, searches: Sequence[LookedAt]) -> Json:
    """A sentence, and what each of the searches did with it; nothing for one with a problem, or that is too long.

    Raises:
        ValueError: an operator that cannot do its part.
    """
    given = sentence.reference is not None
    reference = sentence.reference if sentence.reference is not None else sentence.translation
    source = [*tokenizer.source.encode([sentence.source])[0], EOS]
    target = [*tokenizer.target.encode([reference])[0], EOS]
    problem = sentence.problem or _problem(source, target, network.max_positions)
    batch = Batch.of_pairs(pad([source]), pad([target]), torch.zeros(1, dtype=torch.long))
    batch = batch.to(next(network.parameters()).device)
    found = []
    for search in searches if problem is None else ():
        memory = network.encode_counted(batch.source, batch.source_lengths)
        give_text(search.loss, tokenizer)
        recording = record(network, memory, batch, search)
        found.append(search_document(recording, batch, search, tokenizer.target, given))
    return {
        "line": sentence.line,
        "source": sentence.source,
        "reference": reference,
        "reference_given": given,
        "translation": sentence.translation,
        "problem": problem,
        "source_tokens": tokenizer.source.pieces(source),
        "reference_tokens": tokenizer.target.pieces(target),
        "searches": found,
    }


def _problem(source: list[int], target: list[int], positions: int | None) -> str | None:
    """Why nothing is searched, if so. Both end in EOS; `positions` is how many the network has."""
    if len(source) == 1:
        return "there is nothing to translate"
    most = MOST_TOKENS if positions is None else min(MOST_TOKENS, positions - 1)
    for name, tokens in (("sentence", source), ("reference", target)):
        if len(tokens) - 1 > most:
            return f"the {name} has {len(tokens) - 1:,} tokens, above the limit of {most}; left out"
    return None


def search_document(
    recording: Recording, batch: Batch, search: LookedAt, subwords: Subwords, reference_given: bool
) -> Json:
    """One search of the first sentence of a batch."""
    beams, options, loss = recording.beams, search.options, search.loss
    steps = [
        _step(step, gradient[0], of_choice[0], options.selection, subwords)
        | {"outside": _outside(outside[0], step, batch.target_out[0], subwords)}
        for step, gradient, of_choice, outside in recording.looked_at()
    ]
    for step in steps:
        step["told"] = told(step, options.selection)
    sharpness: Any = getattr(loss, "sharpness", None)  # of a loss that weighs the beams
    weights = None if sharpness is None else order_weights(beams, sharpness)[0]
    rewards = Gleu().hard(beams, batch)[0]
    tokens = [_said(row) for row in beams.best_tokens[0].tolist()]  # (K, T)
    found = {
        "kind": search.kind,
        "operator": None if search.operator is None else str(search.operator),
        "temperature": None if search.operator is None else search.operator.temperature,
        "selection": options.selection,
        "open_paths": list(options.open_paths),
        "beam_size": options.beam_size,
        "candidates": options.candidates,
        "loss": _number(recording.loss[0]),
        "loss_name": _loss_name(loss),
        "loss_of_run": search.loss_of_run,
        "about_loss": loss_told(_loss_name(loss), search.loss_of_run, reference_given),
        "steps": steps,
        "ancestry": _rows(beams.origins[0, : len(steps)].flatten(0, 1), options.beam_size),
        "beams": [
            {
                "text": subwords.decode([tokens[rank]])[0],
                "score": _number(beams.scores[0, rank]),
                "finished": _number(beams.finished[0, rank]),
                "length": _number(beams.lengths[0, rank]),
                "gleu": _number(rewards[rank]),
                "weight": None if weights is None else _number(weights[rank]),
            }
            for rank in range(options.beam_size)
        ],
    }
    return {**found, "about": search_told(found)}


def _step(step: RecordedStep, gradient: Tensor, of_choice: Tensor, selection: str, subwords: Subwords) -> Json:
    """One position. gradient, of_choice: (M,)"""
    candidates, matrix = step.candidates, step.matrix[0]  # (K, M)
    K, M = matrix.shape
    exist = int((candidates.scores[0] != -math.inf).sum())
    chosen = matrix.argmax(-1).tolist() if selection == "soft" else list(range(K))
    pushed = gradient.abs().topk(min(_PUSHED, M)).indices.tolist()
    places = sorted({*range(SHOWN), *chosen, *pushed} & set(range(exist)))
    last_kept = candidates.scores[0, min(K, exist) - 1]
    ids = candidates.tokens[0].tolist()
    pieces = subwords.pieces([ids[place] for place in places])
    mass, gradient_left = (matrix.sum(-1) - matrix[:, places].sum(-1)).clamp(min=0), gradient.clone()
    gradient_left[places] = 0
    return {
        "candidates": [
            {
                "place": place,
                "token": piece,
                "ends": ids[place] == EOS,
                "absorbed": ids[place] == PAD,
                "slot": int(candidates.parents[0, place]),
                "log_prob": _number(candidates.log_probs[0, place]),
                "score": _number(candidates.scores[0, place]),
                "behind": _number((last_kept - candidates.scores[0, place]).clamp(min=0)) if place >= K else None,
                "gradient": _small(gradient[place]),
                "gradient_of_choice": _small(of_choice[place]),
            }
            for place, piece in zip(places, pieces, strict=True)
        ],
        "matrix": [[_number(matrix[rank, place]) for place in places] for rank in range(K)],
        "rest": {
            "candidates": exist - len(places),
            "mass": [_number(each) for each in mass],
            "gradient": _small(gradient_left.sum()),
        },
        "slots": [
            {
                "candidate": places.index(chosen[rank]) if chosen[rank] in places else None,
                "score": _number(step.scores[0, rank]),
                "finished": _number(step.finished[0, rank]),
                "parents": [_number(each) for each in step.parents[0, rank]],
            }
            for rank in range(K)
        ],
    }


def _outside(gradient: Tensor, step: RecordedStep, reference: Tensor, subwords: Subwords) -> list[Json]:
    """The tokens that are no candidates and that the loss pushes most. gradient: (K, U), reference: (U,)"""
    if step.of_reference is None:
        return []
    pushes: dict[tuple[int, int], float] = defaultdict(float)  # slot and token -> gradient
    log_probs = {}
    for slot, u in gradient.nonzero().tolist():
        prediction = slot, int(reference[u])
        pushes[prediction] += float(gradient[slot, u])
        log_probs[prediction] = _number(step.of_reference[0, slot, u])
    return [
        {
            "token": subwords.pieces([token])[0],
            "ends": token == EOS,
            "absorbed": False,
            "slot": slot,
            "log_prob": log_probs[slot, token],
            "gradient": float(f"{pushes[slot, token]:.3g}"),
        }
        for slot, token in sorted(pushes, key=lambda each: -abs(pushes[each]))[:_PUSHED]
    ]


def _said(tokens: list[int]) -> list[int]:
    """The tokens of a hypothesis up to its end."""
    ends = [place for place, token in enumerate(tokens) if token in (EOS, PAD)]
    return tokens[: ends[0]] if ends else tokens


def _rows(values: Tensor, width: int) -> list[list[list[float | None]]]:
    """(T * K, K) as lists of T tables."""
    rows = [[_number(each) for each in row] for row in values]
    return [rows[start : start + width] for start in range(0, len(rows), width)]


def _number(value: Tensor) -> float | None:
    """To four decimals; None for what is not finite, such as the score of a slot that does not exist."""
    number = float(value.detach())
    return round(number, 4) + 0.0 if math.isfinite(number) else None


def _small(value: Tensor) -> float:
    """A gradient, which may be small, to three digits."""
    return float(f"{float(value):.3g}") + 0.0


def _loss_name(loss: BeamLoss) -> str:
    reward = getattr(loss, "reward", None)
    return type(loss).__name__ + (f"({type(reward).__name__})" if reward is not None else "")
