"""NASWOT: how differently the rectifiers answer to different images."""

import torch

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Naswot(ZeroCost):
    """log |det K|, K[i, j] the number of rectifiers in the same state for images i and j.

    Mellor et al. 2021, "Neural Architecture Search without Training", section 3.2. For h-swish the
    state is the input's sign.
    """

    needs_images = True

    def score(self, passes: Passes) -> float:
        return float(torch.linalg.slogdet(passes.labelled.agreement.double()).logabsdet)
