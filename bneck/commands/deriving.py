"""The run that a command's options describe."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from bneck.derivation.plan import OPTIONS, Plan
from bneck.live import TerminalProgress

if TYPE_CHECKING:
    from bneck.derivation.session import Session


@contextmanager
def session_of(
    context: typer.Context, *, seed_network: str | None = None, trains: bool = True
) -> Iterator["Session"]:
    """The run that a command's options describe; its report is written when the command is done."""
    from bneck.derivation.session import open_session  # numpy, and not for --help

    options = context.params
    asked = {
        name: options[name] for name in OPTIONS[str(context.info_name)] if options[name] is not None
    }
    plan = Plan.from_dict(asked | ({"seed_network": seed_network} if seed_network else {}))
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
