"""What a search aims at: one target, or several that share its evaluations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf
from statistics import NormalDist

from bneck.errors import UsageError
from bneck.latency.predictor import Predictor
from bneck.quantities import Latency
from bneck.search.reward import Reward
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.samplers.online_surrogate import START, step
from bneck.search.weight_from_target import DerivedWeight, weight_from_target
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.units import as_percent


@dataclass(frozen=True, slots=True)
class Target:
    """A latency target: the network of largest reward from floor to ceiling is wanted.

    Attributes:
        reward: None is the soft one, whose w is derived from the target.
        target_ms: needed where w is to be derived.
    """

    reward: Reward | None = None
    target_ms: float = inf
    ceiling_ms: float = inf
    floor_ms: float = 0.0


def no_margin(arch: Architecture) -> float:
    """Return 0 ms: predictions are compared as they are."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Objective:
    """The largest ``reward(accuracy, latency_ms)`` of the networks from floor to ceiling.

    ``margin_ms`` is added to a network's predicted latency before it is compared with the ceiling.
    """

    latency_ms: Callable[[Architecture], float]
    reward: Reward
    ceiling_ms: float = inf
    floor_ms: float = 0.0
    margin_ms: Callable[[Architecture], float] = no_margin

    def reward_of(self, label: LabelledNetwork) -> float:
        """Reward of an evaluated network by today's reward, which may have changed since."""
        return self.reward(label.accuracy, label.latency_ms)

    def bound_ms(self, arch: Architecture) -> float:
        """Latency that the network stays under with the confidence asked for."""
        return self.latency_ms(arch) + self.margin_ms(arch)

    def allows(self, arch: Architecture) -> bool:
        """Whether the predicted latency is between floor and ceiling."""
        return self.outside_ms(arch) == 0.0

    def outside_ms(self, arch: Architecture) -> float:
        """Distance of the network's latency from the allowed band, 0 inside."""
        latency_ms = self.latency_ms(arch)
        above_ms = latency_ms + self.margin_ms(arch) - self.ceiling_ms
        return max(0.0, self.floor_ms - latency_ms, above_ms)


class Objectives:
    """Targets on one space and one device; the search takes them in turn.

    ``confidence`` is the probability, by the latency model's own standard deviation, with which a
    network must be under its ceiling; one half compares predictions as they are.
    """

    def __init__(
        self,
        space: Space,
        model: Predictor,
        targets: Sequence[Target],
        *,
        confidence: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Predict nothing yet.

        Args:
            space: whose networks are searched.
            model: predicts latencies.
            targets: at least one.
            confidence: from one half to below 1.
            seed: of the networks that a w is derived with.
        """
        self.space = space
        self.targets = tuple(targets)
        self.confidence = confidence
        self._deviations = NormalDist().inv_cdf(confidence)
        self._predict = lru_cache(maxsize=65536)(model.predict)
        self._seed = seed
        self._weights: dict[tuple[int, int], DerivedWeight] = {}

    def fastest_ms(self) -> float:
        """Return the latency that the fastest network of the space stays under, in ms."""
        return self._fastest_ms

    @cached_property
    def _fastest_ms(self) -> float:
        return self.space.minimise(lambda arch: self.latency_ms(arch) + self.margin_ms(arch))[1]

    @cached_property
    def _slowest_ms(self) -> float:
        return -self.space.minimise(lambda arch: -self.latency_ms(arch))[1]

    def predicted(self, arch: Architecture) -> Latency:
        """Return the predicted latency of a network."""
        return self._predict(arch)

    def latency_ms(self, arch: Architecture) -> float:
        return self._predict(arch).ms

    def margin_ms(self, arch: Architecture) -> float:
        """Return how far under a ceiling the prediction must be, in ms."""
        return self._deviations * (self._predict(arch).std_ms or 0.0)

    @property
    def with_confidence(self) -> str:
        """The confidence in words that follow a prediction; none where it counts as it is."""
        return "" if self.confidence == 0.5 else f" with {as_percent(self.confidence)} confidence"

    def check(self) -> None:
        """Raise UsageError, naming the fastest or slowest network's latency, for an empty band."""
        fastest_ms = self.fastest_ms()
        for target in self.targets:
            if fastest_ms > target.ceiling_ms:
                raise UsageError(
                    f"no network of space {self.space.name} is predicted under "
                    f"{target.ceiling_ms:.3g} ms{self.with_confidence}; the fastest takes "
                    f"{fastest_ms:.3g} ms"
                )
            if target.floor_ms and self._slowest_ms < target.floor_ms:
                raise UsageError(
                    f"no network of space {self.space.name} is as slow as "
                    f"{target.floor_ms:.3g} ms; the slowest takes {self._slowest_ms:.3g} ms, "
                    "so a target of at most that is needed, or a larger space"
                )

    def at(self, labels: Sequence[LabelledNetwork]) -> list[Objective]:
        """Objective of each target, once these networks are labelled."""
        return [
            Objective(
                self.latency_ms,
                target.reward or self._weight(place, labels).reward,
                target.ceiling_ms,
                target.floor_ms,
                self.margin_ms,
            )
            for place, target in enumerate(self.targets)
        ]

    def weights(self, labels: Sequence[LabelledNetwork]) -> list[DerivedWeight | None]:
        """Derived w of each target, None where the reward was given."""
        return [
            None if target.reward else self._weight(place, labels)
            for place, target in enumerate(self.targets)
        ]

    def _weight(self, place: int, labels: Sequence[LabelledNetwork]) -> DerivedWeight:
        learnt_from = labels[: step(len(labels))] if len(labels) >= START else ()
        known = place, hash(tuple((label.accuracy, label.latency_ms) for label in learnt_from))
        if known not in self._weights:
            self._weights[known] = weight_from_target(
                self.space, self.latency_ms, self.targets[place].target_ms, labels, seed=self._seed
            )
        return self._weights[known]
