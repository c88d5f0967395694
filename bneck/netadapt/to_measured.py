"""Shrinking until the network *measures* under the target, not only by the model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bneck import records
from bneck.errors import BneckError
from bneck.executors import Executor
from bneck.netadapt import rules
from bneck.netadapt.netadapt import NetAdapt
from bneck.progress import Progress, silent
from bneck.quantities import Latency
from bneck.results.record import Step
from bneck.space.architecture import Architecture

Measure = Callable[[Architecture], Latency]


@dataclass(frozen=True, slots=True)
class _Goals:
    """Predicted latencies to shrink to, one after the other, until a target is met by measuring."""

    target_ms: float
    goals_ms: tuple[float, ...]


def shrink_to_measured(
    netadapt: NetAdapt,
    target_ms: float,
    measure: Measure,
    executor: Executor,
    progress: Progress = silent,
    *,
    repeat: float = 0.0,
    found: bool = False,
    passed: bool = False,
    goals: Path | None = None,
) -> tuple[Step, Latency]:
    """Continue ``netadapt`` from its last step to a network that measures under the target.

    The model's error on the networks near the target is measured and taken out of the goal
    (``rules.tighten_the_goal``); then widths that cost nothing grow (``rules.widen_free_widths``).
    A seed network that was given and measures at the target is left as it is.

    Args:
        netadapt: with its step 0 in place.
        target_ms: what the network may take.
        measure: times a network on the target device.
        executor: where proposals are fine-tuned.
        progress: called after every fine-tuning.
        repeat: relative error of measuring again, as the calibration saw it.
        found: whether a search found the seed network; see ``rules.meets``.
        passed: whether steps may have gone on to a faster target already: then it is the first of
            them that measures under this one.
        goals: file that keeps what is aimed at: after an interruption the same steps follow,
            whatever the network measures then; None keeps nothing.

    Raises:
        UsageError: no narrowing is predicted under the target.
        BneckError: every proposal of a step failed, or the network still measures above the target
            after the goal was tightened four times.
    """
    step, measured = _under_target(
        netadapt, target_ms, measure, executor, progress, repeat, found, passed, goals
    )
    wider = netadapt.widened(step) if step.number else None
    after = netadapt.done()[step.number + 1 :]
    if wider is None or (after and after[0].arch != wider.arch):  # narrowed further as it was
        return step, measured
    again = measure(wider.arch)
    if not rules.widen_free_widths(again, measured, target_ms, repeat):
        return step, measured
    return after[0] if after else netadapt.widen(wider, executor, progress), again


def _under_target(
    netadapt: NetAdapt,
    target_ms: float,
    measure: Measure,
    executor: Executor,
    progress: Progress,
    repeat: float,
    found: bool,
    passed: bool,
    goals: Path | None,
) -> tuple[Step, Latency]:
    known = records.read_if_written(goals, _Goals) if goals is not None else None
    if known is not None and known.target_ms == target_ms and known.goals_ms:
        goals_ms = known.goals_ms
    else:
        for step in _taken(netadapt, target_ms, passed):
            measured = measure(step.arch)
            if rules.meets(measured, target_ms, repeat, given=not found and step.number == 0):
                return step, measured
        goals_ms = (target_ms,)
    while True:
        if goals is not None:
            records.write(goals, _Goals(target_ms, goals_ms))
        step = netadapt.shrink(goals_ms[-1], executor, progress)[-1]
        measured = measure(step.arch)
        sure_ms = rules.sure_ms(measured, repeat)
        if sure_ms <= target_ms:
            return step, measured
        if len(goals_ms) > rules.TIGHTENINGS:
            break
        tighter_ms = rules.tighten_the_goal(goals_ms[-1], step.latency_ms, sure_ms, target_ms)
        goals_ms = (*goals_ms, tighter_ms)
    raise BneckError(
        f"the network measures {measured.ms:.3g} ms, above the target of {target_ms:.3g} ms, "
        f"although {step.latency_ms:.3g} ms are predicted: calibrate again on a quieter machine"
    )


def _taken(netadapt: NetAdapt, target_ms: float, passed: bool) -> list[Step]:
    """The steps that there are already of which one may measure under the target."""
    *before, last = netadapt.done()
    if not passed or last.latency_ms > target_ms:  # no step has gone beyond this target
        before = []
    return [*(one for one in before if one.number == 0 or one.latency_ms <= target_ms), last]
