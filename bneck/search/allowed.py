"""Which networks a search may evaluate, and one of them near a proposal that it may not."""

from bneck.errors import BneckError
from bneck.search.objectives import Objective
from bneck.search.samplers.history import TrialHistory
from bneck.space.choices import Space, Values

MAX_CHANGES, MAX_LISTED = 1000, 100_000


class SpaceExhausted(BneckError):
    """Every network that may be evaluated has been."""


def allowed_network(
    space: Space, objective: Objective, history: TrialHistory, values: Values, seed: int
) -> Values:
    """Return ``values`` if their network is new and allowed, or a network near them that is.

    Choices are changed one by one, at random, and only changes that lead no further outside the
    allowed latencies are kept. Where that finds nothing, a space that can be listed is listed.

    Args:
        space: whose networks may be returned.
        objective: says which latencies are allowed.
        history: says which networks are new.
        values: the proposal.
        seed: decides the changes.

    Raises:
        SpaceExhausted: no network is left.
    """
    arch = space.decode(values)
    outside_ms = objective.outside_ms(arch)
    if outside_ms == 0 and history.new(arch):
        return values
    for attempt in range(MAX_CHANGES):
        changed = space.mutate(values, seed * MAX_CHANGES + attempt)
        arch = space.decode(changed)
        if (changed_ms := objective.outside_ms(arch)) <= outside_ms:
            values, outside_ms = changed, changed_ms
            if outside_ms == 0 and history.new(arch):
                return values
    for values in space.all() if space.size <= MAX_LISTED else ():
        arch = space.decode(values)
        if history.new(arch) and objective.allows(arch):
            return values
    raise SpaceExhausted(
        f"no network of space {space.name} under {objective.ceiling_ms:.3g} ms is left that was "
        "not evaluated"
    )
