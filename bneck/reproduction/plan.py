"""What a reproduction is asked for."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from bneck.derivation.plan import Plan
from bneck.errors import UsageError


@dataclass(frozen=True, slots=True)
class ReproductionPlan:
    """What a reproduction was asked for; written to ``plan.toml``.

    Attributes:
        factors: latencies to derive for, as shares of MobileNetV3-Small's, with commas between.
        repeated: those of them that are trained with ``seeds`` seeds; the others with one.
    """

    data: str
    space: str = "v3-small"
    seed: int = 0
    resolution_px: int | None = None
    runtime: str = "onnxruntime"
    threads: int = 1
    calibration_minutes: float = 10.0
    factors: str = "1.5,1.0,0.8,0.6"
    repeated: str = "1.0,0.6"
    seeds: int = 3
    evaluations: int = 60
    sampler: str = "surrogate"
    delta: float = 0.04
    search_steps: int | None = None
    fine_tune_steps: int | None = None
    epochs: float | None = None
    random_networks: int = 1000

    def __post_init__(self) -> None:
        once = set(numbers("factors", self.factors))
        for factor in numbers("repeated", self.repeated):
            if factor not in once:
                raise UsageError(f"repeated names {factor:g}, which is none of {self.factors}")
        if self.seeds < 1:
            raise UsageError(f"seeds must be at least 1, got {self.seeds}")

    def as_dict(self) -> dict[str, Any]:
        """What is asked, without what is left to the data."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def part(self, **more: Any) -> Plan:
        """The plan of one stage: what the two kinds of plan share, and ``more``."""
        shared = {item.name for item in fields(self)} & set(Plan.names())
        return Plan(**{name: getattr(self, name) for name in shared} | more)


def numbers(name: str, text: str) -> tuple[float, ...]:
    """The numbers that ``text`` lists; raises UsageError, which speaks of ``name``."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < number <= 10 for number in found):
        raise UsageError(f"{name} must be numbers above 0 like 1.0,0.6, got {text!r}")
    return found
