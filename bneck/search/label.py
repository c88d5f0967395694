"""A label: the accuracy of a network, and what it was trained with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bneck.errors import UsageError
from bneck.results.record import Record

COMPARED = ("device", "precision")
"""What labels must share to guide one search: accuracies shift with it, if only a little."""


@dataclass(frozen=True, slots=True)
class Label:
    """What an evaluation finds.

    Attributes:
        accuracy: from 0 to 1.
        made_with: what computed it, as in ``TrainingResult``.
    """

    accuracy: float
    made_with: Mapping[str, str] = field(default_factory=dict)


def check_comparable(new: Record, records: Iterable[Record]) -> None:
    """Refuse a record that was not made with what the others were made with.

    Records that do not say what made them, as those of earlier versions, are passed over.

    Raises:
        UsageError: another kind of device, or another precision; names both.
    """
    found = _compared(new.made_with)
    for record in records:
        known = _compared(record.made_with)
        if known and found and known != found:
            raise UsageError(
                f"a network was trained on {' in '.join(found)}, and the search's labels are of "
                f"{' in '.join(known)}: use workers of one kind, or mix both with --mix-devices"
            )


def device_of(records: Iterable[Record]) -> str | None:
    """Return the kind of device that the records were made with, where one of them says so."""
    return next((one.made_with["device"] for one in records if "device" in one.made_with), None)


def _compared(made_with: Mapping[str, str]) -> list[str]:
    return [made_with[name] for name in COMPARED if name in made_with]
