"""Spaces as choices: counted, drawn and changed as they are declared."""

import itertools
from typing import Any

import numpy as np
import pytest

from bneck.errors import UsageError
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.choices import Space, Values
from bneck.space.cost import cost
from bneck.space.heads import PoolLinear


def tiny() -> Space:
    """A depth of 1 or 2, and a kernel for each block that there is: 3 + 3 * 3 networks."""

    def build(values: Values) -> Architecture:
        blocks = tuple(
            InvertedResidual(int(values[f"b{b}.kernel"]), 32, 16)
            for b in range(1, int(values["depth"]) + 1)
        )
        return Architecture(PlainConv(3, 16, 2), (blocks,), PoolLinear(), 10, 32)

    kernels = (3, 5, 7)
    choices = {"depth": (1, 2), "b1.kernel": kernels, "b2.kernel": kernels}
    return Space("tiny", choices, build, parents={"b2.kernel": ("depth", (2,))})


def test_size_counts_distinct_networks() -> None:
    space = tiny()
    assert space.size == 3 + 3 * 3
    every = itertools.product(*space.choices.values())
    networks = {space.decode(dict(zip(space.choices, values, strict=True))) for values in every}
    assert len(networks) == space.size


def test_the_least_network_is_the_least_of_all() -> None:
    space = tiny()
    params = {cost(space.decode(space.sample(seed))).params for seed in range(200)}
    assert cost(space.least(lambda arch: cost(arch).params)).params == min(params)
    assert cost(space.least(lambda arch: -cost(arch).params)).params == max(params)


def test_neighbours_reach_the_whole_space() -> None:
    space = tiny()
    reached, edge = set(), [space.sample(0)]
    while edge:
        values = edge.pop()
        if tuple(values.items()) not in reached:
            reached.add(tuple(values.items()))
            edge.extend(space.neighbours(values))
    assert len(reached) == space.size


@pytest.mark.parametrize("name", spaces.SPACES)
def test_samples_are_legal_seeded_and_spread(name: str) -> None:
    space = spaces.build(name, resolution_px=64, classes=10)
    drawn = [space.sample(seed) for seed in range(40)]
    assert drawn == [space.sample(seed) for seed in range(40)]
    assert len({codec.key(space.decode(values)) for values in drawn}) >= 38  # of 3,969 at least
    for values in drawn:
        assert space.check(values) == values
        arch = space.decode(values)
        assert (arch.resolution_px, arch.classes) == (64, 10)


@pytest.mark.parametrize("name", spaces.SPACES)
def test_mutation_changes_one_choice(name: str) -> None:
    space = spaces.build(name)
    for seed in range(30):
        before = space.sample(seed)
        after = space.mutate(before, seed)
        assert after == space.mutate(before, seed)
        shared = before.keys() & after.keys()
        changed = [choice for choice in shared if before[choice] != after[choice]]
        assert len(changed) == 1
        parents = {parent for parent, _ in space.parents.values()}
        assert before.keys() == after.keys() or changed[0] in parents


def test_what_a_change_makes_a_choice_is_the_first_value_or_drawn() -> None:
    """A neighbour differs in one choice alone; mutations of one network reach all of a space."""
    space, values = tiny(), {"depth": 1, "b1.kernel": 5}
    assert space.changed(values, "depth", 2) == {"depth": 2, "b1.kernel": 5, "b2.kernel": 3}
    mutated = [space.mutate(values, seed) for seed in range(60)]
    assert {one["b2.kernel"] for one in mutated if one["depth"] == 2} == {3, 5, 7}


def test_samples_lean_to_the_last_values() -> None:
    space = tiny()
    assert space.sample(0, lean=1.0) == {"depth": 2, "b1.kernel": 7, "b2.kernel": 7}
    leaning = [space.sample(seed, lean=0.4)["depth"] for seed in range(400)]
    assert leaning.count(2) / 400 == pytest.approx(0.4 + 0.6 / 2, abs=0.08)


def test_sizes_by_the_closed_formula() -> None:
    """v3-small: per stage widths times the sum over depths of (kernels ratios SE activations)^d."""
    per_block = 3 * 4 * 2 * 2
    expected = 3 * (3 * 3 * 2 * 2)
    for depths in ((1, 2, 3), (2, 3, 4), (1, 2, 3), (2, 3, 4)):
        expected *= 3 * sum(per_block**depth for depth in depths)
    assert spaces.build("v3-small").size == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"s9.kernel": 3}, "unknown choice of space v3-small: 's9.kernel'"),
        ({"s1.b1.kernel": 4}, "unknown value of s1.b1.kernel: 4; known: 3, 5, 7"),
        ({"s1.b1.se": 1}, "unknown value of s1.b1.se: 1; known: False, True"),
        ({"s1.b1.kernel": None}, "no value for the choice 's1.b1.kernel'"),
    ],
)
def test_illegal_values_are_named(change: dict, words: str) -> None:
    space = spaces.build("v3-small")
    values = {**space.sample(0), **change}
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(UsageError, match=words):
        space.decode(values)


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ((), r"must be a tuple of at least one, got \(\)"),
        ("relu", "must be a tuple of at least one, got 'relu'"),
        (3, "must be a tuple of at least one, got 3"),
        ((3, 5, 3), "must differ, got 3 twice"),
        ((1, True), "must differ, got True twice"),
        ((3, None), "must be .* of Python's own, got None of type NoneType"),
        ((0.5, float("nan")), "must be finite numbers, .* got nan of type float"),
        ((0.5, float("inf")), "must be finite numbers, .* got inf of type float"),
        (tuple(np.arange(2)), r"must be .* of Python's own, got .*0.* of type int64"),
    ],
)
def test_values_that_no_search_can_write_down_are_refused(allowed: Any, said: str) -> None:
    with pytest.raises(UsageError, match=f"space own: the values of 'kernel' {said}"):
        Space("own", {"kernel": allowed}, lambda values: tiny().decode(values))


@pytest.mark.parametrize("parent", ["later", "none"])
def test_a_choice_comes_after_what_it_depends_on(parent: str) -> None:
    """It would never be live."""
    choices = {"child": (1, 2), "later": (1, 2)}
    with pytest.raises(UsageError, match=f"'child' must come after .* depends on, '{parent}'"):
        Space("own", choices, lambda _: tiny().decode({}), {"child": (parent, (2,))})


@pytest.mark.parametrize(
    ("parents", "said"),
    [
        ({"chlid": ("depth", (2,))}, "unknown choice of space own with a parent: 'chlid'"),
        ({"child": ("depth", (2, 3))}, "unknown value of depth for child: 3; known: 1, 2"),
        ({"child": ("depth", (True,))}, "unknown value of depth for child: True; known: 1, 2"),
        ({"child": ("depth", 2)}, "the values of 'depth' at which 'child' is .* got 2"),
        ({"child": ("depth", ())}, r"the values of 'depth' at which 'child' is .* got \(\)"),
    ],
)
def test_a_condition_that_is_never_met_is_named(parents: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Space("own", {"depth": (1, 2), "child": (1, 2)}, lambda _: tiny().decode({}), parents)


def test_unknown_space_is_named() -> None:
    with pytest.raises(
        UsageError, match="unknown space 'v4'; known: v3-small, v3-large, v3-small-plain"
    ):
        spaces.build("v4")
