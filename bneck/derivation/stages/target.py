"""What the plan's targets are in ms, and whether the space can meet them at all."""

from collections.abc import Callable, Sequence
from functools import cache, partial

from bneck.derivation import target
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.target_device import TargetDevice
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.latency.devices import Device
from bneck.latency.devices.table import TableDevice
from bneck.latency.measure import quick_latency_ms
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.netadapt.proposals import ProposalGenerator
from bneck.results.networks import load_network
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost

UNSURE = 1.25
"""The network of fewest multiply-adds need not be the fastest: refused is what this cannot span."""


def target_stage(session: Session, data: RunData, device: TargetDevice) -> tuple[float, ...]:
    """Return the plan's targets in ms; relative ones are measured once, and kept in the run.

    Args:
        session: the run and its plan.
        data: gives side and classes of the networks that relative targets name.
        device: measures these networks.

    Raises:
        UsageError: two targets that are the same to four digits, by which their files are named.
    """
    run, asked = session.run, session.plan.aimed_at
    known = target.kept_targets(run)
    if len(known) < len(asked):
        more = _in_ms(asked[len(known) :], data, lambda arch: device.measure(arch).ms)
        found = [*known, *more]
        for place, ms in enumerate(found):
            if run.of_target(ms) in map(run.of_target, found[:place]):
                raise UsageError(f"targets: {asked[place]} is another of {ms:.4g} ms: leave it out")
        target.keep_targets(run, found)
    return target.kept_targets(run)


def check_feasible(session: Session, data: RunData, space: Space) -> None:
    """Refuse a target that the space cannot meet, in seconds, before minutes of calibration.

    The networks of fewest and of most multiply-adds are timed briefly. What is near the edge is
    left to the calibrated model.

    Args:
        session: the run and its plan; nothing is done where either has a latency model.
        data: gives side and classes of the networks that relative targets name.
        space: the networks to choose from.

    Raises:
        UsageError: the smallest network takes too long for a target, the largest is too fast, or
            the device is a table that lacks blocks of the space.
    """
    plan, device = session.plan, _not_calibrated(session)
    if device is None:
        return
    if isinstance(device, TableDevice):
        device.published.check_space(space)
    about_ms = cache(partial(quick_latency_ms, device))
    smallest = space.least(lambda arch: cost(arch).macs)
    largest = space.least(lambda arch: -cost(arch).macs)
    for ms in _in_ms(plan.aimed_at, data, about_ms):
        if about_ms(smallest) > ms * plan.seed_factor * UNSURE:
            raise UsageError(
                f"no network of space {space.name} meets a target of {ms:.3g} ms on this device: "
                f"the smallest takes about {about_ms(smallest):.3g} ms"
            )
        if about_ms(largest) * UNSURE < ms:
            raise UsageError(
                f"no network of space {space.name} is as slow as {ms:.3g} ms on this device: the "
                f"largest takes about {about_ms(largest):.3g} ms; give a lower target or a larger "
                "space"
            )


def check_narrowable(session: Session, data: RunData, network: Architecture) -> None:
    """Refuse a target that no narrowing of ``network`` comes near, before a calibration.

    The narrowest network, as far as multiply-adds tell, is timed briefly.

    Args:
        session: the run and its plan; nothing is done where either has a latency model, or the
            device a table.
        data: gives side and classes of the networks that relative targets name.
        network: the one that is to be narrowed.

    Raises:
        UsageError: the narrowest network takes too long for a target.
    """
    plan, device = session.plan, _not_calibrated(session)
    if device is None or device.published is not None:
        return
    about_ms = cache(partial(quick_latency_ms, device))
    narrowest_ms = about_ms(ProposalGenerator(MacsRuntime()).fastest(network))
    for ms in _in_ms(plan.aimed_at, data, about_ms):
        if narrowest_ms > ms * UNSURE:
            raise UsageError(
                f"no narrowing of {plan.seed_network} reaches {ms:.3g} ms on this device: the "
                f"narrowest takes about {narrowest_ms:.3g} ms"
            )


def _not_calibrated(session: Session) -> Device | None:
    """The target device; None with a latency model already, or where nothing can be timed now."""
    run, plan = session.run, session.plan
    if is_written(run.latency) or plan.latency is not None:
        return None
    device = session.target_device()
    return None if device.by_hand else device


def _in_ms(
    targets: Sequence[str], data: RunData, measured_ms: Callable[[Architecture], float]
) -> list[float]:
    """The targets in ms, the networks they name measured by ``measured_ms``, each once."""

    @cache
    def network_ms(network: str, resolution_px: int | None) -> float:
        arch = load_network(network, **data.size)
        return measured_ms(arch.at(resolution_px=resolution_px))

    return [target.resolve(text, network_ms) for text in targets]
