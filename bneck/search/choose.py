"""NetAdapt's choice among the proposals of a step, and which of them are too close to call."""

from collections.abc import Sequence
from math import hypot

from bneck.errors import BneckError
from bneck.results.record import Proposal, Step

LEAST_MS = 1e-12
MOST_TIED = 4
"""Contenders that more steps are paid for; about one in four of a step's proposals."""


def choose(proposals: Sequence[Proposal], accuracy_before: float) -> Proposal:
    """The proposal with the best change of accuracy per ms saved (V3, section 4.2).

    The paper's quotient dAcc/|dLat| prefers the smaller saving once accuracy rises. So a gain
    counts dAcc * |dLat| and stands above every loss; at equal accuracy more saved never loses.
    Those that were trained longer to settle a tie are compared among themselves.

    Raises:
        BneckError: every proposal failed.
    """
    scored = [proposal for proposal in proposals if proposal.accuracy is not None]
    if not scored:
        raise BneckError(f"every proposal failed, the first with: {proposals[0].error}")
    longest = max(proposal.rounds for proposal in scored)
    finalists = [proposal for proposal in scored if proposal.rounds == longest]
    return max(finalists, key=lambda proposal: _merit(proposal, accuracy_before))


def tied(proposals: Sequence[Proposal], accuracy_before: float) -> tuple[Proposal, ...]:
    """The best proposal and those within a standard error of it, best first; () for a clear win.

    The standard errors are those of accuracies on the same images, where differences are surer
    than two independent accuracies are: what is called a tie here may be none.
    """
    scored = [proposal for proposal in proposals if proposal.accuracy is not None]
    if not scored:
        return ()
    ranked = sorted(scored, key=lambda one: _merit(one, accuracy_before), reverse=True)
    best = ranked[0]
    contenders = [one for one in ranked if one is best or _close(best, one, accuracy_before)]
    return tuple(contenders[:MOST_TIED]) if len(contenders) > 1 else ()


def all_lose(proposals: Sequence[Proposal], before: Step) -> bool:
    """Whether each loses more accuracy than the standard error of its difference to ``before``."""
    scored = [proposal for proposal in proposals if proposal.accuracy is not None]
    return all(
        (before.accuracy or 0.0) - (one.accuracy or 0.0)
        > hypot(before.accuracy_stderr or 0.0, one.accuracy_stderr or 0.0)
        for one in scored
    )


def _merit(proposal: Proposal, accuracy_before: float) -> tuple[float, float]:
    change = (proposal.accuracy or 0.0) - accuracy_before
    saved = max(proposal.saved_ms, LEAST_MS)  # free channels save nothing
    return (change * saved if change >= 0 else change / saved, saved)


def _close(best: Proposal, other: Proposal, accuracy_before: float) -> bool:
    """Whether the accuracy that ``other`` would need to win is within the error of its own."""
    change = (best.accuracy or 0.0) - accuracy_before
    needed = change * (other.saved_ms / best.saved_ms) if change < 0 else change
    error = hypot(best.accuracy_stderr or 0.0, other.accuracy_stderr or 0.0)
    return accuracy_before + needed - (other.accuracy or 0.0) <= error
