"""The machine that a process runs on, and which part of it a training may use."""

from dataclasses import dataclass

from bneck.errors import unknown

DEVICES = ("cpu",)


@dataclass(frozen=True, slots=True)
class Compute:
    """Where trainings run: passed wherever training happens.

    Attributes:
        device: what computes; "cpu" is all that works so far.
        threads: CPU threads of one training; None is torch's own number.

    Raises:
        UsageError: another device.
    """

    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise unknown("device", self.device, DEVICES)


CPU = Compute()
ONE_THREAD = Compute(threads=1)
