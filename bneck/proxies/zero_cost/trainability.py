"""AZ-NAS, trainability: whether blocks hand gradients back neither larger nor smaller."""

from math import inf
from statistics import fmean

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Trainability(ZeroCost):
    """The mean over the blocks behind the stem of 2 - s - 1 / s, s the gain; 0 is best.

    Lee and Ham 2024, "AZ-NAS", equation 8.
    """

    def score(self, passes: Passes) -> float:
        gains = [block.gain for block in passes.blocks[1:]]
        return fmean(2 - s - 1 / s if s > 0 else -inf for s in gains)
