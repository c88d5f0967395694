"""What a network is worth: accuracy and latency in one number."""

from dataclasses import dataclass
from typing import Protocol

from bneck.errors import BneckError, UsageError
from bneck.imports import load_object
from bneck.quantities import is_finite
from bneck.space.checks import check_between

PAPERS = {"MobileNetV3-Large": -0.07, "MobileNetV3-Small": -0.15}
"""w of the soft reward, as published (Howard et al. 2019, section 4.1)."""

FRONT = "front"
"""The word for no reward at all: accuracy and latency are objectives of their own."""
REWARDS = ("soft", "hard", "absolute", FRONT)


class Reward(Protocol):
    """(accuracy from 0 to 1, latency in ms) -> a number, higher is better."""

    def __call__(self, accuracy: float, latency_ms: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Soft:
    """``ACC * (LAT/TAR)^w`` with one w < 0 on both sides (MnasNet section 3; V3 section 4.1).

    TAR cancels out of the ranking: it is the constant factor ``TAR^-w`` on every reward, so it
    cannot change which network wins. What w picks is the point of the front where
    ``d ln ACC / d ln LAT = -w``; a target is met by the latency ceiling and by NetAdapt.
    """

    target_ms: float
    weight: float = PAPERS["MobileNetV3-Large"]

    def __post_init__(self) -> None:
        _check_target(self.target_ms)
        _check_weight(self.weight)

    def __call__(self, accuracy: float, latency_ms: float) -> float:
        return float(accuracy * (latency_ms / self.target_ms) ** self.weight)


@dataclass(frozen=True, slots=True)
class Hard:
    """``ACC * (LAT/TAR)^w`` with w = 0 up to the target, -1 above it (MnasNet section 3)."""

    target_ms: float

    def __post_init__(self) -> None:
        _check_target(self.target_ms)

    def __call__(self, accuracy: float, latency_ms: float) -> float:
        weight = 0.0 if latency_ms <= self.target_ms else -1.0
        return float(accuracy * (latency_ms / self.target_ms) ** weight)


@dataclass(frozen=True, slots=True)
class Absolute:
    """``ACC + beta |LAT/TAR - 1|`` with beta < 0 (TuNAS, Bender et al. 2020).

    It is largest at the target itself, as long as ``-beta`` is more than the front's slope there.
    """

    target_ms: float
    beta: float = PAPERS["MobileNetV3-Large"]

    def __post_init__(self) -> None:
        _check_target(self.target_ms)
        _check_weight(self.beta)

    def __call__(self, accuracy: float, latency_ms: float) -> float:
        return float(accuracy + self.beta * abs(latency_ms / self.target_ms - 1))


def build(word: str, target_ms: float, weight: float | None) -> Reward:
    """The reward of that word, or what ``package.module:attr`` makes of a target in ms.

    Args:
        word: one of ``REWARDS`` but ``FRONT``, or ``package.module:attr``.
        target_ms: the latency aimed at.
        weight: the soft form's w or the absolute form's beta; None takes MobileNetV3-Large's.

    Raises:
        UsageError: an unknown word, a weight for a form that has none, or no reward.
    """
    if word in WEIGHTED:
        made = WEIGHTED[word]
        return made(target_ms) if weight is None else made(target_ms, weight)
    if weight is not None:
        raise UsageError(
            f"reward-exponent is for {' and '.join(WEIGHTED)}, and the reward is {word!r}"
        )
    if word == "hard":
        return Hard(target_ms)
    return _foreign(word, target_ms)


WEIGHTED: dict[str, type[Soft | Absolute]] = {"soft": Soft, "absolute": Absolute}


def _foreign(word: str, target_ms: float) -> Reward:
    make = load_object("reward", word, REWARDS)
    try:
        made: Reward = make(target_ms)
        tried = made(0.5, target_ms)
    except Exception as error:
        raise UsageError(
            f"reward {word!r} must make of a target in ms a function of accuracy and ms: {error}"
        ) from error
    if not is_finite(tried):
        raise UsageError(f"reward {word!r} must give finite numbers, and gave {tried!r}")
    return _Foreign(word, made)


@dataclass(frozen=True, slots=True)
class _Foreign:
    """Somebody's own reward, whose mistakes are one line, as those of all else are."""

    word: str
    reward: Reward

    def __call__(self, accuracy: float, latency_ms: float) -> float:
        what = f"reward {self.word!r} of accuracy {accuracy:g} and {latency_ms:g} ms"
        try:
            found = self.reward(accuracy, latency_ms)
        except Exception as error:
            raise BneckError(f"{what} raises {type(error).__name__}: {error}") from error
        if not is_finite(found):
            raise BneckError(f"{what} is {found!r:.60}, not a finite number")
        return found


def _check_target(target_ms: float) -> None:
    if not 0 < target_ms < 1e6:
        raise UsageError(f"target must be a latency above 0 ms, got {target_ms!r}")


def _check_weight(weight: float) -> None:
    check_between("reward-exponent", weight, -10, 0)
