"""Similarity of a network to a published one, compared with random networks that are as fast.

Traits are compared by depth: at each resolution (output stride) the mean over the blocks that work
there, as far as both networks have some. A percentile of 90 means: nearer to the published network
than 90 % of random networks of the same space at the same predicted latency.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import fmean, median

from bneck.errors import BneckError
from bneck.space.architecture import Architecture, Part
from bneck.space.blocks import Block, Identity
from bneck.space.traits import activation, expansion, has_squeeze_excite, kernels
from bneck.text import aligned
from bneck.units import milliseconds

Profile = Mapping[int, float]
"""A trait's value by output stride."""

TRAITS: dict[str, Callable[[Part, Block], float]] = {
    "kernels of 5 and more": lambda part, _: float(max(kernels(part), default=1) >= 5),
    "squeeze-excite": lambda part, _: float(has_squeeze_excite(part)),
    "h-swish": lambda part, _: float(activation(part) == "hswish"),
    "expansion ratio (log2)": lambda part, block: log2(
        (expansion(block) or part.in_channels) / part.in_channels
    ),
    "width (log2)": lambda _, block: log2(block.out),
}
"""A number for a block at its place; ``DEPTH`` counts the blocks."""
DEPTH = "blocks"


@dataclass(frozen=True, slots=True)
class Trait:
    """One trait; profiles go from the smallest output stride to the largest.

    ``distance`` is the mean absolute difference of the profiles, ``random_distance`` its median
    over the random networks. ``percentile`` is None where the space leaves no choice.
    """

    name: str
    strides: tuple[int, ...]
    network: tuple[float, ...]
    published: tuple[float, ...]
    random_mean: tuple[float, ...]
    distance: float
    random_distance: float
    percentile: float | None


@dataclass(frozen=True, slots=True)
class Similarity:
    """All traits, and the percentile of all free ones together.

    Together means: the mean of the distances, each over its mean among the random networks.
    ``random`` holds those of the random networks, sorted.
    """

    published: str
    latency_ms: float
    networks: int
    percentile: float
    distance: float
    random: tuple[float, ...]
    traits: tuple[Trait, ...]


def similarity(
    arch: Architecture,
    published: Architecture,
    name: str,
    others: Sequence[Architecture],
    latency_ms: float,
) -> Similarity:
    """Compare a network with a published one, beside random networks that are as fast.

    Random networks without a block at any output stride of the published one are left out.

    Args:
        arch: the network.
        published: the one to compare with.
        name: of the published one.
        others: random networks as fast as ``arch``.
        latency_ms: predicted of ``arch``.

    Raises:
        BneckError: no trait is free among the others, or no output stride is in both networks, or
            in the published one and any of the others.
    """
    goal, mine = profiles(published), profiles(arch)
    if not {*goal[DEPTH]} & {*mine[DEPTH]}:
        raise BneckError(f"the network has no block at an output stride of {name}")
    theirs = [one for one in map(profiles, others) if {*goal[DEPTH]} & {*one[DEPTH]}]
    if not theirs:
        raise BneckError(f"no random network has a block at an output stride of {name}")
    traits, total, totals = [], 0.0, [0.0] * len(theirs)
    for trait in (*TRAITS, DEPTH):
        distances = [_distance(other[trait], goal[trait]) for other in theirs]
        compared = _compared(trait, mine, goal, theirs, distances)
        if compared.percentile is not None:
            scale = fmean(distances)
            total += compared.distance / scale
            totals = [t + d / scale for t, d in zip(totals, distances, strict=True)]
        traits.append(compared)
    count = sum(trait.percentile is not None for trait in traits)
    if not count:
        raise BneckError("no trait differs among the random networks: the space leaves no choice")
    spread = sorted(value / count for value in totals)
    overall = _percentile(total, totals)
    return Similarity(
        name, latency_ms, len(theirs), overall, total / count, tuple(spread), tuple(traits)
    )


def _compared(
    trait: str,
    mine: Mapping[str, Profile],
    goal: Mapping[str, Profile],
    theirs: Sequence[Mapping[str, Profile]],
    distances: Sequence[float],
) -> Trait:
    """One trait of a network beside the published one's and that of random networks.

    Args:
        trait: its name.
        mine: the network's profiles by trait.
        goal: the published network's.
        theirs: those of the random networks.
        distances: how far the trait of each of these is from the published one's.
    """
    strides = tuple(sorted({*goal[trait]} & {*mine[trait]}))
    distance = _distance(mine[trait], goal[trait])
    is_free = max(distances) > min(distances)
    return Trait(
        trait,
        strides,
        tuple(mine[trait][stride] for stride in strides),
        tuple(goal[trait][stride] for stride in strides),
        tuple(_mean(trait, stride, theirs) for stride in strides),
        distance,
        median(distances),
        _percentile(distance, distances) if is_free else None,
    )


def profiles(arch: Architecture) -> dict[str, Profile]:
    """Return every trait by output stride; strides without a block are left out."""
    rows: dict[str, dict[int, list[float]]] = {trait: {} for trait in (*TRAITS, DEPTH)}
    stride = arch.stem.stride
    for part, block in arch.block_parts():
        stride *= block.stride
        if not isinstance(block, Identity):
            for trait, value in TRAITS.items():
                rows[trait].setdefault(stride, []).append(value(part, block))
            rows[DEPTH].setdefault(stride, []).append(1.0)
    found = {trait: {at: fmean(values) for at, values in rows[trait].items()} for trait in TRAITS}
    return {**found, DEPTH: {at: sum(values) for at, values in rows[DEPTH].items()}}


def _mean(trait: str, stride: int, networks: Sequence[Mapping[str, Profile]]) -> float:
    """The mean over the networks with a block at that output stride, 0 if there are none.

    All networks count for ``DEPTH``: those without a block there have none.
    """
    known = [one[trait][stride] for one in networks if stride in one[trait]]
    if trait == DEPTH:
        known += [0.0] * (len(networks) - len(known))
    return fmean(known) if known else 0.0


def _distance(one: Profile, other: Profile) -> float:
    """Mean absolute difference at the output strides that both have blocks at."""
    return fmean(abs(one[at] - other[at]) for at in sorted({*one} & {*other}))


def _percentile(distance: float, distances: Sequence[float]) -> float:
    """Percent of ``distances`` that are larger, ties counting half."""
    larger = sum(other > distance for other in distances)
    equal = sum(other == distance for other in distances)
    return 100 * (larger + equal / 2) / len(distances)


def as_text(found: Similarity) -> str:
    """The traits as a table: profiles by output stride, distance and percentile."""
    rows = [("trait", "network", found.published, "random", "distance", "of random", "percentile")]
    for trait in found.traits:
        rows.append(
            (
                trait.name,
                _numbers(trait.network),
                _numbers(trait.published),
                _numbers(trait.random_mean),
                f"{trait.distance:.2f}",
                f"{trait.random_distance:.2f}",
                "fixed" if trait.percentile is None else f"{trait.percentile:.0f}",
            )
        )
    strides = "/".join(map(str, found.traits[0].strides))
    return (
        f"{aligned(rows)}\n"
        f"columns 2 to 4: by output stride {strides}\n"
        f"all free traits together: nearer to {found.published} than {found.percentile:.1f} % of "
        f"{found.networks} random networks at {milliseconds(found.latency_ms)} ms predicted"
    )


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
