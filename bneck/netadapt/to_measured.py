"""Shrinking until the network *measures* under the target, not only by the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bneck import records
from bneck.errors import BneckError, OutOfReach
from bneck.netadapt import rules
from bneck.netadapt.netadapt import NetAdapt
from bneck.quantities import Latency
from bneck.results.record import Step
from bneck.space.architecture import Architecture

Measure = Callable[[Architecture], Latency]


@dataclass(frozen=True, slots=True)
class _MeasuredStep:
    """What the network of a step measured."""

    step: int
    latency: Latency


@dataclass(frozen=True, slots=True)
class _Goals:
    """Predicted latencies to shrink to, one after the other, until a target is met by measuring.

    ``measured`` has the networks that were measured since the last goal was set.
    """

    target_ms: float
    goals_ms: tuple[float, ...] = ()
    measured: tuple[_MeasuredStep, ...] = ()


class _KeptGoals:
    """The goals of a target, and what networks measured; kept in a file."""

    def __init__(self, file: Path, target_ms: float, measure: Measure) -> None:
        self._file, self._measure = file, measure
        known = records.read_if_written(file, _Goals)
        self._goals = known if known and known.target_ms == target_ms else _Goals(target_ms)

    @property
    def goals_ms(self) -> tuple[float, ...]:
        return self._goals.goals_ms

    def aim_at(self, goal_ms: float) -> None:
        """Set the next goal."""
        self._keep(_Goals(self._goals.target_ms, (*self.goals_ms, goal_ms)))

    def latency(self, step: int, arch: Architecture) -> Latency:
        """Return what the network of a step measures, or measured before an interruption."""
        for one in self._goals.measured:
            if one.step == step:
                return one.latency
        found = _MeasuredStep(step, self._measure(arch))
        self._keep(replace(self._goals, measured=(*self._goals.measured, found)))
        return found.latency

    def forget(self) -> None:
        """Keep nothing, as the same goals lead nowhere: the next call measures again."""
        self._file.unlink(missing_ok=True)

    def _keep(self, goals: _Goals) -> None:
        self._goals = goals
        records.write(self._file, goals)


def shrink_to_measured(
    netadapt: NetAdapt,
    target_ms: float,
    measure: Measure,
    *,
    goals: Path,
    repeat: float = 0.0,
    given: bool = True,
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
        goals: file that keeps what is aimed at, and what networks measured: after an interruption
            the same steps follow, whatever they measure then.
        repeat: relative error of measuring again, as the calibration saw it.
        given: whether the seed network was given, and not found by a search; see ``rules.meets``.
        passed: whether steps may have gone on to a faster target already: then it is the first of
            them that measures under this one.

    Raises:
        OutOfReach: no narrowing is predicted under the target.
        BneckError: every proposal of a step failed, or the network still measures above the target
            after the goal was tightened four times.
    """
    kept = _KeptGoals(goals, target_ms, measure)
    step, measured = _under_target(netadapt, target_ms, kept, repeat, given, passed)
    wider = netadapt.widened(step) if step.number else None
    after = netadapt.done()[step.number + 1 :]
    if wider is None or (after and after[0].arch != wider.arch):  # narrowed further as it was
        return step, measured
    again = kept.latency(step.number + 1, wider.arch)
    if not rules.widen_free_widths(again, measured, target_ms, repeat):
        return step, measured
    widened = after[0] if after else netadapt.widen(wider)
    return (step, measured) if widened is None else (widened, again)


def _under_target(
    netadapt: NetAdapt, target_ms: float, kept: _KeptGoals, repeat: float, given: bool, passed: bool
) -> tuple[Step, Latency]:
    if not kept.goals_ms:
        for step in _taken(netadapt, target_ms, passed):
            measured = kept.latency(step.number, step.arch)
            if rules.meets(measured, target_ms, repeat, given=given and step.number == 0):
                return step, measured
        kept.aim_at(target_ms)
    while True:
        try:
            step = netadapt.shrink(kept.goals_ms[-1])[-1]
        except OutOfReach:  # so low a goal may have come of a measurement on a busy device
            kept.forget()
            raise
        measured = kept.latency(step.number, step.arch)
        sure_ms = rules.sure_ms(measured, repeat)
        if sure_ms <= target_ms:
            return step, measured
        if len(kept.goals_ms) > rules.TIGHTENINGS:
            break
        goal_ms = kept.goals_ms[-1]
        kept.aim_at(rules.tighten_the_goal(goal_ms, step.latency_ms, sure_ms, target_ms))
    kept.forget()
    raise BneckError(
        f"the network measures {measured.ms:.3g} ms, above the target of {target_ms:.3g} ms, "
        f"although {step.latency_ms:.3g} ms are predicted: run the same command on a "
        "quieter machine to narrow further, or calibrate again in another --out"
    )


def _taken(netadapt: NetAdapt, target_ms: float, passed: bool) -> list[Step]:
    """The steps that there are already of which one may measure under the target."""
    *before, last = netadapt.done()
    if not passed or last.latency_ms > target_ms:  # no step has gone beyond this target
        before = []
    return [*(one for one in before if one.number == 0 or one.latency_ms <= target_ms), last]
