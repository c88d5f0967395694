"""How much a network resembles a published one, judged against random networks that are as fast."""

import random
from collections.abc import Callable

from bneck.errors import BneckError
from bneck.latency.predictor import Predictor
from bneck.results.networks import load_network
from bneck.results.similarity import Similarity, similarity
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.units import as_percent

TOLERANCE = 0.03
"""Largest relative difference in predicted latency of networks that count as equally fast."""
MOST_CHANGES = 300
"""Changes of a random network after which it is given up."""


def similarity_to(
    arch: Architecture, predictor: Predictor, space: Space, *, to: str, count: int, seed: int
) -> Similarity:
    """Compare ``arch`` with the network called ``to``, against ``count`` networks of ``space``.

    Args:
        arch: the network that is judged.
        predictor: says which networks are as fast.
        space: where the random networks to judge it against come from.
        to: the published network: a preset or what else ``load_network`` takes.
        count: how many random networks.
        seed: of their choice.

    Raises:
        BneckError: the space has too few networks as fast, or leaves no choice.
        UsageError: no network is called so.
    """
    published = load_network(to, resolution_px=arch.resolution_px, classes=arch.classes)
    goal_ms = predictor.predict(arch).ms
    others = as_fast(
        space, lambda other: predictor.predict(other).ms, goal_ms, count=count, seed=seed
    )
    return similarity(arch, published, to, others, goal_ms)


def as_fast(
    space: Space,
    latency_ms: Callable[[Architecture], float],
    goal_ms: float,
    *,
    count: int,
    seed: int,
) -> list[Architecture]:
    """Return random networks of a space that are as fast as wanted.

    Each begins as a network drawn uniformly and is changed in one random choice at a time, no
    change leading further away, until it is there; those drawn there stay as they are.

    Args:
        space: what they are drawn from.
        latency_ms: predicts a network's latency.
        goal_ms: the latency wanted.
        count: how many networks to return.
        seed: of the draws.

    Raises:
        BneckError: most walks end elsewhere (names the nearest latency reached).
    """
    found: list[Architecture] = []
    nearest_ms = float("inf")
    for attempt in range(3 * count):
        draw = random.Random(seed * 1_000_003 + attempt)
        values = space.sample(draw.getrandbits(32))
        arch = space.decode(values)
        away_ms = abs(latency_ms(arch) - goal_ms)
        for _ in range(MOST_CHANGES):
            if away_ms <= TOLERANCE * goal_ms:
                found.append(arch)
                break
            changed = space.mutate(values, draw.getrandbits(32))
            other = space.decode(changed)
            if (other_ms := abs(latency_ms(other) - goal_ms)) <= away_ms:
                values, arch, away_ms = changed, other, other_ms
        nearest_ms = min(nearest_ms, latency_ms(arch), key=lambda ms: abs(ms - goal_ms))
        if len(found) == count:
            return found
        if attempt >= 9 and not found:
            break
    raise BneckError(
        f"only {len(found)} of {count} random networks of space {space.name} came within "
        f"{as_percent(TOLERANCE)} of {goal_ms:.4g} ms; the nearest takes {nearest_ms:.4g} ms"
    )
