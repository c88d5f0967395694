"""Jacobian covariance: how little the outputs' slopes at different images resemble each other."""

import torch

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes

_OFFSET = 1e-5


class JacobCov(ZeroCost):
    """-sum(log v + 1 / v), v the eigenvalues (+1e-5) of the correlations between the slopes.

    A slope is d (sum of logits) / d pixels of one image. Mellor et al. 2020 (arXiv 2006.04647v1),
    as in Abdelfattah et al. 2021, section 3.2.
    """

    needs_images = True

    def score(self, passes: Passes) -> float:
        slopes = passes.labelled.slopes.flatten(1).double()
        v = torch.linalg.eigvalsh(torch.corrcoef(slopes)) + _OFFSET
        return -float((v.log() + 1 / v).sum())
