"""NetAdapt's choice among the proposals of a step.

A proposal of 1 % of the latency costs a tenth of a point of accuracy or less, and accuracy on some
thousand images has an error of half a point. So proposals are judged by the rise of the validation
loss, which has far less noise between networks that were trained alike on the same images.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bneck.errors import BneckError
from bneck.quantities import Accuracy, difference
from bneck.results.record import Proposal

Losses = NDArray[np.float64]
LEAST_MS = 1e-12


def reference(unchanged: Proposal, proposals: Sequence[Proposal]) -> Proposal:
    """Return what proposals are compared with: the network before the step, fine-tuned like them.

    Where that failed, or did not end as long a training as others, the proposal of the lowest loss.
    """
    tuned = _longest((unchanged, *proposals))
    if unchanged in tuned or not tuned:
        return unchanged
    return min(tuned, key=lambda one: one.loss or 0.0)


def best(proposals: Sequence[Proposal], before: Proposal) -> Proposal:
    """Return the proposal with the best change of accuracy per ms saved (V3, section 4.2).

    The paper's quotient dAcc/|dLat| prefers the smaller saving once accuracy rises. So a gain
    counts dAcc * |dLat| and is above every loss; at equal accuracy more saved never loses.
    Those that were trained longer to settle a tie are compared among themselves.

    Args:
        proposals: those of the step; failed ones are passed over.
        before: the ``reference``, trained as long as the longest.

    Raises:
        BneckError: every proposal failed.
    """
    finalists = _longest(proposals)
    if not finalists:
        raise BneckError(f"every proposal failed, the first with: {proposals[0].error}")
    return max(finalists, key=lambda proposal: merit(proposal, before))


def all_lose_accuracy(
    proposals: Sequence[Proposal], before: Proposal, right: Callable[[Proposal], str]
) -> bool:
    """Return whether each loses more accuracy than the standard error of the difference.

    Args:
        proposals: those of the step; failed ones are passed over.
        before: the network before the step, fine-tuned like them.
        right: gives the ``marks`` of the validation images, the same images for all.
    """
    was, known = before.accuracy or Accuracy(0.0), right(before)
    lost = [
        difference(was, one.accuracy or Accuracy(0.0), known, right(one))
        for one in scored(proposals)
    ]
    return all(one.value > (one.stderr or 0.0) for one in lost)


def scored(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return those whose fine-tuning did not fail."""
    return [proposal for proposal in proposals if proposal.loss is not None]


def _longest(proposals: Sequence[Proposal]) -> list[Proposal]:
    """The proposals that were trained longest, without those that failed."""
    tuned = scored(proposals)
    longest = max((proposal.rounds for proposal in tuned), default=0)
    return [proposal for proposal in tuned if proposal.rounds == longest]


def merit(proposal: Proposal, before: Proposal) -> tuple[float, float]:
    """Return what ``best`` ranks proposals by."""
    gain = (before.loss or 0.0) - (proposal.loss or 0.0)
    saved = saved_ms(proposal)
    return (gain * saved if gain >= 0 else gain / saved, saved)


def saved_ms(proposal: Proposal) -> float:
    """Return the predicted ms that a proposal saves, above 0."""
    return max(proposal.saved_ms, LEAST_MS)  # free channels save nothing
