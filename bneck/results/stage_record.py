"""What each stage of a derivation ends with: the search, NetAdapt, and a training."""

from dataclasses import dataclass

from bneck.quantities import Accuracy, Latency
from bneck.results.record import check_numbers
from bneck.space.architecture import Architecture
from bneck.space.checks import check_between

STEEPEST = -1000.0
"""No front is so steep: a reward's w below it leads to numbers that no float holds."""


@dataclass(frozen=True, slots=True)
class KeptMeasurement:
    """One measurement of a network, which later ones of the same network must agree with.

    ``note`` says why it is not to be relied on.
    """

    arch: Architecture
    ms: float
    std_ms: float
    note: str


@dataclass(frozen=True, slots=True)
class SelectedNetwork:
    """Network selected for a target: proxy accuracy, predicted and measured latency, reward.

    Attributes:
        target_ms: infinite where the search had none.
        measured: None where nothing was measured.
        reward: by the measured latency, or by the predicted one.
        weight: w, where it was derived.
        front_accuracy: the predicted front's accuracy at the target, where w was derived.
        pretrained: whether it is the network itself whose weights the others began with.
        widened: whether it is the network of that number, of a faster target, made wider.
    """

    number: int
    arch: Architecture
    target_ms: float
    accuracy: Accuracy
    predicted: Latency
    measured: Latency | None
    reward: float
    weight: float | None = None
    front_accuracy: float | None = None
    pretrained: bool = False
    widened: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, without_limit="target_ms")
        if self.weight is not None:
            check_between("weight", self.weight, STEEPEST, 0.0)

    def called(self, counted: str) -> str:
        """What it is, where ``counted`` is the word for what the search numbers."""
        if self.pretrained:
            return "the pretrained network"
        return f"{counted} {self.number}" + (", widened" if self.widened else "")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Networks that a search selected, one for each target.

    ``next_evaluation`` says whether one more evaluation is worth its time.
    """

    networks: tuple[SelectedNetwork, ...]
    next_evaluation: str = ""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The network that NetAdapt found for one target.

    Attributes:
        measured: None where the device was not measured.
        accuracy: after the short fine-tuning of the step that made it, or after the finish where
            one was asked for.
        met: whether the seed network was at the target already.
    """

    target_ms: float
    arch: Architecture
    step: int
    predicted: Latency
    measured: Latency | None
    accuracy: Accuracy | None
    met: bool

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, slots=True)
class Training:
    """How a training ended: its accuracy on the validation images, and on test images if any.

    ``right`` are the ``marks`` of the validation images, in their order; "" where not known.
    """

    name: str
    accuracy: Accuracy
    seconds: float
    test_accuracy: Accuracy | None = None
    right: str = ""

    def __post_init__(self) -> None:
        check_numbers(self)
