"""Shrinking until the network *measures* under the target, not only by the model."""

from collections.abc import Callable

from bneck.errors import BneckError
from bneck.executors import Executor
from bneck.netadapt import rules
from bneck.netadapt.netadapt import NetAdapt
from bneck.progress import Progress, silent
from bneck.quantities import Latency
from bneck.results.record import Step
from bneck.space.architecture import Architecture

Measure = Callable[[Architecture], Latency]


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

    Raises:
        UsageError: no narrowing is predicted under the target.
        BneckError: every proposal of a step failed, or the network still measures above the target
            after the goal was tightened four times.
    """
    step, measured = _under_target(
        netadapt, target_ms, measure, executor, progress, repeat, found, passed
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
) -> tuple[Step, Latency]:
    *before, last = netadapt.done()
    if not passed or last.latency_ms > target_ms:  # no step has gone beyond this target
        before = []
    under = [one for one in before if one.number == 0 or one.latency_ms <= target_ms]
    for step in [*under, last]:
        measured = measure(step.arch)
        if rules.meets(measured, target_ms, repeat, given=not found and step.number == 0):
            return step, measured
    goal_ms = target_ms
    for _ in range(rules.TIGHTENINGS):
        step = netadapt.shrink(goal_ms, executor, progress)[-1]
        measured = measure(step.arch)
        sure_ms = rules.sure_ms(measured, repeat)
        if sure_ms <= target_ms:
            return step, measured
        goal_ms = rules.tighten_the_goal(goal_ms, step.latency_ms, sure_ms, target_ms)
    raise BneckError(
        f"the network measures {measured.ms:.3g} ms, above the target of {target_ms:.3g} ms, "
        f"although {step.latency_ms:.3g} ms are predicted: calibrate again on a quieter machine"
    )
