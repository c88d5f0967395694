"""How an option is declared: a field of a dataclass with what `--help` says about it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

from bneck import records
from bneck.text import option_name

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for, a field for each option; the data decides what is None."""

    def as_dict(self) -> dict[str, Any]:
        """Return what is asked, without what is left to the data."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the values of all that is not asked and not left to the data."""
        return {one.name: one.default for one in fields(cls) if one.default is not None}


def check_types(kind: type, given: Mapping[str, Any]) -> None:
    """Raise UsageError for a value that is not of its field's type; ``given`` is by field name."""
    kinds = get_type_hints(kind)
    for name, value in given.items():
        records.from_json(kinds[name], value, option_name(name))
