"""The rules that NetAdapt needs beyond the paper's: one function each, in the order they apply.

The paper's rule is ``selection.best``: of all proposals that save delta, fine-tuned alike, the best
change of accuracy per ms saved. What follows is for where that has no answer, or a poor one:

==================  ==============================================  ===============================
rule                where                                           what is done
==================  ==============================================  ===============================
halve_the_saving    nothing saves delta any more                    ask for half, up to 5 times
near_the_target     a proposal would end far under the target       first those at most 3 % under it
other_savings       all of these lose accuracy                      the others, and half the saving
settle_ties         the best are within a standard error            4 of them train as long again
tighten_the_goal    the network measures above the target           aim lower, up to 4 times
widen_free_widths   a width leaves a block of channels half empty   fill it if it measures the same
==================  ==============================================  ===============================

The first four are applied in each step (``NetAdapt.shrink``), the last two where the target is met
by measuring (``shrink_to_measured``).
"""

from collections.abc import Callable, Sequence

from bneck.netadapt.selection import Losses, merit, saved_ms, scored
from bneck.quantities import Latency
from bneck.results.record import Proposal

Proposals = tuple[Proposal, ...]
Propose = Callable[[float], Proposals]
"""The proposals that save so many ms."""

HALVINGS = 5
MOST_UNDER = 0.03
"""Latency that a proposal may leave unused below the target, as a share of it."""
MOST_TIED = 4
"""Proposals that more steps are paid for; about one in four of a step's."""
TIGHTENINGS = 4
FREE = 0.01
"""What a network may measure longer and still be as fast: two measurements differ by as much."""


def halve_the_saving(propose: Propose, needed_ms: float) -> tuple[float, Proposals]:
    """Return what was asked for last and the proposals; () where not even a 32nd can be saved."""
    for halvings in range(HALVINGS + 1):
        if proposals := propose(needed_ms / 2**halvings):
            return needed_ms / 2**halvings, proposals
    return needed_ms / 2**HALVINGS, ()


def near_the_target(proposals: Proposals, target_ms: float) -> Proposals:
    """Return those that end at most 3 % under the target, or all where none does."""
    least_ms = (1 - MOST_UNDER) * target_ms
    return tuple(one for one in proposals if one.latency_ms >= least_ms) or proposals


def other_savings(
    proposals: Proposals, first: Proposals, propose: Propose, needed_ms: float, delta_ms: float
) -> Proposals:
    """Return what is tried where all of the ``first`` proposals lose accuracy.

    Args:
        proposals: all that save ``needed_ms``.
        first: those of them that are tried in any case.
        propose: gives more.
        needed_ms: what was asked for.
        delta_ms: what a step is to save; a 32nd of it is the least that is asked for.
    """
    half_ms = needed_ms / 2
    if half_ms >= delta_ms / 2**HALVINGS:
        proposals += propose(half_ms)
    tried = {one.move for one in first}
    return tuple({one.move: one for one in proposals if one.move not in tried}.values())


def settle_ties(
    found: Sequence[Proposal], before: Proposal, losses: Callable[[Proposal], Losses]
) -> Proposals:
    """Return the proposals to train as long again; () where the best wins clearly.

    They are the best and those within a standard error of it, best first.

    Args:
        found: the step's proposals, fine-tuned; failed ones are passed over.
        before: the ``reference`` that they are compared with.
        losses: gives the cross-entropy on each validation image, (validation images,), in nats, of
            the same images for all: the standard error is that of the difference in pairs.
    """
    ranked = sorted(scored(found), key=lambda one: merit(one, before), reverse=True)
    if not ranked:
        return ()
    first, *others = ranked
    at_first = losses(before)
    rises = {one.move: losses(one) - at_first for one in ranked}
    contenders = [one for one in others if _is_close(first, one, rises)]
    return (first, *contenders[: MOST_TIED - 1]) if contenders else ()


def _is_close(first: Proposal, other: Proposal, rises: dict[str, Losses]) -> bool:
    """Whether the loss that ``other`` would need to win is within the error of its own."""
    rise = rises[first.move]
    more = saved_ms(other) / saved_ms(first)
    needed = rise * more if rise.mean() > 0 else rise / more  # as their merits are equal
    excess = rises[other.move] - needed
    if len(excess) == 1:  # which does not tell how sure it is
        return True
    return bool(excess.mean() <= excess.std(ddof=1) / len(excess) ** 0.5)


def tighten_the_goal(
    goal_ms: float, predicted_ms: float, sure_ms: float, target_ms: float
) -> float:
    """Return the next predicted latency to shrink to: the model's error is taken out.

    Args:
        goal_ms: what was aimed at.
        predicted_ms: what the network is predicted to take, at most the goal.
        sure_ms: what it measures, with its error.
        target_ms: what it has to measure.
    """
    return min(goal_ms, predicted_ms) * target_ms / sure_ms


def widen_free_widths(wider: Latency, measured: Latency, target_ms: float, repeat: float) -> bool:
    """Return whether the widened network is kept: as fast as before, and within the target.

    Args:
        wider: the latency with every width at the widest that the model predicts to cost nothing.
        measured: the latency before.
        target_ms: what the network may take.
        repeat: the relative error of measuring again.
    """
    return wider.ms <= measured.ms * (1 + FREE) and sure_ms(wider, repeat) <= target_ms


def meets(measured: Latency, target_ms: float, repeat: float, *, given: bool) -> bool:
    """Return whether a network is fast enough for its target.

    It must be so when measured again. A network that was given only has to measure so now: it may
    be the very one whose latency the target is.

    Args:
        measured: the network's latency.
        target_ms: what it may take.
        repeat: the relative error of measuring again.
        given: whether it is a seed network that no search found, as it was given.
    """
    return (measured.ms if given else sure_ms(measured, repeat)) <= target_ms


def sure_ms(measured: Latency, repeat: float) -> float:
    """Return what must be within the target, so that the network is under it when measured again.

    That is above the measurement by its standard error, or by what measuring again differs by.

    Args:
        measured: the network's latency.
        repeat: the relative error of measuring again that the calibration saw; at most 1 % counts.
    """
    return measured.ms + max(measured.std_ms or 0.0, measured.ms * min(repeat, FREE))
