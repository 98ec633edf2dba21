"""An inspection on the terminal: the beams step by step, and a matrix as a heat map."""

from collections.abc import Collection, Iterator
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from beamtrain.base.streams import encodable
from beamtrain.inspecting.words import NO_PUSH, hardest_step, name, push, pushes
from beamtrain.scoring.reports import WIDTH_OF_A_FILE, printable

HEAT = (255, 150, 40)
"""The colour of a weight of 1."""
_COLD = (38, 38, 44)

Json = dict[str, Any]


def print_document(inspection: Json, search: int, steps: Collection[int] | None) -> None:
    """Print every sentence of an inspection.

    Args:
        inspection: see `document`.
        search: the place of the search to show.
        steps: numbers, from 1, of the steps whose matrices are shown; None: where the loss pushes hardest.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    for sentence in inspection["sentences"]:
        _print_sentence(console, sentence, search, steps)


def _print_sentence(console: Console, sentence: Json, place: int, steps: Collection[int] | None) -> None:
    console.print(Text(f"{sentence['line']}  {_plain(sentence['source'])}", style="bold"))
    if sentence["problem"]:
        console.print(Text(f"   {sentence['problem']}\n"))
        return
    search = sentence["searches"][place]
    for title, text in (
        ("reference", sentence["reference"] if sentence["reference_given"] else None),
        ("translation", sentence["translation"]),
        ("search", search["about"]),
        ("loss", f"{search['loss']:.4f} {search['about_loss']}"),
    ):
        if text is not None:
            console.print(Text(f"   {title:<12}{_plain(text)}"))
    console.print(_overview(search))
    console.print(
        Text("A cell is the likeliest subword of a beam, with its share; pruned: the best that was, and how many")
    )
    console.print(Text("nats behind; raised and lowered: what training would push hardest, with -d loss / d score.\n"))
    count = len(search["steps"])
    for number in sorted({each for each in steps or () if each > count}):
        console.print(Text(f"There is no step {number:,}: the search ends at step {count:,}\n", style="bold"))
    hardest = {hardest_step(search) + 1}
    for number, step in enumerate(search["steps"], start=1):
        if number in (steps or hardest):
            why = "" if steps else ", where the loss pushes hardest"
            console.print(Text(f"Step {number}{why}: the operator's matrix, a row for each candidate", style="bold"))
            console.print(_matrix(step, search["beam_size"]))
            for line in step["told"]:
                console.print(Text(_plain(line)))
            console.print()
    console.print(_beams(search))
    console.print()


def _overview(search: Json) -> Table:
    table = _table("step", *(f"beam {rank + 1}" for rank in range(search["beam_size"])), "pruned", "raised", "lowered")
    for number, step in enumerate(search["steps"], start=1):
        cells = [_slot(step, rank, search["selection"]) for rank in range(search["beam_size"])]
        table.add_row(str(number), *cells, *_pruned_and_pushed(step))
    return table


def _slot(step: Json, rank: int, selection: str) -> Text:
    slot = step["slots"][rank]
    if slot["score"] is None or slot["candidate"] is None:
        return Text("-", style="dim")
    share = step["matrix"][rank][slot["candidate"]] if selection == "soft" else 1.0
    said = _plain(name(step["candidates"][slot["candidate"]]))
    return Text(f"{said} {share:.0%}" if selection == "soft" else said, style=_heat(share) if share < 1 else "")


def _pruned_and_pushed(step: Json) -> Iterator[Text]:
    behind = [each for each in step["candidates"] if each["behind"] is not None]
    yield Text(f"{_plain(name(behind[0]))} {-behind[0]['behind']:+.2f}" if behind else "")
    ranked = pushes(step)
    for candidate, sign, colour in ((ranked[-1], 1, "green"), (ranked[0], -1, "red")):
        pushed = push(candidate) * sign > NO_PUSH
        yield Text(f"{_plain(name(candidate))} {push(candidate):+.1g}" if pushed else "", style=colour)


def _matrix(step: Json, K: int) -> Table:
    table = _table(
        "candidate", "of beam", *(f"rank {rank + 1}" for rank in range(K)), "log p", "score", "behind", "push"
    )
    for place, candidate in enumerate(step["candidates"]):
        weights = [step["matrix"][rank][place] for rank in range(K)]
        table.add_row(
            Text(_plain(name(candidate))),
            str(candidate["slot"] + 1),
            *(Text(f" {weight:4.0%} ", style=_heat(weight)) for weight in weights),
            f"{candidate['log_prob']:.2f}",
            f"{candidate['score']:.2f}",
            "" if candidate["behind"] is None else f"{candidate['behind']:.2f}",
            f"{push(candidate):+.2g}" if abs(push(candidate)) > NO_PUSH else "0",
        )
    if rest := step["rest"]["candidates"]:
        masses = (Text(f" {mass:4.0%} ", style=_heat(mass)) for mass in step["rest"]["mass"])
        table.add_row(Text(f"{rest:,} more", style="dim"), "", *masses, "", "", "", f"{-step['rest']['gradient']:+.2g}")
    for each in step["outside"]:
        label = Text(f"{_plain(name(each))} (no candidate)", style="dim")
        log_prob = "" if each["log_prob"] is None else f"{each['log_prob']:.2f}"
        table.add_row(label, str(each["slot"] + 1), *[""] * K, log_prob, "", "", f"{push(each):+.2g}")
    return table


def _beams(search: Json) -> Table:
    table = _table("beam", "text", "score", "finished", "GLEU", "weight in the loss")
    for rank, beam in enumerate(search["beams"], start=1):
        weight = "" if beam["weight"] is None else f"{beam['weight']:.3f}"
        score = "-" if beam["score"] is None else f"{beam['score']:.2f}"
        figures = (score, f"{beam['finished']:.0%}", f"{beam['gleu']:.3f}", weight)
        table.add_row(str(rank), Text(_plain(beam["text"])), *figures)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _heat(weight: float) -> Style:
    """From cold to hot, with letters that can be read on it."""
    red, green, blue = (round(c + (h - c) * weight) for c, h in zip(_COLD, HEAT, strict=True))
    return Style(bgcolor=f"rgb({red},{green},{blue})", color="black" if weight > 0.6 else "bright_white")


def _plain(text: str) -> str:
    return encodable(printable(text))
