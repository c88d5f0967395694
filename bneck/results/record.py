"""What is kept of a derivation: trials, NetAdapt's steps, baselines and the network it ends with.

Accuracies are fractions of images classified right (top-1), from 0 to 1. A ``latency_ms`` is
predicted, without a standard deviation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from bneck.errors import BneckError
from bneck.quantities import Accuracy, Latency, is_finite
from bneck.space.architecture import Architecture
from bneck.text import some_of


@dataclass(frozen=True, slots=True)
class Record:
    """One network of the search: its proxy accuracy and reward, or the reason there is none.

    Attributes:
        made_with: what computed the accuracy.
        rung: 0, or how often the network was promoted to a longer training.
    """

    number: int
    arch: Architecture
    accuracy: float | None
    latency_ms: float
    reward: float | None
    error: str | None
    seconds: float
    made_with: Mapping[str, str] = field(default_factory=dict)
    rung: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        if (self.accuracy is None) == (self.error is None):
            raise BneckError(f"record {self.number} needs either an accuracy or an error")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One network that a NetAdapt step tried; ``move`` reads like "s3.b2.expand 240->200".

    ``latency_ms`` is predicted, ``saved_ms`` is what the move takes off the step's start;
    ``accuracy`` and ``loss`` (cross-entropy in nats) are those after the short fine-tuning, done
    once for each of ``rounds``: ties are settled by a second one.
    """

    arch: Architecture
    move: str
    latency_ms: float
    saved_ms: float
    accuracy: Accuracy | None = None
    error: str | None = None
    rounds: int = 1
    loss: float | None = None

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, slots=True)
class Step:
    """One NetAdapt step: the network that was taken, and all proposals.

    Among the proposals is "unchanged", the network before the step, which they are compared with.
    Step 0 is the seed network: no move and no proposals.
    """

    number: int
    arch: Architecture
    move: str
    latency_ms: float
    accuracy: Accuracy | None
    proposals: tuple[Proposal, ...]
    seconds: float

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a network has of a pretrained one before any training.

    Attributes:
        source: the pretrained network, as the plan names it.
        share: of the network's parameters that are inherited, from 0 to 1.
        paths: layers with inherited weights, in the order they run.
        fresh: layers without; what they add changes nothing at first, where that is possible.
        note: what else is to be said, such as a new classifier; or empty.
    """

    source: str
    share: float
    paths: tuple[str, ...]
    fresh: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        """One line."""
        counted = len(self.paths) + len(self.fresh)
        new = f"; new: {some_of(self.fresh, 6)}" if self.fresh else ""
        said = f"; {self.note}" if self.note else ""
        return (
            f"{100 * self.share:.0f} % of the weights, in {len(self.paths)} of {counted} layers, "
            f"are inherited from {self.source}{new}{said}"
        )


@dataclass(frozen=True, slots=True)
class Targets:
    """The latencies in ms that a run derives for; the first is the run's own.

    Runs of one target may hold ``target_ms`` alone.
    """

    target_ms: float
    targets_ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for value in (self.target_ms, *self.targets_ms):
            if not 0 < value < inf:
                raise BneckError(f"Targets: a target must be above 0 ms, got {value}")

    @property
    def all_ms(self) -> tuple[float, ...]:
        """Every target, the run's own first."""
        return self.targets_ms or (self.target_ms,)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A network to compare with, trained and measured the same way as the derived one.

    ``note`` says why the measurement is not to be relied on. ``predicted`` stands in where nothing
    could be measured.
    """

    name: str
    arch: Architecture
    measured: Latency | None
    accuracy: Accuracy | None
    params: int
    macs: int
    seconds: float
    test_accuracy: Accuracy | None = None
    note: str = ""
    predicted: Latency | None = None

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, slots=True)
class Int8:
    """What 8 bits cost a network, on the run's validation images.

    Attributes:
        way: how it was quantised.
        tried: each way -> share of training images that it gives the class that floats give.
        accuracy: of the 8-bit file.
        float_accuracy: of the network itself, on the same images.
        lost: share of the images lost, below 0 where some were won, with its standard error.
        images: number of the images.
    """

    way: str
    tried: Mapping[str, float]
    accuracy: Accuracy
    float_accuracy: Accuracy
    lost: Accuracy
    images: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The derived network, trained from scratch and measured.

    ``note`` says why the measurement is not to be relied on. ``accuracy`` is counted on the
    validation images, ``test_accuracy`` on test images, where there are any. ``derived_for_ms`` is
    the faster target that the network was derived for, where it is more accurate than the one
    derived for this target; None where that is this target. ``int8`` says what 8 bits cost, for a
    runtime that runs the network so. ``lead`` is the accuracy less MobileNetV3-Small's, with the
    standard error of the difference on the same images; None in earlier versions.
    """

    arch: Architecture
    target_ms: float
    predicted: Latency
    measured: Latency | None
    accuracy: Accuracy | None
    params: int
    macs: int
    seconds: float
    note: str = ""
    test_accuracy: Accuracy | None = None
    derived_for_ms: float | None = None
    int8: Int8 | None = None
    lead: Accuracy | None = None

    def __post_init__(self) -> None:
        check_numbers(self)


def check_numbers(record: Any, without_limit: str = "") -> None:
    """Refuse NaN, infinity, an accuracy that is a percentage, a negative time, and one of 0 ms.

    Args:
        record: the record.
        without_limit: a field that may be infinite.

    Raises:
        BneckError: naming the record, the field and the value.
    """
    kind = type(record).__name__
    for name in (item.name for item in fields(record)):
        value = getattr(record, name)
        if name == without_limit and value == inf:
            continue
        if isinstance(value, Accuracy):
            _check_number(kind, name, value.value)
            _check_number(kind, f"{name}'s stderr", value.stderr)
        elif isinstance(value, Latency):
            _check_number(kind, f"{name} ms", value.ms)
            _check_number(kind, f"{name} std_ms", value.std_ms)
        else:
            _check_number(kind, name, value)


def _check_number(kind: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not is_finite(value):
        raise BneckError(f"{name} of a {kind} must be finite, got {value!r:.40}")
    if name.startswith(("accuracy", "test_accuracy")) and not 0 <= value <= 1:
        raise BneckError(f"{name} of a {kind} must be from 0 to 1, got {value}")
    if value == 0 and name in _MS:
        raise BneckError(f"{name} of a {kind} must be above 0")
    if name not in _MAY_BE_NEGATIVE and value < 0:
        raise BneckError(f"{name} of a {kind} must not be negative, got {value}")


_MAY_BE_NEGATIVE = ("reward", "saved_ms", "lead", "weight")
_MS = ("target_ms", "latency_ms", "predicted ms", "measured ms")
"""Others are divided by them; some are called as ``check_numbers`` calls a ``Latency``."""
