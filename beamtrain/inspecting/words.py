"""What a step of a search did, in a few plain sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

SURE = 0.95  # a row of the matrix with so much on one candidate is a choice
WORTH_SAYING = 0.05  # of a share
NO_PUSH = 1e-5
_MOST = 2  # ranks of a step that are spelt out; the table beside it has them all

Json = Mapping[str, Any]


def told(step: Json, selection: str) -> list[str]:
    """Sentences about a step of a search whose choices are of that kind."""
    sentences = [*_choice(step, selection), *_pruned(step)]
    if selection == "soft":
        sentences += _mixed_past(step)
    return [*sentences, *_ends(step), _pushed(step)]


def search_told(search: Json) -> str:
    """A search in a few words."""
    size = f"{search['beam_size']} beams, "
    size += "all candidates" if search["candidates"] is None else f"{search['candidates']} candidates"
    if search["kind"] == "hard":
        return f"hard search, {size}"
    operator = f"{search['operator']} at temperature {search['temperature']:g}, {size}"
    if search["kind"] == "soft":
        return f"soft search, {operator}"
    paths = ", ".join(search["open_paths"]) or "none"
    return f"search as trained, {operator}; selection {search['selection']}; open gradient paths: {paths}"


def loss_told(name: str, of_run: bool, reference_given: bool) -> str:
    """What the gradient is of."""
    whose = "that the run was trained with" if of_run else "since the run has no loss that could read this search"
    against = "" if reference_given else ", against the run's own translation, since no reference was given"
    return f"by {name}, {whose}{against}"


def name(candidate: Json) -> str:
    """What a candidate is called: its subword, with the sign for a space before a word, or what else it does."""
    if candidate["absorbed"]:
        return "(finished)"
    return "(end)" if candidate["ends"] else str(candidate["token"])


def push(candidate: Json) -> float:
    """How much the loss falls for each nat that a candidate's score rises: where gradient descent moves it."""
    return -float(candidate["gradient"]) + 0.0


def pushes(step: Json) -> list[Json]:
    """All that the loss pushes at a step, from what it lowers most to what it raises most."""
    return sorted([*step["candidates"], *step["outside"]], key=push)


def hardest_step(search: Json) -> int:
    """The place of the step at which the loss pushes hardest; without any push, where the choice is least sure."""

    def hardness(step: Json) -> float:
        return max(abs(push(each)) for each in pushes(step))

    def unsure(step: Json) -> float:
        return -min((max(row) for row in step["matrix"]), default=1.0)

    steps = search["steps"]
    pushed = max(map(hardness, steps), default=0.0) > NO_PUSH
    return max(range(len(steps)), key=lambda place: (hardness if pushed else unsure)(steps[place]), default=0)


def _choice(step: Json, selection: str) -> list[str]:
    candidates, matrix = step["candidates"], step["matrix"]
    if selection == "hard":
        kept = [name(each) for each in candidates if each["behind"] is None]
        return [f"The search keeps {_list(kept)}."]
    rows = [(rank, row) for rank, row in enumerate(matrix) if step["slots"][rank]["score"] is not None]
    unsure = sorted((max(row), rank) for rank, row in rows if max(row) < SURE)
    if not unsure:
        return ["The operator is sure of every rank: this is the choice of the hard search."]
    spelt = []
    for _, rank in unsure[:_MOST]:
        best = sorted(zip(matrix[rank], candidates, strict=True), key=lambda each: -each[0])[:3]
        shares = [f"{share:.0%} {name(candidate)}" for share, candidate in best]
        spelt.append((rank, f"rank {rank + 1} is {_list(shares)}"))
    words = "; ".join(text for _, text in sorted(spelt))
    if selection == "soft":
        return [f"The operator mixes: {words}."]
    return [f"The search goes on with the best of each rank, the gradient with a mixture: {words}."]


def _pruned(step: Json) -> list[str]:
    first = next((each for each in step["candidates"] if each["behind"] is not None), None)
    if first is None:
        return []
    return [f"The best that a hard choice prunes, {name(first)}, is {first['behind']:.2f} nats behind what it keeps."]


def _mixed_past(step: Json) -> list[str]:
    for rank, slot in enumerate(step["slots"]):
        shares = [f"{share:.0%} of beam {j + 1}" for j, share in enumerate(slot["parents"]) if share >= WORTH_SAYING]
        if slot["score"] is not None and len(shares) > 1:
            return [f"Beams mix too: the new beam {rank + 1} is {_list(shares)}."]
    return []


def _ends(step: Json) -> list[str]:
    slots = [(rank + 1, slot["finished"]) for rank, slot in enumerate(step["slots"]) if slot["score"] is not None]
    wholly = [str(rank) for rank, mass in slots if mass > 1 - WORTH_SAYING]
    partly = [f"{rank} ({mass:.0%})" for rank, mass in slots if WORTH_SAYING <= mass <= 1 - WORTH_SAYING]
    return [f"Finished: beam {_list([*wholly, *partly])}."] if wholly or partly else []


def _pushed(step: Json) -> str:
    ranked = pushes(step)
    down, up = ranked[0], ranked[-1]
    parts = [f"raise {_pushing(up)}"] if push(up) > NO_PUSH else []
    parts += [f"lower {_pushing(down)}"] if push(down) < -NO_PUSH else []
    return f"Training would {' and '.join(parts)}." if parts else "The loss pushes nothing here."


def _pushing(candidate: Json) -> str:
    return f"{name(candidate)} of beam {candidate['slot'] + 1} (push {push(candidate):+.2g})"


def _list(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)
