"""What the commands that make a run share: the run that their options describe, its result."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from bneck.commands.common import print_json
from bneck.live import TerminalProgress

if TYPE_CHECKING:
    from bneck.derivation.session import Session


@contextmanager
def session_of(
    context: typer.Context, *, seed_network: str | None = None, trains: bool = True
) -> Iterator["Session"]:
    """The run that a command's options describe; its report is written when the command is done."""
    from bneck.derivation.plan import Plan
    from bneck.derivation.session import open_session

    options = context.params
    plan = Plan.from_dict(
        {name: options[name] for name in Plan.names() if options.get(name) is not None}
        | ({"seed_network": seed_network} if seed_network else {})
    )
    with open_session(
        plan,
        options["out"],
        workers=options.get("workers"),
        ray=options.get("ray"),
        gpus_per_trial=options.get("gpus_per_trial", 0.0),
        time_limit_s=options.get("time_limit"),
        asha=options.get("asha", False),
        progress=TerminalProgress(),
        trains=trains,
    ) as session:
        yield session


def print_result(as_json: bool, result: dict[str, Any], text: str) -> None:
    """One JSON object, or the text, on stdout."""
    if as_json:
        print_json(result)
    else:
        print(text)
