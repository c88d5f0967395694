"""How well a surrogate ranks the networks of a table that it has not learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bneck.progress import Progress, silent
from bneck.proxies.score import Cost, macs
from bneck.proxies.surrogate.correlation import in_band, spearman
from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.proxies.surrogate.table import Table
from bneck.space.architecture import Architecture

LABELS = (20, 50, 100)
SPLITS = 10
MIN_HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class SurrogateAgreement:
    """How well a surrogate ranks networks it was not trained on: medians over seeded splits."""

    spearman: float
    in_band: float
    within_2_std: float  # share of the networks, 0 to 1


def score_surrogate(
    table: Table, *, band: Cost = macs, seed: int = 0, progress: Progress = silent
) -> dict[int, SurrogateAgreement | None]:
    """Compare a surrogate of 20, 50 and 100 labels; None where fewer than 20 networks are left.

    Args:
        table: networks and their accuracies.
        band: cost that puts networks into bands.
        seed: decides which networks are learnt from in each split.
        progress: told of every split.
    """
    archs = list(table.accuracies)
    truth, costs = np.array(list(table.accuracies.values())), np.array([band(a) for a in archs])
    found: dict[int, SurrogateAgreement | None] = dict.fromkeys(LABELS)
    enough = [labels for labels in LABELS if len(archs) >= labels + MIN_HELD_OUT]
    for place, labels in enumerate(enough):
        splits = []
        for split in range(SPLITS):
            order = np.random.default_rng((seed, split)).permutation(len(archs))
            splits.append(_judged(archs, truth, costs, order[:labels], order[labels:]))
            progress("surrogate", place * SPLITS + split + 1, len(enough) * SPLITS)
        found[labels] = SurrogateAgreement(*np.median(splits, axis=0).tolist())
    return found


def _judged(
    archs: Sequence[Architecture],
    truth: NDArray[np.float64],
    costs: NDArray[np.float64],
    seen: NDArray[np.int64],
    unseen: NDArray[np.int64],
) -> tuple[float, float, float]:
    """The figures of ``SurrogateAgreement`` for one split.

    Args:
        archs: all N networks of the table.
        truth: (N,) their accuracies.
        costs: (N,) what puts them into bands.
        seen: rows that are learnt from.
        unseen: rows that are predicted.
    """
    model = Surrogate([archs[i] for i in seen], truth[seen])
    guess, std = model.predict([archs[i] for i in unseen])
    return (
        spearman(guess, truth[unseen]),
        in_band(guess, truth[unseen], costs[unseen]),
        float((np.abs(guess - truth[unseen]) <= 2 * std).mean()),
    )
