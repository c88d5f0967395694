"""The number of multiply-adds."""

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.space.cost import cost


class Macs(ZeroCost):
    """Multiply-adds of one image, at the network's own resolution: AZ-NAS's complexity."""

    counts_only = True

    def score(self, passes: Passes) -> float:
        return float(cost(passes.arch).macs)
