"""NetAdapt in a run: from the seed network to one measured at or under each target."""

from dataclasses import replace
from pathlib import Path

from bneck import records
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.netadapt_seed import met_by_seed, seed_training
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.stages.training import train_alone
from bneck.derivation.training_budget import Budget, budget
from bneck.files import is_written
from bneck.netadapt.netadapt import NetAdapt
from bneck.netadapt.proposals import GRID
from bneck.netadapt.to_measured import shrink_to_measured
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.parent import Parent


def netadapt_stage(
    session: Session,
    data: RunData,
    device: TargetDevice,
    targets_ms: tuple[float, ...],
    seed_network: Architecture,
    parent: Parent | None = None,
    *,
    retrained: bool = False,
    given: bool = True,
) -> tuple[Shrunk, ...]:
    """Narrow ``seed_network`` in one pass through all targets; every network on the way is kept.

    Args:
        session: the run, what it asks for, and where proposals are fine-tuned.
        data: what networks are fine-tuned on.
        device: predicts latencies, and measures the network of each target.
        targets_ms: the targets in any order.
        seed_network: the network to begin with.
        parent: the trained network that it inherits from; None trains it from random weights.
        retrained: whether what comes out is trained afterwards: a seed network that meets all
            targets is then not trained here, since nothing would use its weights.
        given: whether the seed network was given; one that a search found must stay under its
            target when it is measured again.

    Returns:
        The network of each target, the slowest target first; the last is the run's network.

    Raises:
        UsageError: a target that no narrowing reaches.
        BneckError: a network that measures above its target whatever is predicted.
    """
    run, several = session.run, len(targets_ms) > 1
    known = records.read_lines(run.shrunk, Shrunk)
    reached = {one.target_ms for one in known}
    waiting = [ms for ms in sorted(targets_ms, reverse=True) if ms not in reached]
    if not waiting:
        return known
    with session.timed("NetAdapt"):
        asked = budget(session.plan, data.info)
        netadapt = _netadapt(session, device, asked, seed_network)
        if is_written(run.steps):  # before any file is written, so that a mistake changes nothing
            netadapt.check_reachable(netadapt.done()[-1].arch, min(waiting))
        else:
            if retrained:
                kept = netadapt.folder / "seed.json"
                if met := met_by_seed(seed_network, waiting, device, given=given, kept=kept):
                    records.write(run.network, seed_network)
                    for one in met:
                        records.append(run.shrunk, one)
                    return met
            netadapt.check_reachable(seed_network, min(targets_ms))  # before any training
            trained, state = seed_training(session, asked, seed_network, parent)
            weights.save(netadapt.weights(0), state)
            netadapt.begin(seed_network, trained.accuracy)
        if several and len(known) == 1:
            _give_own_files(run, known[0])
        for target_ms in waiting:
            passed = target_ms > min(targets_ms)
            chosen = _chosen(session, device, netadapt, target_ms, given=given, passed=passed)
            fastest = all(target_ms < one.target_ms for one in known)
            files = {run.network: run.weights} if fastest else {}
            files |= _own_files(run, target_ms) if several else {}
            shrunk = _kept(session, netadapt, asked, chosen, files)
            known = tuple(sorted((*known, shrunk), key=lambda one: -one.target_ms))
            records.write_lines(run.shrunk, known)
    return records.read_lines(run.shrunk, Shrunk)


def tuned_weights(run: Run, shrunk: Shrunk) -> Path:
    """The file of a network's weights as the step's fine-tuning left them, if it was tuned."""
    return _folder(run) / f"{shrunk.step:03d}.safetensors"


def _folder(run: Run) -> Path:
    return run.checkpoints / "netadapt"


def _netadapt(
    session: Session, device: TargetDevice, asked: Budget, seed_network: Architecture
) -> NetAdapt:
    run, plan, model = session.run, session.plan, device.model
    return NetAdapt(
        model=model,
        images=asked.images,
        recipe=asked.fine_tune,
        delta_ms=plan.delta * model.predict(seed_network).ms,
        seed=plan.seed,
        steps=run.steps,
        folder=_folder(run),
        executor=session.executor,
        progress=session.progress,
        grid=max(GRID, model.channel_grid),
        importance=plan.importance,
        compute=plan.compute(threads=1),
    )


def _chosen(
    session: Session,
    device: TargetDevice,
    netadapt: NetAdapt,
    target_ms: float,
    *,
    given: bool,
    passed: bool,
) -> Shrunk:
    """The network for a target, not finished yet; written down, as measured again it may not be it.

    ``given`` and ``passed`` are what ``shrink_to_measured`` takes.
    """
    file = _folder(session.run) / session.run.of_target(target_ms).name
    known = records.read_if_written(file, Shrunk)
    if known is not None and known.target_ms == target_ms:
        return known
    step, latency = shrink_to_measured(
        netadapt,
        target_ms,
        device.at_most,
        goals=file.with_suffix(".goals.json"),
        repeat=device.repeat_error(),
        given=given,
        passed=passed,
    )
    chosen = Shrunk(
        target_ms=target_ms,
        arch=step.arch,
        step=step.number,
        predicted=netadapt.model.predict(step.arch),
        measured=None if device.only_predicts(step.arch) else latency,
        accuracy=step.accuracy,
        met=step.number == 0,
    )
    records.write(file, chosen)
    return chosen


def _kept(
    session: Session, netadapt: NetAdapt, asked: Budget, chosen: Shrunk, files: dict[Path, Path]
) -> Shrunk:
    """The network, finished as asked, in files of it and of its weights."""
    plan, arch = session.plan, chosen.arch
    state = weights.load(netadapt.weights(chosen.step), arch)
    if plan.finish is not None:
        trained, state = train_alone(
            session,
            asked,
            arch,
            name=f"finished-{chosen.target_ms:.4g}ms",
            start=state if plan.finish == "fine-tune" else None,
        )
        chosen = replace(chosen, accuracy=trained.accuracy)
    _save(arch, state, files)
    return chosen


def _give_own_files(run: Run, alone: Shrunk) -> None:
    """Give the network of the only target so far files of its own, now that there are more."""
    if not is_written(run.of_target(alone.target_ms)):
        state = weights.load(run.weights, alone.arch)
        _save(alone.arch, state, _own_files(run, alone.target_ms))


def _own_files(run: Run, target_ms: float) -> dict[Path, Path]:
    """The file of a target's network, where there are several, and that of its weights."""
    file = run.of_target(target_ms)
    return {file: file.with_suffix(".safetensors")}


def _save(arch: Architecture, state: weights.State, files: dict[Path, Path]) -> None:
    for network, tensors in files.items():
        weights.save(tensors, state)
        records.write(network, arch)
