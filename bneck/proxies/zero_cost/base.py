"""What every zero-cost proxy is: a score read from a network's passes."""

import math
from typing import ClassVar

from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from bneck.errors import ProxyFailed, UsageError
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.threads import at_most
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
        threads: int | None = None,
    ) -> None:
        if self.needs_images and images is None:
            raise UsageError(f"the proxy {type(self).__name__} needs images")
        self.images, self.threads = images, threads

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Higher is better; ``seed`` decides weights, images and noise.

        Raises:
            ProxyFailed: the score is not a finite number.
        """
        with at_most(self.threads):
            return self.read(Passes(arch, self.images, seed=seed))

    def read(self, passes: Passes) -> float:
        """The score, from passes that other proxies may have read before.

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
        """The score, or a number that is not finite where there is none."""
        raise NotImplementedError

    def _failed(self, passes: Passes, reason: str) -> ProxyFailed:
        arch = passes.arch
        return ProxyFailed(f"{type(self).__name__} of network {key(arch)} is {reason}")
