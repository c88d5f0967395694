"""What a derivation was asked for."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from bneck.errors import UsageError, unknown
from bneck.latency.runtimes import MAX_THREADS
from bneck.space.checks import check_range, check_word

MAX_COUNT = 100_000_000
FINISHES = ("fine-tune", "scratch")
IMPORTANCES = ("l2", "taylor")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a run; written to ``plan.toml``. None is left to the data.

    Attributes:
        seed_network: the network to begin with instead of searching for one.
        weights: its trained weights, ours or torchvision's; None trains it.
        new_classes: whether the weights may know other classes than the data has.
        target: ms as a number ("2.0"), or a factor of a network's ("0.8x:mobilenet_v3_small"), at
            another side where one is named ("0.8x:mobilenet_v3_small@64").
        data: images, or ``table:FILE``, accuracies that a search answers from.
        proxy: what networks are compared by; None is ``short-training``.
        latency: a model that ``bneck calibrate`` wrote on this device; None calibrates anew.
        targets: several of the same, with commas between; the search's evaluations serve all.
        reward: soft, hard, absolute, front (accuracy and latency apart) or package.module:attr.
        reward_exponent: w of the soft reward, beta of the absolute one; None derives w
            from the target.
        confidence: with which a network must be predicted under the ceiling.
        seed_factor: the search may go this many times above the target; NetAdapt takes it off.
        delta: what a NetAdapt proposal must save, as a share of the seed's latency.
        batch: networks asked for at once; the same batch gives the same trials on any executor.
        importance: what decides which channels stay, one of ``IMPORTANCES``.
        finish: how a shrunk network is trained in the end: "fine-tune" or from "scratch".
        search_steps, fine_tune_steps, epochs: how long networks train: each in the search, each
            proposal of NetAdapt, and the derived network in the end.
    """

    data: str
    target: str | None = None
    targets: str | None = None
    space: str | None = None
    seed_network: str | None = None
    seed: int = 0
    resolution_px: int | None = None
    runtime: str = "onnxruntime"
    threads: int = 1
    latency: str | None = None
    calibration_minutes: float = 2.0
    sampler: str = "surrogate"
    evaluations: int = 24
    batch: int = 2
    proxy: str | None = None
    reward: str = "soft"
    reward_exponent: float | None = None
    confidence: float = 0.9
    seed_factor: float = 1.25
    delta: float = 0.04
    weights: str | None = None
    new_classes: bool | None = None
    importance: str = "l2"
    finish: str | None = None
    search_steps: int | None = None
    fine_tune_steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "batch", "search_steps", "fine_tune_steps"):
            if getattr(self, name) is not None:
                check_range(name.replace("_", "-"), getattr(self, name), 1, MAX_COUNT)
        check_range("threads", self.threads, 1, MAX_THREADS)
        for name, high in (("epochs", 1e6), ("calibration_minutes", 1e4)):
            if (value := getattr(self, name)) is not None and not 0 < value <= high:
                word = name.replace("_", "-")
                raise UsageError(f"{word} must be above 0 and at most {high:g}, got {value:g}")
        if not 1 <= self.seed_factor <= 10:
            raise UsageError(f"seed-factor must be from 1 to 10, got {self.seed_factor}")
        if not 0.5 <= self.confidence < 1:
            raise UsageError(f"confidence must be from 0.5 to below 1, got {self.confidence}")
        if not 0.001 <= self.delta <= 0.5:
            raise UsageError(f"delta must be from 0.001 to 0.5, got {self.delta}")
        check_word("importance", self.importance, IMPORTANCES)
        if self.finish is not None:
            check_word("finish", self.finish, FINISHES)

    @property
    def aimed_at(self) -> tuple[str, ...]:
        """The targets, one or several; none where nothing is searched."""
        if self.targets is not None:
            return tuple(part.strip() for part in self.targets.split(","))
        return () if self.target is None else (self.target,)

    def as_dict(self) -> dict[str, Any]:
        """What is asked, without what is left to the data."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What stands where nothing is asked, as far as it is not left to the data."""
        return {
            field.name: field.default
            for field in fields(cls)
            if field.default is not MISSING and field.default is not None
        }

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All that a plan may say."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Plan":
        """Read back what ``as_dict`` wrote.

        Raises:
            UsageError: an unknown or missing name, or a value out of range.
        """
        for name in value:
            if name not in cls.names():
                raise unknown("name in the plan:", name, cls.names())
        if "data" not in value:
            raise UsageError("the plan names no data")
        return cls(**value)
