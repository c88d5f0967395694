"""A label: the accuracy of a network, and what it was trained with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bneck.errors import UsageError
from bneck.results.record import Record

COMPARED = ("device", "precision")
"""What labels must share to guide one search: accuracies shift with it, if only a little."""
SCORE = "score"
"""Names the 8-bit format that an accuracy was counted in; absent for floats. Never mixed."""
WEIGHTS = "weights"
"""Names the SHA-256 of the shared weights that a network was judged with, or of the pretrained ones
that it began with. Never mixed."""
CODE = "code"
"""Names the first digits of the SHA-256 of the user's own module that scored a network."""


@dataclass(frozen=True, slots=True)
class Label:
    """What an evaluation finds.

    Attributes:
        accuracy: from 0 to 1.
        made_with: what computed it, as in ``TrainingResult``.
    """

    accuracy: float
    made_with: Mapping[str, str] = field(default_factory=dict)


def check_comparable(new: Record, records: Iterable[Record], *, mix_devices: bool) -> None:
    """Refuse a record that was not made with what the others were made with.

    Records that do not say what made them, as those of earlier versions, are passed over.

    Args:
        new: the record.
        records: those of the search so far.
        mix_devices: whether devices and precisions may differ.

    Raises:
        UsageError: another kind of device or another precision, an accuracy in 8 bits among
            those in floats, or other shared or pretrained weights; names both.
    """
    found = _compared(new.made_with)
    for record in records:
        if not new.made_with or not record.made_with:
            continue
        scores = [one.made_with.get(SCORE, "float") for one in (new, record)]
        if scores[0] != scores[1]:
            raise UsageError(
                f"a network was scored in {scores[0]}, and the search's labels are in {scores[1]}"
            )
        now, then = (one.made_with.get(WEIGHTS) for one in (new, record))
        if now and then and now != then:
            raise UsageError(
                f"a network was scored with weights of SHA-256 {now}, and the search's labels with "
                f"those of {then}: use another --out, or the weights of then"
            )
        if mix_devices:
            continue
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
