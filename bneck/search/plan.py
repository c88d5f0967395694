"""What a derivation was asked for, and the training budgets that follow from the images."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import ceil
from typing import Any

from bneck.errors import UsageError, unknown
from bneck.proxies.image_set import ImageSet
from bneck.proxies.recipe import Recipe, epochs
from bneck.search.evaluate import IMPORTANCES, Images
from bneck.space.checks import check_word

FINISHES = ("fine-tune", "scratch")
SMALL_SET = 5000
SIGNAL_PX = 96
SIGNAL_TRAIN, SIGNAL_VAL = 20_000, 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a run; written to ``plan.toml``. None is left to the data.

    Attributes:
        start: the network to begin with instead of searching for one.
        weights: its trained weights, ours or torchvision's; None trains it.
        new_classes: whether the weights may know other classes than the data has.
        target: ms as a number ("2.0"), or a factor of another network ("0.8x:mobilenet_v3_small").
        data: images, or ``table:FILE``, accuracies that a search answers from.
        accuracy: the proxy that networks are compared by; None is ``short-training``.
        latency: a model that ``bneck calibrate`` wrote on this device; None calibrates anew.
        targets: several of the same, with commas between; the search's evaluations serve all.
        reward: soft, hard, absolute, front (accuracy and latency apart) or package.module:attr.
        weight: w of the soft reward, beta of the absolute one; None derives w from the target.
        confidence: with which a network must be predicted under the ceiling.
        seed_factor: the search may go this many times above the target; NetAdapt takes it off.
        delta: what a NetAdapt proposal must save, as a share of the seed's latency.
        batch: networks asked for at once; the same batch gives the same trials on any executor.
        multiple: NetAdapt's widths are multiples of it, and of the runtime's block of channels
            where that is larger; 1 is any width.
        importance: what decides which channels stay, one of ``IMPORTANCES``.
        finish: how a shrunk network is trained in the end: "fine-tune" or from "scratch".
        search_steps, fine_tune_steps, epochs: how long networks train: each in the search, each
            proposal of NetAdapt, and the derived network in the end.
    """

    data: str
    target: str | None = None
    targets: str | None = None
    space: str | None = None
    start: str | None = None
    seed: int = 0
    resolution: int | None = None
    runtime: str = "onnxruntime"
    threads: int = 1
    latency: str | None = None
    calibration_minutes: float = 2.0
    sampler: str = "surrogate"
    evaluations: int = 24
    batch: int = 2
    accuracy: str | None = None
    reward: str = "soft"
    weight: float | None = None
    confidence: float = 0.9
    seed_factor: float = 1.25
    delta: float = 0.04
    weights: str | None = None
    new_classes: bool | None = None
    multiple: int = 8
    importance: str = "l2"
    finish: str | None = None
    search_steps: int | None = None
    fine_tune_steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        for name, low in (("evaluations", 1), ("batch", 1), ("threads", 1), ("multiple", 1)):
            if getattr(self, name) < low:
                raise UsageError(f"{name} must be at least {low}, got {getattr(self, name)}")
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


@dataclass(frozen=True, slots=True)
class Budget:
    """How the three kinds of training are done on the images at hand.

    Small sets (under 5,000 images) are seen often in small batches; large ones are sampled.
    """

    signals: Images
    search: Recipe
    fine_tune: Recipe
    final: Recipe


def budget(plan: Plan, images: ImageSet) -> Budget:
    """The trainings of a plan: what the user asked for, else what suits the number of images."""
    count = len(images.train_labels)
    small = count < SMALL_SET
    batch = min(64 if small else 128, max(2, count // 4))
    signals = Images(
        spec=plan.data,
        resolution_px=images.resolution_px,
        signal_px=min(images.resolution_px, SIGNAL_PX),
        seed=plan.seed,
        train=None if small else SIGNAL_TRAIN,
        val=None if small else SIGNAL_VAL,
    )
    in_signals = count * 0.8 if small else 16_000
    search_steps = plan.search_steps or (ceil(7 * in_signals / batch) if small else 468)
    fine_tune_steps = plan.fine_tune_steps or (ceil(2 * in_signals / batch) if small else 100)
    final_epochs = plan.epochs or (30 if small else 15)
    return Budget(
        signals=signals,
        search=Recipe(search_steps, batch),
        fine_tune=Recipe(fine_tune_steps, batch, learning_rate=1e-3, ema=0.95),
        final=Recipe(epochs(images, final_epochs, batch), batch, ema=0.998),
    )
