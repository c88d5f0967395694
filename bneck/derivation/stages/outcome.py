"""The end of a derivation: the network measured, compared, exported and written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bneck import records
from bneck.derivation.evaluation import evaluate_network
from bneck.derivation.report import write_report
from bneck.derivation.schedule import MEASURING
from bneck.derivation.session import Session
from bneck.derivation.similarity import similarity_to
from bneck.derivation.stages.export import export_network
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.target import runs_of_other_targets
from bneck.derivation.trained_networks import load_trained
from bneck.errors import BneckError
from bneck.files import is_written
from bneck.latency.devices.file import FileDevice
from bneck.latency.measure import Measured, measure
from bneck.latency.model import load
from bneck.latency.warn import check_device
from bneck.quantities import difference
from bneck.results import metadata
from bneck.results.exports import IN_8_BITS, int8
from bneck.results.record import Baseline, Int8, Outcome
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk, Training
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.choices import Space
from bneck.space.cost import cost
from bneck.space.presets import MOBILENET_V3_SMALL

RANDOM_NETWORKS = 200
"""Networks that the derived one's similarity is judged against: a few seconds' work."""

MOST_IN_MATRIX = 100
"""Most classes of which a confusion matrix is kept: it has their square of numbers."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What NetAdapt ended with for one of the targets, and what its final training is called."""

    session: Session
    shrunk: Shrunk
    name: str


def outcome_stage(
    session: Session,
    target: Derived,
    named: Derived,
    trained: Mapping[str, Training],
    device: TargetDevice,
    space: Space,
) -> None:
    """Measure, compare and export the network that is named for a target; keep the outcome.

    Args:
        session: the whole run's, which keeps the trained weights.
        target: what was derived for the target.
        named: the same, or what was derived for a faster target and is more accurate.
        trained: how the final trainings ended, by name.
        device: predicts and measures the network.
        space: that it is from; random networks of it are what similarity is judged against.
    """
    own, run = target.session, target.session.run
    if not is_written(run.result):
        if own is not session:
            own.note_seconds("final training", trained[target.name].seconds)  # again after a kill
        arch, training = named.shrunk.arch, trained[named.name]
        baseline = trained[MOBILENET_V3_SMALL]
        state = weights.load(session.run.training(named.name).weights, arch)
        took = _measured(own, device, arch, state)
        measured = None if took.predicted else took.latency
        if isinstance(device.device, FileDevice) and measured is None:
            device.device.offer(arch, weights.arrays(state))
        _compare_with_published(own, device, space, arch)
        export_network(run, arch, state, metadata.measured(training.accuracy, measured))
        _classify(own)
        counted, derived_for_ms = cost(arch), named.shrunk.target_ms
        outcome = Outcome(
            arch=arch,
            target_ms=target.shrunk.target_ms,
            predicted=device.model.predict(arch),
            measured=measured,
            accuracy=training.accuracy,
            params=counted.params,
            macs=counted.macs,
            seconds=_seconds(run),
            note=took.note,
            test_accuracy=training.test_accuracy,
            derived_for_ms=None if derived_for_ms == target.shrunk.target_ms else derived_for_ms,
            int8=_in_8_bits(own, arch),
            lead=difference(training.accuracy, baseline.accuracy, training.right, baseline.right),
        )
        records.write(run.result, outcome)
    if own is not session:
        write_report(run)


def measured_by_now(session: Session, run: Run) -> bool:
    """Replace a prediction by what a kit has measured since; returns whether there is any.

    Args:
        session: the whole run's, on a device that a kit is carried to.
        run: the run itself, or that of another of its targets; finished.

    Raises:
        UsageError: it was measured on another device than the run's latency model is of.
    """
    outcome = records.read(run.result, Outcome)
    device = session.target_device()
    if not isinstance(device, FileDevice):
        return False
    own = weights.arrays(weights.load(run.weights, outcome.arch))
    if not device.is_measured(outcome.arch.layers(), own):
        return False
    model = load(run.latency)
    check_device(model, device, accept_version=session.plan.accept_version)
    took = measure(outcome.arch, device, weights=own, model=model)
    records.write(run.result, replace(outcome, measured=took.latency, note=took.note))
    return True


def keep_baseline(
    sessions: Sequence[Session],
    device: TargetDevice,
    arch: Architecture,
    trained: Training,
    state: weights.State,
) -> None:
    """Measure MobileNetV3-Small, trained the same way, once, and write it down for all reports.

    Args:
        sessions: on all targets; those whose runs have it already keep it, and the others get it.
        device: measures the network.
        arch: MobileNetV3-Small at the side and for the classes of the data.
        trained: how its training ended.
        state: its trained weights.
    """
    runs = [session.run for session in sessions]
    known = [one for run in runs for one in records.read_lines(run.baselines, Baseline)]
    if not known:
        took = _measured(sessions[0], device, arch, state)
        known = [_baseline(arch, took, trained)]
    for run in runs:
        if not is_written(run.baselines):
            records.append(run.baselines, known[0])


def _baseline(arch: Architecture, took: Measured, trained: Training) -> Baseline:
    counted = cost(arch)
    return Baseline(
        name=MOBILENET_V3_SMALL,
        arch=arch,
        measured=None if took.predicted else took.latency,
        accuracy=trained.accuracy,
        params=counted.params,
        macs=counted.macs,
        seconds=trained.seconds,
        test_accuracy=trained.test_accuracy,
        note=took.note,
        predicted=took.latency if took.predicted else None,
    )


def _seconds(run: Run) -> float:
    """Seconds of the whole run, what NetAdapt took for its other targets included."""
    others = (other.read_seconds() for other in runs_of_other_targets(run))
    spent = [*run.read_seconds().values()]
    return sum(spent + [one.get("NetAdapt", 0.0) for one in others])


def _measured(
    session: Session, device: TargetDevice, arch: Architecture, state: weights.State
) -> Measured:
    """Measure a network that is in the report in the end, as the session's schedule has it."""
    session.schedule.begin(MEASURING)
    took = device.measure(arch, state)
    session.schedule.finish(MEASURING, session.progress)
    return took


def _in_8_bits(session: Session, arch: Architecture) -> Int8 | None:
    """What the run's network loses in 8 bits, where its runtime runs it so."""
    run, plan = session.run, session.plan
    if plan.runtime not in IN_8_BITS:
        return None
    trained = load_trained(
        str(run.folder), None, arch, seed=plan.seed, with_samples=True, progress=session.progress
    )
    return int8.cost(trained, IN_8_BITS[plan.runtime])


def _classify(session: Session) -> None:
    """Note how the exported network does class by class, for the report."""
    run = session.run
    if is_written(run.classification):
        return
    seed, progress = session.plan.seed, session.progress
    found = evaluate_network(str(run.folder), seed=seed, progress=progress).figures
    if len(found.classes) > MOST_IN_MATRIX:
        found = replace(found, confusion=())
    records.write(run.classification, found)


def _compare_with_published(
    session: Session, device: TargetDevice, space: Space, arch: Architecture
) -> None:
    """Note how much the network resembles the baseline; there may be none to compare with."""
    try:
        found = similarity_to(
            arch,
            device.model,
            space,
            to=MOBILENET_V3_SMALL,
            count=RANDOM_NETWORKS,
            seed=session.plan.seed,
        )
    except BneckError as error:
        session.progress("likeness", 1, 1, str(error))
    else:
        records.write(session.run.likeness, found)
        session.progress("likeness", 1, 1)
