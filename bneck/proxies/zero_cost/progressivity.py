"""AZ-NAS, progressivity: whether the features spread further from block to block."""

from itertools import pairwise

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Progressivity(ZeroCost):
    """The smallest rise of the entropy from one block to the next.

    Lee and Ham 2024, "AZ-NAS", equation 5.
    """

    def score(self, passes: Passes) -> float:
        return min(after.entropy - before.entropy for before, after in pairwise(passes.blocks))
