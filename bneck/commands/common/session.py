"""The run that a command's options describe."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bneck.commands.common.options import Function, planned
from bneck.derivation.command_options import EXECUTION_OPTIONS, HELP, OPTIONS
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.errors import UsageError
from bneck.live import TerminalProgress

if TYPE_CHECKING:
    from bneck.derivation.session import Session


def run_options(command: str) -> Callable[[Function], Function]:
    """Give a command that makes a run its options, which are passed as ``**asked``."""

    def add(function: Function) -> Function:
        function = planned(EXECUTION_OPTIONS[command], Execution)(function)
        return planned(OPTIONS[command], words=HELP.get(command, {}))(function)

    return add


def session_of(
    command: str, out: Path, asked: Mapping[str, Any], *, net: str | None = None
) -> AbstractContextManager["Session"]:
    """The run that a command's options describe; its report is written when the command is done.

    Args:
        command: its word; ``search`` alone trains no network that is kept.
        out: the run's folder.
        asked: the command's other options, by the names of the plan's and ``Execution``'s fields.
        net: the network to start from.

    Raises:
        UsageError: values that cannot be, or no target where the command needs one.
    """
    from bneck.derivation.session import open_session  # numpy, and not for --help

    words = {name: asked[name] for name in OPTIONS[command] if asked[name] is not None}
    plan = Plan.from_dict(words if net is None else {**words, "seed_network": net})
    if "target" in OPTIONS[command] and not plan.aimed_at:
        raise UsageError(f"{command} needs a target: --target, or --targets for several")
    names = {one.name for one in fields(Execution)}
    return open_session(
        plan,
        out,
        Execution(**{name: value for name, value in asked.items() if name in names}),
        progress=TerminalProgress(),
        trains=command != "search",
    )
