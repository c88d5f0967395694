"""What a run was asked, as TOML; a run resumes with the plan that it began with."""

import tomllib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import tomli_w

from bneck.errors import UsageError
from bneck.files import naming, read_text
from bneck.imports import Untrusted
from bneck.text import option_name

PlanValue = str | int | float | bool | list[Any]
PlanValues = Mapping[str, PlanValue]


def as_written(plan: PlanValues) -> dict[str, Any]:
    """The plan as it reads after a round through the file, so that equal plans compare equal.

    Raises:
        UsageError: a number that is not finite.
    """
    for name, value in plan.items():
        if isinstance(value, float) and not isfinite(value):
            raise UsageError(f"--{option_name(name)} must be a finite number, got {value}")
    return tomllib.loads(tomli_w.dumps(dict(plan)))


RENAMED = {
    "accuracy": "proxy",
    "batch": "parallel",
    "resolution": "resolution_px",
    "start": "seed_network",
    "weight": "reward_exponent",
    "weights": "pretrained",
}
"""What plans written by earlier versions call otherwise."""
SETTLED = ("parallel", "layer_macs", "most_steps", "folds")
"""What a run decides at its start where its plan does not say it, and then keeps."""
NOT_NEEDED = ("new_classes",)
"""What earlier versions had to be asked for, and this one does by itself."""
REMOVED = {"multiple": 8}
"""What version 0.1.0 could be asked and this one cannot, and the value that changes nothing."""


def read_plan(path: Path) -> dict[str, Any]:
    """Return the plan in a file, in this version's words.

    Raises:
        UsageError: it is not TOML, holds what no plan does, or asks for what this version no longer
            does.
    """
    try:
        plan = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    for name in NOT_NEEDED:
        plan.pop(name, None)
    for name, value in REMOVED.items():
        if plan.pop(name, value) != value:
            raise UsageError(
                f"{path} was written by an earlier version with another --{option_name(name)} than "
                f"{value}, which no longer exists; use that version for this run"
            )
    with naming(path):
        return {RENAMED.get(name, name): _checked(name, value) for name, value in plan.items()}


def plan_before(path: Path, plan: PlanValues, defaults: PlanValues) -> dict[str, Any]:
    """Return the plan in a file, to be compared with ``plan``.

    Args:
        path: the file.
        plan: what is asked now.
        defaults: what the file means where it does not say what ``plan`` does.

    Raises:
        UsageError: as ``read_plan``.
    """
    unsaid = {name: value for name, value in defaults.items() if name in plan}
    return as_written(unsaid) | read_plan(path)


def _checked(name: str, value: Any) -> PlanValue:
    """A value of a kind that plans have; its text may be somebody else's and is never imported."""
    if isinstance(value, list):
        return [_checked(name, item) for item in value]
    if not isinstance(value, str | int | float):
        kind = type(value).__name__
        raise UsageError(f"{name} must be text, a number, true or false, got a {kind}")
    return Untrusted(value) if isinstance(value, str) else value


def changed(was: PlanValues, now: PlanValues) -> tuple[str, ...]:
    """Return the names that the two plans do not agree on.

    What a run decided at its start does not differ where ``now`` leaves it open.
    """
    return tuple(
        name
        for name in dict.fromkeys([*was, *now])
        if was.get(name) != now.get(name) and (name in now or name not in SETTLED)
    )


def differences(was: PlanValues, now: PlanValues) -> str:
    """Return every difference of two plans in words; empty where they agree."""
    return ", ".join(
        f"--{option_name(name)} was {_shown(was, name)}, now {_shown(now, name)}"
        for name in changed(was, now)
    )


def _shown(plan: PlanValues, name: str) -> str:
    return str(plan[name]) if name in plan else "not given"
