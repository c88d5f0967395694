"""A network that may be evaluated is found near any proposal, where the space has one."""

import pytest

from bneck.errors import UsageError
from bneck.search.allowed import SpaceExhausted, allowed_network, check_bands
from bneck.search.objectives import Objective, Objectives, Target
from bneck.search.reward import Soft
from bneck.search.samplers.history import Trial, TrialHistory
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values
from tests.closed_form import MacsDevice


def latency_ms(arch: Architecture) -> float:
    return MacsDevice().predict(arch).ms


def from_floor(floor_ms: float) -> Objective:
    return Objective(latency_ms, Soft(floor_ms), 1.25 * floor_ms, floor_ms)


@pytest.mark.parametrize(("name", "seed"), [("v3-large", 5), ("cpu-small", 1)])
def test_a_target_near_the_slowest_network_has_one_near_every_proposal(
    name: str, seed: int
) -> None:
    """Most of some seventy choices have to change, and some only for the worse at first."""
    space = spaces.build(name, resolution_px=32, classes=10)
    slowest_ms = -space.minimise(lambda arch: -latency_ms(arch))[1]
    objective = from_floor(0.97 * slowest_ms)
    found = allowed_network(space, objective, TrialHistory(), space.sample(100 + seed), seed)
    assert objective.allows(space.decode(found))


def test_a_target_that_has_no_network_is_named_among_others(space: Space, model: object) -> None:
    """Between whole multiply-adds there is none."""
    some_ms = latency_ms(space.decode(space.sample(3)))
    targets = [Target(Soft(1.0), some_ms, 1.1 * some_ms, some_ms)]
    check_bands(Objectives(space, model, targets), 0)
    targets.append(Target(Soft(1.0), some_ms, some_ms + 8e-7, some_ms + 2e-7))
    said = f"from {some_ms:.3g} to {some_ms:.3g} ms; give a larger --seed-factor"
    with pytest.raises(UsageError, match=said):
        check_bands(Objectives(space, model, targets), 0)


def test_a_large_space_is_not_said_to_have_no_network_left() -> None:
    """It is too large to be listed: 17 choices of two values, of which the first alone counts."""
    whole = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    names = dict.fromkeys(whole.choices, "identity")

    def decode(values: Values) -> Architecture:
        return whole.decode({**names, "s1.b1.op": values["c0"]})

    choices = {f"c{place}": ("identity", "k3e3") for place in range(17)}
    space, history = Space("seventeen", choices, decode), TrialHistory()
    for number, op in enumerate(("identity", "k3e3")):
        values = {**space.sample(0), "c0": op}
        history.propose(Trial(number, values, space.decode(values)))
    objective = Objective(latency_ms, Soft(1.0), ceiling_ms=100.0)
    with pytest.raises(SpaceExhausted, match="of space seventeen under 100 ms was found that was"):
        allowed_network(space, objective, history, space.sample(1), 0)


def test_a_space_of_one_network_has_none_left_after_it() -> None:
    whole = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    choices = {name: allowed[:1] for name, allowed in whole.choices.items()}
    space, history = Space("single", choices, whole.decode), TrialHistory()
    values = space.sample(0)
    objective = Objective(latency_ms, Soft(1.0), ceiling_ms=100.0)
    assert allowed_network(space, objective, history, values, 0) == values
    history.propose(Trial(0, values, space.decode(values)))
    with pytest.raises(SpaceExhausted, match="of space single under 100 ms is left"):
        allowed_network(space, objective, history, values, 0)
