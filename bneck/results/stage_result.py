"""What one stage alone ended with, as reports show a run that is not a whole derivation."""

from collections.abc import Mapping
from dataclasses import dataclass

from bneck.quantities import Accuracy, Latency
from bneck.space.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Found:
    """A network that a stage ended with; ``name`` says which it is, like "network 7".

    ``breakdown`` is its predicted ms by layer or block path; ``note`` says why its measurement is
    not to be relied on. ``test_accuracy`` is that of a training, where there are test images.
    """

    name: str
    arch: Architecture
    accuracy: Accuracy | None
    target_ms: float | None = None
    predicted: Latency | None = None
    measured: Latency | None = None
    breakdown: Mapping[str, float] | None = None
    note: str = ""
    test_accuracy: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class StageResult:
    """The networks of the last stage that has some; without any, no stage has.

    Attributes:
        networks: one for each target.
        stage: "search", "NetAdapt" or "training".
        counted: when their accuracy was counted, in words that follow that verb.
    """

    networks: tuple[Found, ...] = ()
    stage: str = ""
    counted: str = ""
