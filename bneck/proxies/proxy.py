"""What an accuracy signal is, and the table of them."""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bneck.errors import UsageError, unknown
from bneck.files import check_file
from bneck.space.architecture import Architecture

PROXIES = {
    "params": "bneck.proxies.zero_cost.params:Params",
    "macs": "bneck.proxies.zero_cost.macs:Macs",
    "synflow": "bneck.proxies.zero_cost.synflow:Synflow",
    "zen": "bneck.proxies.zero_cost.zen:Zen",
    "expressivity": "bneck.proxies.zero_cost.expressivity:Expressivity",
    "progressivity": "bneck.proxies.zero_cost.progressivity:Progressivity",
    "trainability": "bneck.proxies.zero_cost.trainability:Trainability",
    "naswot": "bneck.proxies.zero_cost.naswot:Naswot",
    "jacob_cov": "bneck.proxies.zero_cost.jacob_cov:JacobCov",
    "grad_norm": "bneck.proxies.zero_cost.grad_norm:GradNorm",
    "snip": "bneck.proxies.zero_cost.snip:Snip",
    "zico": "bneck.proxies.zero_cost.zico:Zico",
    "short-training": "bneck.proxies.short_training:ShortTraining",
}
"""Every word is a class made as ``find_proxy(word)(images, recipe, threads=threads)``.

What a proxy does not need it takes and ignores: zero-cost ones the recipe, some the images.
"""


class Proxy(Protocol):
    """A cheap opinion on how accurate a network will be."""

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Higher is better, on a scale of the proxy's own; the same seed gives the same score.

        Raises:
            ProxyFailed: the network cannot be scored; never NaN, never a stand-in number.
        """


def check_proxy(word: str) -> None:
    """Raise UsageError where ``find_proxy`` would, without importing what a known word names."""
    if word not in PROXIES:
        find_proxy(word)


def find_proxy(word: str) -> Any:
    """What makes the proxy that a word of ``PROXIES``, or ``package.module:attr``, names.

    Raises:
        UsageError: neither, or a file that cannot be read.
    """
    if word.startswith("shared-weights:"):
        check_file(Path(place := word.removeprefix("shared-weights:")))
        from bneck.proxies.shared_weights import of_file

        return of_file(place)
    place = PROXIES.get(word, word)
    module, _, attribute = place.partition(":")
    if not attribute:
        raise unknown("proxy", word, [*PROXIES, "shared-weights:FILE", "package.module:attr"])
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"no proxy {word!r}: {error}") from error
