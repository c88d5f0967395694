"""The options of the commands: those of a run from the fields of its plan, and the shared rest."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from bneck.derivation.plan import MAX_SEED, Plan
from bneck.errors import no_effect
from bneck.space import spaces
from bneck.text import option_name

Function = TypeVar("Function", bound=Callable[..., None])

OutOption = Annotated[
    Path, typer.Option(help="Run folder. Run the same command again to resume it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
NetArgument = Annotated[
    str,
    typer.Argument(
        metavar="NET", help="A preset's name, a JSON file, or a run's folder (its network)."
    ),
]
WidthOption = Annotated[
    float | None, typer.Option(help="Width multiplier, for presets.", show_default="1.0")
]
ResolutionOption = Annotated[
    int | None, typer.Option(help="Input resolution in pixels.", show_default="the network's own")
]
ClassesOption = Annotated[
    int | None, typer.Option(help="Number of classes.", show_default="the network's own")
]
SeedOption = Annotated[int, typer.Option(help="Random seed.", min=0, max=MAX_SEED)]


def check_left_out(when: str, **given: bool) -> None:
    """Refuse an option that was given although it has no effect.

    Args:
        when: where it has none, such as "without --measure".
        given: whether each option was given, by its name.

    Raises:
        UsageError: names the first one that was.
    """
    for name, was_given in given.items():
        if was_given:
            raise no_effect(name, when)


def described(name: str) -> Any:
    """Return the option that the plan's field of this name describes."""
    return _option(next(one for one in fields(Plan) if one.name == name))


def planned(
    names: Iterable[str], plan: type[Any] = Plan, words: Mapping[str, str] | None = None
) -> Callable[[Function], Function]:
    """Give a command the options that the fields of these names describe.

    They come after the command's own in its signature, and are passed as ``**asked``.

    Args:
        names: of the fields.
        plan: the dataclass that has them.
        words: what `--help` says of a field, where that is not what the field says.
    """

    def add(command: Function) -> Function:
        own = inspect.signature(command).parameters.values()
        known, types = {one.name: one for one in fields(plan)}, get_type_hints(plan)
        said = words or {}
        added = [_parameter(known[name], types[name], said.get(name)) for name in names]
        rest = [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*rest, *added)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return add


def _parameter(field: Field[Any], kind: Any, words: str | None) -> inspect.Parameter:
    """What a plan's field is in a command's signature."""
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[kind, _option(field, words)],
    )


def _option(field: Field[Any], words: str | None = None) -> Any:
    about = field.metadata
    return typer.Option(
        f"--{option_name(field.name)}",
        help=words or about["help"],
        show_default=about["unset"] or field.default is not None,
        rich_help_panel=about["panel"] or None,
        callback=own_spaces if field.name == "space" else None,
    )


def own_spaces(words: str | None) -> str | None:
    """Import the spaces among the words, separated by commas, that are the user's own."""
    for word in (words or "").split(","):
        if ":" in word:
            spaces.load_own(word)
    return words
