"""The options of a search on the command line: the fields of `SearchOptions`, each declared there and nowhere else."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from docstring_parser import parse_from_object

from beamtrain.base.errors import UserError
from beamtrain.search.options import SearchOptions

if TYPE_CHECKING:
    from beamtrain.runs.loading import Run

SHORT = {"beam_size": "--beam", "n_best": "--nbest"}
Command = Callable[..., Any]


def takes_search_options(*left_out: str) -> Callable[[Command], Command]:
    """Give a command an option for every field of `SearchOptions` but those `left_out`.

    They stand in its help where its argument `searching` stands, which gets those that were typed, by field name.
    """
    declared = {name: _declaration(name) for name in get_type_hints(SearchOptions) if name not in left_out}

    def with_options(command: Command) -> Command:
        def run(**given: Any) -> Any:
            typed = {name: given.pop(name) for name in declared}
            return command(**given, searching={name: value for name, value in typed.items() if value is not None})

        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(command, eval_str=True).parameters.values():
            parameters += declared.values() if own.name == "searching" else [own]
        keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined] # what typer reads
        run.__annotations__ = {each.name: each.annotation for each in keywords}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return with_options


def option(name: str) -> str:
    """What a field is called on the command line."""
    return SHORT.get(name, "--" + name.replace("_", "-"))


def search_options(run: "Run", given: Mapping[str, Any]) -> SearchOptions:
    """The run's own search settings, with those that were given in their place and none left that contradicts them.

    Raises UserError for a value out of its range.
    """
    own = run.description.search
    try:
        return replace(own, **{**_giving_way(own, given), **given})
    except UserError as error:
        names = "|".join(sorted(get_type_hints(SearchOptions), key=len, reverse=True))
        raise UserError(re.sub(rf"\b({names})\b", lambda found: option(found[0]), str(error))) from error


def _giving_way(own: SearchOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    """The run's own limits of length that lie within those given, moved out to them."""
    moved: dict[str, Any] = {}
    if (longest := given.get("max_length")) is not None:
        moved["min_length"] = min(own.min_length, longest)
        if not {"max_length_ratio", "max_length_offset"} & set(given):
            moved["max_length_offset"] = max(own.max_length_offset, longest)
    if own.max_length is not None:
        moved["max_length"] = max(own.max_length, given.get("min_length", 0))
    return moved


def _declaration(name: str) -> inspect.Parameter:
    """An option of a field's type without a default: where it is not typed, the run's own setting stands."""
    described = {each.arg_name: each.description for each in parse_from_object(SearchOptions).params}
    hint = get_type_hints(SearchOptions)[name]
    kind = (
        str if get_origin(hint) is Literal else next(each for each in (*get_args(hint), hint) if each is not type(None))
    )
    setting = typer.Option(option(name), help=f"{described[name]} Default: the run's own.")
    annotation = Annotated[kind | None, setting]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
