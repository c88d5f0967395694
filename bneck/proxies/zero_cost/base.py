"""The base of zero-cost proxies: a score read from a network's passes."""

import math
from dataclasses import replace
from typing import ClassVar

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from bneck.errors import ProxyFailed
from bneck.machine import CPU, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import needed
from bneck.proxies.training.device import computing
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.zero_cost.passes import Passes
from bneck.space.architecture import Architecture
from bneck.space.codec import key


class ZeroCost:
    """A proxy of a network that was never trained; see ``score`` of each for its scale.

    Scores of one proxy compare networks of one space on the same images and seed.
    """

    needs_images: ClassVar[bool] = False
    counts_only: ClassVar[bool] = False  # reads the architecture, builds no network

    def __init__(
        self,
        images: ImageSource | None = None,
        recipe: Recipe | None = None,
        *,
        compute: Compute = CPU,
    ) -> None:
        if self.needs_images:
            needed(images, type(self).__name__, "images")
        self.images, self.compute = images, compute

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Score a network, higher being better; ``seed`` decides weights, images and noise.

        Raises:
            ProxyFailed: the score is not a finite number.
        """
        with computing(replace(self.compute, device="cpu")):  # too short for a GPU to pay
            return self.read(Passes(arch, self.images, seed=seed))

    def read(self, passes: Passes) -> float:
        """Return the score, from passes that other proxies may have read before.

        Raises:
            ProxyFailed: the score is not a finite number.
        """
        try:
            score = self.score(passes)
        except (LinAlgError, ValueError) as error:
            raise self._failed(passes, str(error)) from error
        if not math.isfinite(score):
            raise self._failed(passes, str(score))
        return score

    def score(self, passes: Passes) -> float:
        """Return the score, or a number that is not finite where there is none."""
        raise NotImplementedError

    def _failed(self, passes: Passes, reason: str) -> ProxyFailed:
        arch = passes.arch
        return ProxyFailed(f"{type(self).__name__} of network {key(arch)} is {reason}")
