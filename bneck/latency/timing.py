"""Drift-corrected timing: warm chunks of runs that alternate with chunks of a fixed reference.

A shared machine drifts by more than networks differ, so what is measured is a ratio: each chunk is
divided by the chunks of the reference just before and just after it. Runs stay in chunks because
alternating single runs would find a cold cache each time, which is not what anyone deploys.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bneck.errors import BneckError

Run = Callable[[], object]
Clock = Callable[[], float]
"""Nanoseconds from any origin; a synthetic device brings its own."""

CALIBRATION_MINUTES = 5.0
"""Default length of a calibration."""
MAX_MINUTES = 10_000
"""A week: the longest that a calibration, or a wait for a quiet device, can be asked to take."""
CHUNK_NS = 15_000_000
MIN_RUNS, MAX_RUNS = 5, 60
"""Fewest and most runs of a chunk, which is to take about CHUNK_NS."""
DROPPED = 2
"""Runs at the beginning of a chunk that do not count: they warm the cache."""
MEDIAN_SCATTER = 1.2533
"""Scatter of the median of n normal values, relative to that of their mean."""
FEW_VALUES = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.2, 7: 1.14, 8: 1.129, 9: 1.107}
"""Factor by which the median absolute deviation of n normal values is too small."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to time one network.

    Attributes:
        wanted: relative standard error of the ratio at which to stop.
        min_pairs: fewest pairs of chunks, however steady they are.
        max_pairs: most pairs; when they do not suffice the timing says ``quiet=False``.
    """

    wanted: float = 0.01
    min_pairs: int = 6
    max_pairs: int = 60


@dataclass(frozen=True, slots=True)
class Timing:
    """One measurement: ``ratio`` to the reference, and how far it can be trusted.

    ``spread`` is the standard error of the ratio, relative to it. ``reference_ms`` is the median
    warm run of the reference meanwhile, and ``reference_spread`` how far its chunks scattered
    (relative, robust): the machine's own unrest. ``quiet`` says that ``spread`` is as narrow as was
    asked. ``core_share`` is the share of the time that the runs had their core.
    """

    ratio: float
    spread: float
    reference_ms: float
    reference_spread: float
    pairs: int
    quiet: bool
    core_share: float = 1.0

    @property
    def ms(self) -> float:
        return self.ratio * self.reference_ms


def compare(
    run: Run,
    reference: Run,
    effort: Effort = Effort(),
    *,
    clock: Clock = time.perf_counter_ns,
    on_cpu: Clock | None = None,
) -> Timing:
    """Time ``run`` against ``reference``, adding pairs of chunks until the spread is as wanted.

    Args:
        run: runs the network once.
        reference: runs the reference once.
        effort: when to stop.
        clock: tells nanoseconds.
        on_cpu: nanoseconds that the runs had a core; None where that means nothing.
    """
    begun, begun_on_cpu = time.perf_counter_ns(), on_cpu() if on_cpu else 0
    runs, reference_runs = _chunk_runs(run, clock), _chunk_runs(reference, clock)
    timing = alternated(
        lambda: _chunk(run, runs, clock), lambda: _chunk(reference, reference_runs, clock), effort
    )
    if not on_cpu:
        return timing
    share = min(1.0, (on_cpu() - begun_on_cpu) / (time.perf_counter_ns() - begun))
    return replace(timing, core_share=share)


def alternated(
    chunk: Callable[[], float], reference_chunk: Callable[[], float], effort: Effort
) -> Timing:
    """Time chunks that alternate with the reference's until the spread is as wanted.

    Args:
        chunk: times some warm runs and returns their median, in ns.
        reference_chunk: the same of the reference.
        effort: when to stop.
    """
    references = [reference_chunk()]
    ratios: list[float] = []
    while True:
        own = chunk()
        references.append(reference_chunk())
        ratios.append(2 * own / (references[-2] + references[-1]))
        spread = standard_error(ratios)
        quiet = spread <= effort.wanted and len(ratios) >= effort.min_pairs
        if quiet or len(ratios) >= effort.max_pairs:
            break
    return Timing(
        ratio=statistics.median(ratios),
        spread=spread,
        reference_ms=statistics.median(references) / 1e6,
        reference_spread=_robust_deviation(references) / statistics.median(references),
        pairs=len(ratios),
        quiet=quiet,
    )


def pooled(repetitions: Sequence[Timing], wanted: float) -> Timing:
    """One timing of several, each of which prepared network and reference again.

    ``spread`` is the standard error of the median of their ratios, and no less than what they say
    of themselves would make it.
    """
    ratios = [one.ratio for one in repetitions]
    of_each, count = statistics.median(one.spread for one in repetitions), len(repetitions)
    scatter = MEDIAN_SCATTER if count > 2 else 1.0  # the median of two is their mean
    spread = max(standard_error(ratios), scatter * of_each / math.sqrt(count))
    return Timing(
        ratio=statistics.median(ratios),
        spread=spread,
        reference_ms=statistics.median(one.reference_ms for one in repetitions),
        reference_spread=statistics.median(one.reference_spread for one in repetitions),
        pairs=sum(one.pairs for one in repetitions),
        quiet=spread <= wanted,
        core_share=statistics.fmean(one.core_share for one in repetitions),
    )


def standard_error(ratios: list[float]) -> float:
    """Relative standard error of the median of ``ratios``, from their median absolute deviation."""
    relative: float = _robust_deviation(ratios) / statistics.median(ratios)
    return MEDIAN_SCATTER * relative / math.sqrt(len(ratios))


def _robust_deviation(values: list[float]) -> float:
    """Standard deviation, from the median absolute one, which is too small for few values.

    By how much: Croux and Rousseeuw 1992, "Time-Efficient Algorithms for Two Highly Robust
    Estimators of Scale", section 2.
    """
    middle, count = statistics.median(values), len(values)
    deviation: float = statistics.median(abs(value - middle) for value in values)
    return 1.4826 * FEW_VALUES.get(count, count / (count - 0.8)) * deviation


def _chunk_runs(run: Run, clock: Clock) -> int:
    """How many runs make a chunk of about CHUNK_NS, judged by a few warm ones."""
    typical = _chunk(run, MIN_RUNS, clock)
    return min(MAX_RUNS, max(MIN_RUNS, round(CHUNK_NS / typical)))


def _chunk(run: Run, runs: int, clock: Clock) -> float:
    """Median nanoseconds of ``runs`` warm runs."""
    for _ in range(DROPPED):
        run()
    times: list[float] = []
    for _ in range(runs):
        start = clock()
        run()
        times.append(clock() - start)
    median: float = statistics.median(times)
    if median <= 0:
        raise BneckError("the clock did not move during a run: too short to be timed")
    return median
