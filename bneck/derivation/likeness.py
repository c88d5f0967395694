"""How much a network resembles a published one, judged against random networks that are as fast."""

from bneck.latency.predictor import Predictor
from bneck.results.networks import load_network
from bneck.results.similarity import Likeness, as_fast, likeness
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


def likeness_to(
    arch: Architecture, predictor: Predictor, space: Space, *, to: str, count: int, seed: int
) -> Likeness:
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
    _, published = load_network(to, resolution_px=arch.resolution_px, classes=arch.classes)
    goal_ms = predictor.predict(arch).ms
    others = as_fast(
        space, lambda other: predictor.predict(other).ms, goal_ms, count=count, seed=seed
    )
    return likeness(arch, published, to, others, goal_ms)
