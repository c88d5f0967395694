"""NetAdapt in a run: from the seed network to one measured at or under each target."""

from dataclasses import dataclass

from bneck import records
from bneck.derivation.calibration_stage import TargetDevice
from bneck.derivation.data_stage import RunData
from bneck.derivation.initial_weights import InitialWeights
from bneck.derivation.session import Session
from bneck.derivation.training_budget import Budget, budget
from bneck.derivation.training_stage import Training, keep_trained, train_from_scratch
from bneck.errors import BneckError
from bneck.files import write_json
from bneck.latency.measure import Measured
from bneck.netadapt.netadapt import NetAdapt
from bneck.netadapt.proposals import GRID
from bneck.proxies.data.worker_images import for_proxies, whole
from bneck.quantities import Accuracy, Latency
from bneck.results.record import Step
from bneck.space import codec as networks
from bneck.space.architecture import Architecture
from bneck.space.backends import weights

TIGHTENINGS = 4
FREE = 0.01
"""What a network may measure longer and still be as fast: two measurements differ by as much."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The network that NetAdapt found for one target.

    ``accuracy`` stands after the short fine-tuning of the step that made it, or after the finish
    where one was asked for; ``met`` where the seed network was at the target already.
    """

    target_ms: float
    arch: Architecture
    step: int
    predicted: Latency
    measured: Latency
    accuracy: Accuracy | None
    met: bool


def netadapt_stage(
    session: Session,
    data: RunData,
    device: TargetDevice,
    targets_ms: tuple[float, ...],
    seed_network: Architecture,
    initial: InitialWeights | None = None,
) -> tuple[Shrunk, ...]:
    """Narrow ``seed_network`` in one pass through all targets; every network on the way is kept.

    Args:
        session: the run, what it asks for, and where proposals are fine-tuned.
        data: what networks are fine-tuned on.
        device: predicts latencies, and measures the network of each target.
        targets_ms: the targets in any order.
        seed_network: the network to begin with.
        initial: its weights; None trains it as the search does.

    Returns:
        The network of each target, the slowest target first; the last is the run's network.

    Raises:
        UsageError: a target that no narrowing reaches.
        BneckError: a network that measures above its target whatever is predicted.
    """
    run = session.run
    waiting = sorted(targets_ms, reverse=True)[len(records.read_lines(run.shrunk, Shrunk)) :]
    if waiting:
        with session.timed("NetAdapt"):
            asked = budget(session.plan, data.info)
            netadapt = _netadapt(session, device, asked, seed_network)
            if not run.steps.exists():
                netadapt.check_reachable(seed_network, min(targets_ms))  # before any training
                trained, state = _seed_training(session, asked, seed_network, initial)
                weights.save(netadapt.weights(0), state)
                netadapt.begin(seed_network, trained.accuracy)
            for target_ms in waiting:
                step, measured = _to_target(session, netadapt, device, target_ms)
                several = len(targets_ms) > 1
                shrunk = _kept(session, netadapt, asked, step, measured, target_ms, several=several)
                records.append(run.shrunk, shrunk)
    return records.read_lines(run.shrunk, Shrunk)


def _netadapt(
    session: Session, device: TargetDevice, asked: Budget, seed_network: Architecture
) -> NetAdapt:
    run, plan, model = session.run, session.plan, device.model
    return NetAdapt(
        model=model,
        images=asked.proxies,
        recipe=asked.fine_tune,
        delta_ms=plan.delta * model.predict(seed_network).ms,
        seed=plan.seed,
        steps=run.steps,
        folder=run.checkpoints / "netadapt",
        grid=max(GRID, model.channel_grid),
        importance=plan.importance,
    )


def _seed_training(
    session: Session, asked: Budget, seed_network: Architecture, initial: InitialWeights | None
) -> tuple[Training, weights.State]:
    """The seed network trained as the search trains, unless it comes with weights.

    Where these are for other classes, they are where that training begins.
    """
    folder = session.run.checkpoints
    images = for_proxies(asked.proxies)
    if initial is not None and initial.same_classes:
        trained = keep_trained(seed_network, initial.state, images, name="seed", folder=folder)
        return trained, initial.state
    return train_from_scratch(
        seed_network,
        images,
        asked.search,
        name="seed",
        folder=folder,
        seed=session.plan.seed,
        progress=session.progress,
        start=initial.state if initial is not None else None,
    )


def _to_target(
    session: Session, netadapt: NetAdapt, device: TargetDevice, target_ms: float
) -> tuple[Step, Measured]:
    """Shrink until the network *measures* at or under the target.

    Where it does not, the goal is tightened by what the model was off, and NetAdapt resumes from
    its last step.
    """
    step = netadapt.done()[-1]
    measured = device.measure(step.arch)
    # A seed that measures at the target meets it: nothing was narrowed that could be unsure.
    if (_sure_ms(device, measured) if step.number else measured.ms) <= target_ms:
        return _widened(session, netadapt, device, step, measured, target_ms)
    goal_ms = target_ms
    for _ in range(TIGHTENINGS):
        step = netadapt.shrink(goal_ms, session.executor, session.progress)[-1]
        measured = device.measure(step.arch)
        if (sure_ms := _sure_ms(device, measured)) <= target_ms:
            return _widened(session, netadapt, device, step, measured, target_ms)
        goal_ms = min(goal_ms, step.latency_ms) * target_ms / sure_ms
    raise BneckError(
        f"the network measures {measured.ms:.3g} ms, above the target of {target_ms:.3g} ms, "
        f"although {step.latency_ms:.3g} ms are predicted: calibrate again on a quieter machine"
    )


def _sure_ms(device: TargetDevice, measured: Measured) -> float:
    """What has to be within the target, so that the network is under it when measured again.

    Above the measurement by its standard error, or by what repeated measurements differed by in
    the calibration, up to FREE.
    """
    repeat = device.model.report.repeat_mape_percent / 100
    return measured.ms + max(measured.std_ms, measured.ms * min(repeat, FREE))


def _widened(
    session: Session,
    netadapt: NetAdapt,
    device: TargetDevice,
    step: Step,
    measured: Measured,
    target_ms: float,
) -> tuple[Step, Measured]:
    """The step with its free channels, unless it is the seed or they measure as not free."""
    wider = netadapt.widened() if step.number > 0 else None
    if wider is None:
        return step, measured
    again = device.measure(wider.arch)
    if again.ms > measured.ms * (1 + FREE) or _sure_ms(device, again) > target_ms:
        return step, measured
    return netadapt.widen(wider, session.executor, session.progress), again


def _kept(
    session: Session,
    netadapt: NetAdapt,
    asked: Budget,
    step: Step,
    measured: Measured,
    target_ms: float,
    *,
    several: bool,
) -> Shrunk:
    """The step's network and weights, finished as asked, in the files of its target."""
    run, plan, arch = session.run, session.plan, step.arch
    state = weights.load(netadapt.weights(step.number), arch)
    accuracy = step.accuracy
    if plan.finish is not None:
        trained, state = train_from_scratch(
            arch,
            whole(asked.proxies),
            asked.final,
            name=f"finished-{target_ms:.4g}ms",
            folder=run.checkpoints,
            seed=plan.seed,
            progress=session.progress,
            start=state if plan.finish == "fine-tune" else None,
        )
        accuracy = trained.accuracy
    files = {run.network: run.weights}
    if several:
        file = run.of_target(target_ms)
        files[file] = file.with_suffix(".safetensors")
    for network, tensors in files.items():
        write_json(network, networks.to_json(arch))
        weights.save(tensors, state)
    return Shrunk(
        target_ms=target_ms,
        arch=arch,
        step=step.number,
        predicted=netadapt.model.predict(arch),
        measured=measured.latency,
        accuracy=accuracy,
        met=step.number == 0,
    )
