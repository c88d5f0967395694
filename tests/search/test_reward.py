"""The rewards of MnasNet, and the identity that TAR cancels."""

import random
from collections.abc import Callable
from math import log, nan

import pytest

from bneck.errors import BneckError, UsageError
from bneck.search.reward import Absolute, Hard, Soft, build

POINTS = [(random.Random(i).uniform(0.3, 0.9), random.Random(-i).uniform(1, 9)) for i in range(200)]


def test_soft_matches_the_paper() -> None:
    """MnasNet, section 3: with w = -0.07, doubling the latency is worth about 5 % of accuracy."""
    reward = Soft(80.0, -0.07)
    assert reward(0.5, 80.0) == 0.5
    assert reward(0.5 * 1.05, 160.0) == pytest.approx(0.5, rel=0.002)


def test_hard_matches_the_paper() -> None:
    reward = Hard(80.0)
    assert reward(0.5, 40.0) == 0.5
    assert reward(0.5, 160.0) == 0.25
    assert reward(0.5, 80.0) == 0.5
    assert reward(0.5, 80.8) == pytest.approx(0.5 / 1.01)


def test_absolute_is_largest_at_the_target() -> None:
    """TuNAS: on a front ACC = 0.3 LAT^0.07 the largest reward is at the target, not beside it."""
    reward = Absolute(2.0, -0.07)
    grid = [1 + step / 100 for step in range(300)]
    assert max(grid, key=lambda ms: reward(0.3 * ms**0.07, ms)) == 2.0
    assert reward(0.5, 3.0) == pytest.approx(0.5 - 0.035)


@pytest.mark.parametrize(
    ("word", "weight", "at_twice_the_target"),
    [
        ("soft", None, 0.5 * 2**-0.07),
        ("soft", -0.15, 0.5 * 2**-0.15),
        ("absolute", None, 0.5 - 0.07),
        ("absolute", -1.0, 0.5 - 1.0),
        ("hard", None, 0.5 / 2),
    ],
)
def test_a_reward_has_the_exponent_that_is_asked_for_else_mobilenet_v3_larges(
    word: str, weight: float | None, at_twice_the_target: float
) -> None:
    assert build(word, 2.0, weight)(0.5, 4.0) == pytest.approx(at_twice_the_target)


def test_a_reward_of_the_users_own() -> None:
    reward = build("bneck.search.reward:Hard", 2.0, None)
    assert reward(0.5, 4.0) == 0.25


def logarithmic(target_ms: float) -> Callable[[float, float], float]:
    """A reward that no network without a single hit can be given."""
    return lambda accuracy, latency_ms: log(accuracy) - 0.07 * log(latency_ms / target_ms)


def limited(target_ms: float) -> Callable[[float, float], float]:
    """A reward that forbids what is slower than the target, with what is not a number."""
    return lambda accuracy, latency_ms: accuracy if latency_ms <= target_ms else nan


def test_a_mistake_in_a_reward_of_the_users_own_is_one_line() -> None:
    with pytest.raises(BneckError, match=r"of accuracy 0.5 and 3 ms is nan, not a finite number$"):
        build("tests.search.test_reward:limited", 2.0, None)(0.5, 3.0)
    reward = build("tests.search.test_reward:logarithmic", 2.0, None)
    assert reward(0.5, 2.0) == pytest.approx(log(0.5))
    with pytest.raises(BneckError, match=r"of accuracy 0 and 2 ms raises ValueError: \w+ "):
        reward(0.0, 2.0)


@pytest.mark.parametrize(
    ("word", "weight", "said"),
    [
        ("big", None, "unknown reward .big.; known: soft, hard, absolute, front, package"),
        ("hard", -0.07, "reward-exponent is for soft and absolute, and the reward is .hard."),
        ("no.such:thing", None, "cannot load reward .no.such:thing.: No module named"),
        ("math:sqrt", None, "must make of a target in ms a function of accuracy and ms"),
        ("builtins:dict", None, "must make of a target in ms a function of accuracy and ms"),
    ],
)
def test_what_is_not_a_reward(word: str, weight: float | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(word, 2.0, weight)


def test_target_cancels_out_of_the_soft_ranking() -> None:
    """ACC (LAT/TAR)^w = ACC LAT^w TAR^-w: every target ranks networks the same."""
    rankings = []
    for target_ms in (1.5, 2.2, 31.2):
        reward = Soft(target_ms, -0.15)
        rankings.append(sorted(POINTS, key=lambda point, reward=reward: reward(*point)))
        for accuracy, latency_ms in POINTS[:20]:
            closed = accuracy * latency_ms**-0.15 * target_ms**0.15
            assert reward(accuracy, latency_ms) == pytest.approx(closed, rel=1e-12)
    assert rankings[0] == rankings[1] == rankings[2]


def test_hard_ranking_does_depend_on_the_target() -> None:
    tops = {max(POINTS, key=lambda point, t=t: Hard(t)(*point)) for t in (1.5, 4.0, 9.0)}
    assert len(tops) == 3


@pytest.mark.parametrize(("target_ms", "weight"), [(0, -0.07), (-1, -0.07), (float("nan"), -0.1)])
def test_bad_targets_are_refused(target_ms: float, weight: float) -> None:
    with pytest.raises(UsageError, match="target must be a latency above 0 ms"):
        Soft(target_ms, weight)


@pytest.mark.parametrize("weight", [0.5, float("nan"), -11])
def test_bad_weights_are_refused(weight: float) -> None:
    with pytest.raises(UsageError, match="reward-exponent must be a number from -10 to 0"):
        Soft(1.0, weight)
