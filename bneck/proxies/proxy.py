"""What a proxy is, and the table of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bneck.errors import UsageError
from bneck.files import path_of, sha256, short_sha256
from bneck.imports import check_call, load_object
from bneck.machine import CPU, Compute
from bneck.space.architecture import Architecture

if TYPE_CHECKING:  # both need torch, which checking a word does not
    from bneck.proxies.data.image_source import ImageSource
    from bneck.proxies.training.recipe import Recipe

T = TypeVar("T")
SHARED_WEIGHTS = "shared-weights:"
ELASTIC = "elastic.safetensors"
"""File of a run that holds the weights which all networks of its space share."""
SCORED_ON = 2000
"""Validation images on which a network with such weights is scored, at most."""
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
"""Word -> "module:class", a ``ProxyFactory``, imported when first asked for."""


class Proxy(Protocol):
    """A cheap estimate of how accurate a network will be.

    One whose scores depend on what computed them says so in an attribute ``made_with``, a mapping
    of strings such as ``{"device": "cuda", "precision": "bf16"}``, after each score.
    """

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Score a network: higher is better, on a scale of the proxy's own.

        The same seed gives the same score.

        Raises:
            ProxyFailed: the network cannot be scored; never NaN, never a stand-in number.
        """


class ProxyFactory(Protocol):
    """What makes a proxy; one takes and ignores what it does not need."""

    def __call__(
        self,
        images: "ImageSource | None",
        recipe: "Recipe | None" = None,
        *,
        compute: Compute = CPU,
    ) -> Proxy:
        """Make the proxy.

        Args:
            images: to score on, without the final validation images among them.
            recipe: of a training.
            compute: device and threads to score with.

        Raises:
            UsageError: what it needs is None.
        """


def needed(given: T | None, proxy: str, what: str) -> T:
    """Return what a proxy was given.

    Args:
        given: what the proxy was given.
        proxy: what the error calls the proxy.
        what: what the error calls the thing needed, such as "images".

    Raises:
        UsageError: it was given None and cannot do without.
    """
    if given is None:
        raise UsageError(f"the proxy {proxy} needs {what}")
    return given


def check_proxy(word: str) -> None:
    """Raise UsageError where ``find_proxy`` would, without importing what a known word names."""
    if word not in PROXIES:
        find_proxy(word)


def is_zero_cost(word: str) -> bool:
    """Whether a proxy is a zero-cost one, bneck's or somebody's, whose scores are no accuracies.

    Args:
        word: as for ``find_proxy``, which takes it.
    """
    if word in PROXIES:
        return PROXIES[word].startswith("bneck.proxies.zero_cost.")
    if word.startswith(SHARED_WEIGHTS):
        return False
    found = find_proxy(word)
    bases = found.__mro__ if isinstance(found, type) else ()
    return any(base.__module__ == "bneck.proxies.zero_cost.base" for base in bases)


def shared_weights_run(word: str | None) -> Path | None:
    """Return the folder of the run that ``shared-weights:RUN`` names; None for any other word."""
    if word is None or not word.startswith(SHARED_WEIGHTS) or word == SHARED_WEIGHTS:
        return None
    return path_of(word.removeprefix(SHARED_WEIGHTS))


def shared_weights_file(run: Path) -> Path:
    """Return the file of shared weights in a run's folder.

    Raises:
        UsageError: there is none.
    """
    if not (run / ELASTIC).is_file():
        raise UsageError(
            f"{run} is not a run of `bneck pretrain --elastic`: it has no file {ELASTIC}"
        )
    return run / ELASTIC


def find_proxy(word: str) -> ProxyFactory:
    """Return what makes the proxy that a word names.

    Args:
        word: one of ``PROXIES``, ``shared-weights:RUN`` or ``package.module:attr``.

    Raises:
        UsageError: none of these, or a run that cannot be read.
    """
    if (run := shared_weights_run(word)) is not None:
        shared_weights_file(run)
        from bneck.proxies.shared_weights import of_run

        return of_run(run)
    factory: ProxyFactory = load_object("proxy", word, PROXIES | {f"{SHARED_WEIGHTS}RUN": ""})
    check_call("proxy", word, factory, None, None, compute=None)
    return factory


def content_of(word: str) -> str | None:
    """Return the SHA-256 of the shared weights, or of one's own module, that a proxy scores with.

    Another time the same word may stand for others. None for bneck's own proxies, and where a
    module has no file.
    """
    run = shared_weights_run(word)
    return own_code(word) if run is None else sha256(shared_weights_file(run))


def own_code(word: str) -> str | None:
    """Return the short SHA-256 of the module of one's own that a proxy is from.

    None for bneck's own proxies, ``shared-weights:RUN`` among them, and for a module without file.
    """
    if word in PROXIES or shared_weights_run(word) is not None:
        return None
    file = getattr(sys.modules[word.partition(":")[0]], "__file__", None)
    return None if file is None else short_sha256(Path(file))
