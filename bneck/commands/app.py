"""The command line as typer sees it: all commands, and its complaints as ours."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bneck import __version__
from bneck.commands.common.command import Command
from bneck.errors import UsageError
from bneck.stdout import stdout_for_results

COMMANDS = {
    "derive": "bneck.commands.derive:derive",
    "search": "bneck.commands.search:search",
    "shrink": "bneck.commands.shrink:shrink",
    "train": "bneck.commands.train:train",
    "pretrain": "bneck.commands.train:pretrain",
    "report": "bneck.commands.report:report",
    "runs": "bneck.commands.runs:runs",
    "predict": "bneck.commands.predict:predict",
    "evaluate": "bneck.commands.evaluate:evaluate",
    "images": "bneck.commands.images:images",
    "export": "bneck.commands.export:export",
    "show": "bneck.commands.show:show",
    "compare": "bneck.commands.compare:compare",
    "likeness": "bneck.commands.likeness:likeness",
    "calibrate": "bneck.commands.calibrate:calibrate",
    "latency": "bneck.commands.latency:group",
    "proxies": "bneck.commands.proxies:group",
    "reproduce": "bneck.commands.reproduce:reproduce",
}
"""Word -> "module:command" or "module:group of commands", imported when it is asked for."""


_SEARCHES, _FROM_WEIGHTS = ("derive", "search"), ("shrink", "train")
RENAMED = {
    "--accuracy": ("--proxy", _SEARCHES),
    "--batch": ("--parallel", _SEARCHES),
    "--weight": ("--reward-exponent", _SEARCHES),
    "--weights": ("--pretrained", _FROM_WEIGHTS),
    "--new-classes": ("", _FROM_WEIGHTS),
}
"""Option of an earlier version -> its name today, and the commands that it is renamed in.

The empty name is of what needs no option any more. Scripts still run.
"""


class _Commands(Mapping[str, Any]):
    """The commands by their words."""

    def __getitem__(self, word: str) -> Any:
        module, _, name = COMMANDS[word].partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(word, cls=Command)(found)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self.commands: Any = _Commands()


def _say_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def bneck(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Derive a mobile network for your device, your latency target and your images."""


# Typer names its base of all usage errors in no public module.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def call(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        UsageError: an unknown command, option or value.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        asks_json = "--json" in arguments and "--help" not in arguments
        with stdout_for_results() if asks_json else nullcontext():
            code = app(_in_todays_words(arguments), prog_name="bneck", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:  # so typer answers a pipe that broke, whosever it was
        if isinstance(ended.__context__, OSError):
            raise ended.__context__ from None
        raise
    except _UsageProblem as error:
        message = error.format_message() + _bad_value(error)  # type: ignore[attr-defined]
        if type(error).__name__ != "NoArgsIsHelpError":
            raise UsageError(message) from None
        print(message, file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0


def _bad_value(error: Exception) -> str:
    """The value of a wrong type or out of range, which newer versions of typer leave out."""
    problems = getattr(error.__cause__, "errors", None)  # of pydantic, which such a typer asks
    return f", got {problems()[0]['input']!r}" if problems is not None else ""


def _in_todays_words(arguments: list[str]) -> list[str]:
    """The arguments with renamed options by their names of today, which are said."""
    words: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        today, commands = RENAMED.get(name, (name, ()))
        if arguments[0] not in commands:
            words.append(argument)
        elif today:
            print(f"bneck: {name} is called {today} now", file=sys.stderr)
            words.append(today + equals + value)
        else:
            print(f"bneck: {name} is not needed any more", file=sys.stderr)
    return words
