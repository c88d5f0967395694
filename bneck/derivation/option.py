"""How an option is declared: a field of a dataclass with what `--help` says about it."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, get_type_hints

from bneck import records

PANELS = TARGET, DATA, SEARCH, NETADAPT, TRAINING, EXECUTION = (
    "Target", "Data", "Search", "NetAdapt", "Training", "Where it runs"
)  # fmt: skip
"""The headings of `--help`, in order."""
OWN = "package.module:attr"
"""How help texts name an object of the user's own."""


def option(default: Any, help_: str, panel: str = "", *, unset: str = "") -> Any:
    """Return a field that is an option too.

    Args:
        default: the option's value where it is not given.
        help_: what `--help` says about it.
        panel: the heading of `--help` that it is under; "" for none.
        unset: what happens where the default is None.
    """
    return field(default=default, metadata={"help": help_, "panel": panel, "unset": unset})


def check_types(kind: type, given: Mapping[str, Any]) -> None:
    """Raise UsageError for a value that is not of its field's type; ``given`` is by field name."""
    kinds = get_type_hints(kind)
    for name, value in given.items():
        word = name.removesuffix("_px").removesuffix("_s").replace("_", "-")
        records.from_json(kinds[name], value, word)
