"""What a reproduction is asked for."""

from dataclasses import dataclass, field, fields
from typing import Any

from bneck.derivation.option import TARGET, TRAINING, Asked, option
from bneck.derivation.plan import MAX_SEED, Plan
from bneck.errors import UsageError
from bneck.space.checks import check_range
from bneck.space.presets import MOBILENET_V3_SMALL

PUBLISHED = 1.0
"""The factor of MobileNetV3-Small itself, which is trained whatever is derived."""
MAX_SEEDS = 1000
MAX_RANDOM_NETWORKS = 1_000_000


def as_planned(name: str, default: Any = None) -> Any:
    """Return a field that means what the plan's field of this name means."""
    one = next(one for one in fields(Plan) if one.name == name)
    return field(default=one.default if default is None else default, metadata=one.metadata)


@dataclass(frozen=True, slots=True)
class ReproductionPlan(Asked):
    """What a reproduction was asked for; written to ``plan.toml``."""

    data: str = as_planned("data", "cifar10")
    space: str = as_planned("space")
    seed: int = as_planned("seed")
    resolution_px: int | None = as_planned("resolution_px")
    runtime: str = as_planned("runtime")
    threads: int = as_planned("threads")
    batch_size: int = as_planned("batch_size")
    calibration_minutes: float = as_planned("calibration_minutes", 10.0)
    factors: str = option(
        "1.5,1.0,0.8,0.6", "Latencies to derive for, as shares of MobileNetV3-Small's.", TARGET
    )
    repeated: str = option(
        "1.0,0.6",
        "Those of --factors that are trained with all --seeds; the others once. 1.0 is also "
        "MobileNetV3-Small itself.",
        TRAINING,
    )
    seeds: int = option(3, "Number of random seeds of the repeated trainings.", TRAINING)
    evaluations: int = as_planned("evaluations", 60)
    sampler: str = as_planned("sampler")
    parallel: int | None = as_planned("parallel")
    promote: bool = as_planned("promote")
    delta: float = as_planned("delta")
    search_steps: int | None = as_planned("search_steps")
    fine_tune_steps: int | None = as_planned("fine_tune_steps")
    epochs: float | None = as_planned("epochs")
    augmentation: str | None = as_planned("augmentation")
    device: str = as_planned("device")
    random_networks: int = option(1000, "Random networks that the likeness is judged by.")

    def __post_init__(self) -> None:
        for factor in numbers("repeated", self.repeated):
            if factor not in self.trained_factors:
                raise UsageError(
                    f"repeated {factor:g} is not one of the factors {self.factors}: give --repeated"
                )
        check_range("seeds", self.seeds, 1, MAX_SEEDS)
        check_range("the last seed", self.seed + self.seeds - 1, 0, MAX_SEED)
        check_range("random-networks", self.random_networks, 10, MAX_RANDOM_NETWORKS)

    @property
    def trained_factors(self) -> tuple[float, ...]:
        """The factors, and that of MobileNetV3-Small: each has a stage of final trainings."""
        return tuple(dict.fromkeys((*numbers("factors", self.factors), PUBLISHED)))

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of all stages, in order."""
        trainings = (f"train-{factor:g}" for factor in self.trained_factors)
        before = ("calibrate", "search-paper", "search-derived", "netadapt", "measure")
        return (*before, *trainings, "measure-trained", "likeness")

    def whole(self) -> Plan:
        """The plan of what no stage does alone, such as measuring; all are checked by it."""
        return self.part(target=f"{PUBLISHED:.1f}x:{MOBILENET_V3_SMALL}")

    def part(self, **more: Any) -> Plan:
        """The plan of one stage: what the two kinds of plan share, and ``more``."""
        shared = {item.name for item in fields(self)} & {item.name for item in fields(Plan)}
        return Plan(**{name: getattr(self, name) for name in shared} | more)


def numbers(name: str, text: str) -> tuple[float, ...]:
    """The numbers that ``text`` lists; raises UsageError, which speaks of ``name``."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < number <= 10 for number in found):
        raise UsageError(
            f"{name} must be numbers above 0 and at most 10 like 1.0,0.6, got {text!r}"
        )
    if len({f"{number:g}" for number in found}) < len(found):  # they name folders and stages
        raise UsageError(f"{name} {text!r} names a number twice")
    return found
