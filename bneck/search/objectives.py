"""What a search aims at: one target, or several that share its evaluations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf
from statistics import NormalDist

from bneck.errors import UsageError
from bneck.latency.model import LatencyModel
from bneck.quantities import Latency
from bneck.search.reward import Reward
from bneck.search.samplers.goal import Goal
from bneck.search.samplers.history import Label
from bneck.search.samplers.online_surrogate import START, step
from bneck.search.weight_from_target import Tangent, tangent
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values


@dataclass(frozen=True, slots=True)
class Aim:
    """The network of largest reward from floor to ceiling.

    Attributes:
        reward: None is the soft one, whose w is derived from the target.
        target_ms: needed where w is to be derived.
    """

    reward: Reward | None = None
    target_ms: float = inf
    ceiling_ms: float = inf
    floor_ms: float = 0.0


class Aims:
    """Aims on one space and one device; the search takes them in turn.

    ``confidence`` is the probability, by the latency model's own standard deviation, with which a
    network must be under its ceiling; one half takes predictions at their word.
    """

    def __init__(
        self,
        space: Space,
        model: LatencyModel,
        aims: Sequence[Aim],
        *,
        confidence: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.space = space
        self.aims = tuple(aims)
        self.confidence = confidence
        self._deviations = NormalDist().inv_cdf(confidence)
        self._predict = lru_cache(maxsize=65536)(model.predict)
        self._seed = seed
        self._tangents: dict[tuple[int, int], Tangent] = {}

    @cached_property
    def fastest_ms(self) -> float:
        """What the fastest network of the space stays under."""
        return extreme(self.space, self.bound_ms)[1]

    @cached_property
    def _slowest_ms(self) -> float:
        return -extreme(self.space, lambda arch: -self.latency_ms(arch))[1]

    def predicted(self, arch: Architecture) -> Latency:
        """The model's word on a network."""
        return self._predict(arch)

    def latency_ms(self, arch: Architecture) -> float:
        return self._predict(arch).ms

    def margin_ms(self, arch: Architecture) -> float:
        """What the prediction must leave under a ceiling."""
        return self._deviations * self._predict(arch).std_ms

    def bound_ms(self, arch: Architecture) -> float:
        """What the network stays under with the confidence that was asked for."""
        return self.latency_ms(arch) + self.margin_ms(arch)

    def check(self) -> None:
        """Raise UsageError, naming the fastest or slowest network's latency, for an empty band."""
        sure = "" if self.confidence == 0.5 else f" with {self.confidence:.0%} confidence"
        for aim in self.aims:
            if self.fastest_ms > aim.ceiling_ms:
                raise UsageError(
                    f"no network of space {self.space.name} is predicted under "
                    f"{aim.ceiling_ms:.3g} ms{sure}; the fastest takes {self.fastest_ms:.3g} ms"
                )
            if aim.floor_ms and self._slowest_ms < aim.floor_ms:
                raise UsageError(
                    f"no network of space {self.space.name} is as slow as {aim.floor_ms:.3g} ms; "
                    f"the slowest takes {self._slowest_ms:.3g} ms, so a target of at most that "
                    "is needed, or a larger space"
                )

    def goals(self, labels: Sequence[Label]) -> list[Goal]:
        """What each aim comes to, after these labels."""
        return [
            Goal(
                self.latency_ms,
                aim.reward or self._tangent(place, labels).reward,
                aim.ceiling_ms,
                aim.floor_ms,
                self.margin_ms,
            )
            for place, aim in enumerate(self.aims)
        ]

    def tangents(self, labels: Sequence[Label]) -> list[Tangent | None]:
        """For each aim its derived w, None where the reward was given."""
        return [
            None if aim.reward else self._tangent(place, labels)
            for place, aim in enumerate(self.aims)
        ]

    def _tangent(self, place: int, labels: Sequence[Label]) -> Tangent:
        known = place, step(len(labels)) if len(labels) >= START else 0
        if known not in self._tangents:
            self._tangents[known] = tangent(
                self.space,
                self.latency_ms,
                self.aims[place].target_ms,
                labels,
                seed=self._seed,
            )
        return self._tangents[known]


def extreme(space: Space, measure: Callable[[Architecture], float]) -> tuple[Values, float]:
    """The network of least ``measure`` as far as single changes lead, and its measure."""
    values = space.check({name: allowed[0] for name, allowed in space.choices.items()})
    least, settled = measure(space.decode(values)), False
    while not settled:
        settled = True
        for name, allowed in space.choices.items():
            for value in allowed:
                if name not in values or value == values[name]:
                    continue
                changed = space.changed(values, name, value)
                if (lesser := measure(space.decode(changed))) < least:
                    values, least, settled = changed, lesser, False
    return values, least
