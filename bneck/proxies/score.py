"""Compare proxies with a table of networks whose accuracies are known."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from bneck.errors import BneckError, ProxyFailed
from bneck.progress import Progress, silent
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import PROXIES, Proxy, find_proxy
from bneck.proxies.score_cache import ScoreCache
from bneck.proxies.surrogate.correlation import Interval, bootstrap, in_band, kendall, spearman
from bneck.proxies.surrogate.table import Table
from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.quantities import is_finite
from bneck.space.architecture import Architecture
from bneck.space.cost import cost

MIN_SCORED = 5
_TIMED = 5
"""Networks at first whose proxies share no passes, so that each proxy's own time is known."""
_BOOTSTRAPS = 400

Cost = Callable[[Architecture], float]
Scored = tuple[float | None, float, str | None]
"""What a proxy found of a network: its score, the seconds it took, and why there is no score."""


def macs(arch: Architecture) -> float:
    """Return the multiply-adds, the cost that bands are made of unless a latency model is given."""
    return float(cost(arch).macs)


@dataclass(slots=True)
class _Read:
    """What one proxy found of all networks.

    Attributes:
        scores: by network; those that failed are missing.
        seconds: that each of the first networks took, whose passes it shared with none.
        failures: why a network has no score.
    """

    scores: dict[Architecture, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failures: dict[Architecture, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one proxy, or one column of the table, ranks the networks.

    Attributes:
        scores: by network; those that failed are missing.
        spearman, kendall: rank correlation with the table's accuracy.
        in_band: Spearman's correlation among networks of similar cost.
        seconds: the proxy takes for one network; None for a column of the table.
        failures: one line for each network that could not be scored, with its number in the table.
    """

    scores: Mapping[Architecture, float]
    spearman: Interval
    kendall: float
    in_band: Interval
    seconds: float | None = None
    failures: tuple[str, ...] = ()


def zero_cost_words(*, images: bool) -> list[str]:
    """Return the words of the zero-cost proxies; without images, of those that need none."""
    kinds = {word: find_proxy(word) for word in PROXIES}
    return [
        word
        for word, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, ZeroCost)
        if images or not kind.needs_images
    ]


def score_columns(table: Table, *, band: Cost = macs, seed: int = 0) -> dict[str, Agreement]:
    """Compare the table's other columns: accuracy after fewer epochs, of a single run, ...

    Args:
        table: networks, their accuracies and the other columns.
        band: cost that puts networks into bands.
        seed: decides the bootstrap's samples.
    """
    return {
        name: _agreement(table, scores, band, seed)
        for name, scores in table.columns.items()
        if len(scores) >= MIN_SCORED
    }


def score_proxies(
    table: Table,
    proxies: Mapping[str, Proxy],
    *,
    images: ImageSource | None = None,
    band: Cost = macs,
    networks: int = 200,
    seed: int = 0,
    progress: Progress = silent,
    cache: ScoreCache | None = None,
) -> dict[str, Agreement]:
    """Compare proxies with the table's accuracies.

    Zero-cost proxies share their passes; those that only count are scored on the whole table.

    Args:
        table: networks and their accuracies.
        proxies: by word.
        images: that zero-cost proxies read.
        band: cost that puts networks into bands.
        networks: at most so many are scored, drawn by ``seed``; five at least.
        seed: also decides the networks' weights.
        progress: told of every network.
        cache: networks in it are not scored again.

    Raises:
        ProxyFailed: a proxy scores fewer than five networks; says why the first one failed.
    """
    whole = list(table.accuracies)
    sample = Random(seed).sample(whole, min(networks, len(whole)))
    free = {w: p for w, p in proxies.items() if isinstance(p, ZeroCost) and p.counts_only}
    costly = {w: p for w, p in proxies.items() if w not in free}
    read = _read(free, whole, None, seed, progress)
    read |= _read(costly, sample, images, seed, progress, cache)
    numbers = {arch: number for number, arch in enumerate(whole, start=1)}
    agreements = {}
    for word in proxies:
        own = read[word]
        failures = tuple(f"network {numbers[arch]}: {why}" for arch, why in own.failures.items())
        if len(own.scores) < MIN_SCORED:
            raise ProxyFailed(
                f"{word} scores {len(own.scores)} of {len(own.scores) + len(failures)} networks: "
                f"{failures[0]}"
            )
        agreements[word] = _agreement(
            table, own.scores, band, seed, seconds=median(own.seconds), failures=failures
        )
    return agreements


def _read(
    proxies: Mapping[str, Proxy],
    archs: Sequence[Architecture],
    images: ImageSource | None,
    seed: int,
    progress: Progress,
    cache: ScoreCache | None = None,
) -> dict[str, _Read]:
    """Return by word what each proxy found. The first few networks share no passes."""
    read = {word: _Read() for word in proxies}
    for number, arch in enumerate(archs if proxies else ()):
        row = cache.get(arch) if cache else None
        if row is None:
            row = _row(proxies, arch, images, seed, alone=number < _TIMED)
            if cache:
                cache.put(arch, row)
        for word, (score, spent, failure) in row.items():
            if failure is not None:
                read[word].failures[arch] = failure
            elif score is not None:
                read[word].scores[arch] = score
            if number < _TIMED:
                read[word].seconds.append(spent)
        progress("scoring", number + 1, len(archs))
    return read


def _row(
    proxies: Mapping[str, Proxy],
    arch: Architecture,
    images: ImageSource | None,
    seed: int,
    *,
    alone: bool,
) -> dict[str, Scored]:
    """Score one network by each proxy, by word; ``alone``, no passes are shared."""
    shared = Passes(arch, images, seed=seed)
    row: dict[str, Scored] = {}
    for word, proxy in proxies.items():
        score: float | None = None
        failure: str | None = None
        began = time.perf_counter()
        try:
            if isinstance(proxy, ZeroCost) and not alone:
                score = proxy.read(shared)
            else:
                score = proxy(arch, seed=seed)
            if not is_finite(score):
                raise ProxyFailed(f"it gave {score!r:.60}, not a finite number")
        except ProxyFailed as error:
            score, failure = None, str(error)
        except BneckError:  # which is no matter of this network
            raise
        except Exception as error:  # of a proxy of the user's own
            score, failure = None, f"{type(error).__name__}: {error}"
        row[word] = (score, time.perf_counter() - began, failure)
    return row


def _agreement(
    table: Table,
    scores: Mapping[Architecture, float],
    band: Cost,
    seed: int,
    *,
    seconds: float | None = None,
    failures: tuple[str, ...] = (),
) -> Agreement:
    values = list(scores.values())
    truth = [table.accuracies[arch] for arch in scores]
    costs = [band(arch) for arch in scores]
    return Agreement(
        scores,
        bootstrap(spearman, values, truth, seed=seed, samples=_BOOTSTRAPS),
        kendall(values, truth),
        bootstrap(in_band, values, truth, costs, seed=seed, samples=_BOOTSTRAPS),
        seconds,
        failures,
    )
