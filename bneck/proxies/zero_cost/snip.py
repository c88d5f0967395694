"""SNIP: what the loss would change by if single weights were missing."""

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Snip(ZeroCost):
    """The sum of |w dL/dw| over all weights.

    Lee et al. 2019, "SNIP", equation 5, summed as Abdelfattah et al. 2021, section 3.2.
    """

    needs_images = True

    def score(self, passes: Passes) -> float:
        pairs = zip(passes.weights, passes.labelled.gradient, strict=True)
        return sum(float((w.detach() * gradient).abs().sum()) for w, gradient in pairs)
