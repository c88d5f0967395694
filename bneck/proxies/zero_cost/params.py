"""The number of trainable parameters."""

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.space.cost import cost


class Params(ZeroCost):
    """Bigger is taken for better; the yardstick that other proxies must beat."""

    counts_only = True

    def score(self, passes: Passes) -> float:
        return float(cost(passes.arch).params)
