"""The command line as typer sees it: all commands, and its complaints as ours."""

import sys

import typer

from bneck.commands import (
    derive,
    latency,
    likeness,
    network,
    proxies,
    reproduce,
    results,
    shrink,
)
from bneck.errors import UsageError

app = typer.Typer(
    help="Derive a mobile network for your CPU, your latency target and your images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for commands in (derive, shrink, likeness, reproduce, network, results, latency, proxies):
    commands.register(app)

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
        code = app(arguments, standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _UsageProblem as error:
        message = error.format_message()  # type: ignore[attr-defined]
        if type(error).__name__ != "NoArgsIsHelpError":
            raise UsageError(message) from None
        print(message, file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0
