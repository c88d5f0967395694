"""The length of the gradient."""

import torch

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class GradNorm(ZeroCost):
    """The sum over layers of the Euclidean norm of the weights' gradient.

    Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", section 3.2.
    """

    needs_images = True

    def score(self, passes: Passes) -> float:
        return sum(float(torch.linalg.vector_norm(each)) for each in passes.labelled.gradient)
