"""Which networks a search may evaluate, and one of them near a proposal that it may not."""

from bneck.errors import BneckError, UsageError
from bneck.search.objectives import Objective, Objectives
from bneck.search.samplers.history import TrialHistory
from bneck.space.choices import Space, Values

MAX_CHANGES, MAX_LISTED = 1000, 100_000
"""Changes in a row that lead no nearer, and networks of a space, of which no more are tried."""


class SpaceExhausted(BneckError):
    """Every network that may be evaluated has been, as far as that can be told."""


def check_bands(objectives: Objectives, seed: int) -> None:
    """Refuse a target that no network can be found for, before any is evaluated.

    The latency model's error may leave none between a target and a ceiling close above it.

    Args:
        objectives: the search's, whose floors and ceilings are within what the space spans.
        seed: of the networks that each search for one begins at.

    Raises:
        UsageError: names the target and its ceiling.
    """
    space = objectives.space
    for objective in objectives.at(()):
        try:
            allowed_network(space, objective, TrialHistory(), space.sample(seed), seed)
        except SpaceExhausted:
            raise none_in_band(objective, objectives.with_confidence) from None


def none_in_band(objective: Objective, with_confidence: str) -> UsageError:
    """Return the error that a search found no network which it may evaluate.

    Args:
        objective: which latencies are allowed.
        with_confidence: how sure a prediction must be, in words.
    """
    return UsageError(
        f"no network was found that is predicted from {objective.floor_ms:.3g} to "
        f"{objective.ceiling_ms:.3g} ms{with_confidence}; give a larger --seed-factor"
    )


def allowed_network(
    space: Space, objective: Objective, history: TrialHistory, values: Values, seed: int
) -> Values:
    """Return ``values`` if their network is new and allowed, or a network near them that is.

    Choices are changed one by one, at random, and only changes that lead no further outside the
    allowed latencies are kept. Where that finds nothing, a space that can be listed is listed; in
    a larger one it begins again at the network that single changes bring nearest to them.

    Args:
        space: whose networks may be returned.
        objective: says which latencies are allowed.
        history: says which networks are new.
        values: the proposal.
        seed: decides the changes.

    Raises:
        SpaceExhausted: no network is left, or in a space too large to be listed none was found.
    """
    listed = space.size <= MAX_LISTED
    found = _near(space, objective, history, values, seed)
    if found is None and listed:
        found = _of_all(space, objective, history)
    elif found is None:
        nearest, _ = space.minimise(objective.outside_ms)
        found = _near(space, objective, history, nearest, seed)
    if found is None:
        raise SpaceExhausted(
            f"no network of space {space.name} under {objective.ceiling_ms:.3g} ms "
            f"{'is left' if listed else 'was found'} that was not evaluated"
        )
    return found


def _near(
    space: Space, objective: Objective, history: TrialHistory, values: Values, seed: int
) -> Values | None:
    """The first network on a way of single changes; None where many led no nearer to any."""
    arch = space.decode(values)
    outside_ms = objective.outside_ms(arch)
    if outside_ms == 0 and history.new(arch):
        return values
    if space.size == 1:  # nothing can be changed
        return None
    attempt, last = 0, MAX_CHANGES
    while attempt < last:
        changed = space.mutate(values, seed * MAX_CHANGES + attempt)
        attempt += 1
        arch = space.decode(changed)
        if (changed_ms := objective.outside_ms(arch)) <= outside_ms:
            if changed_ms < outside_ms:
                last = attempt + MAX_CHANGES
            values, outside_ms = changed, changed_ms
            if outside_ms == 0 and history.new(arch):
                return values
    return None


def _of_all(space: Space, objective: Objective, history: TrialHistory) -> Values | None:
    for values in space.all():
        arch = space.decode(values)
        if history.new(arch) and objective.allows(arch):
            return values
    return None
