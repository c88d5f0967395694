"""AZ-NAS, expressivity: over how many directions the features spread."""

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Expressivity(ZeroCost):
    """The sum over blocks of the entropy of the features' principal components.

    Lee and Ham 2024, "AZ-NAS", equation 4.
    """

    def score(self, passes: Passes) -> float:
        return sum(block.entropy for block in passes.blocks)
