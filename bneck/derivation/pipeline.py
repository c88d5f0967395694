"""The journeys through a run, each read from top to bottom; a stage whose file is there is skipped.

Howard et al. 2019 (MobileNetV3), sections 4.1 and 4.2.
"""

from contextlib import ExitStack

from bneck import records
from bneck.derivation.report import write_report
from bneck.derivation.session import Session
from bneck.derivation.stages.best_under_target import most_accurate_under
from bneck.derivation.stages.calibration import calibration_stage, check_kit
from bneck.derivation.stages.data import RunData, data_stage
from bneck.derivation.stages.each_target import derived_for, session_of_target
from bneck.derivation.stages.elastic import elastic_stage
from bneck.derivation.stages.export import export_network, restore_export
from bneck.derivation.stages.netadapt import netadapt_stage, tuned_weights
from bneck.derivation.stages.outcome import keep_baseline, measured_by_now, outcome_stage
from bneck.derivation.stages.predictable import check_kit_predicts, check_predictable
from bneck.derivation.stages.pretrained import (
    keep_inherited,
    largest,
    pretrained_stage,
    write_starts,
)
from bneck.derivation.stages.search import search_stage
from bneck.derivation.stages.target import check_feasible, check_narrowable, target_stage
from bneck.derivation.stages.target_device import check_reached
from bneck.derivation.stages.teacher import named_teacher, teacher_stage
from bneck.derivation.stages.training import check_shared, train_alone, training_stage
from bneck.derivation.target import runs_of_other_targets
from bneck.derivation.time_estimate import announce
from bneck.derivation.training_budget import budget
from bneck.files import is_written
from bneck.results import metadata
from bneck.results.networks import load_network
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.results.run_files import NETWORK
from bneck.results.stage_record import SearchResult, Shrunk, Training
from bneck.space import codec, presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.presets import MOBILENET_V3_SMALL


def derive(session: Session) -> tuple[Outcome, ...]:
    """Derive a network for each target of the plan; the targets share one search.

    The first target's network is the run's own. Each other one is derived in a run of its own
    inside the run, which can be looked at and exported from like any other.
    """
    run, plan = session.run, session.plan
    if is_written(run.result):
        return _outcomes_by_now(session)
    check_reached(session)
    data = data_stage(session)
    space = spaces.build(plan.space, **data.size)
    check_shared(session, data)
    announce(session, data)

    teacher = named_teacher(session, data)  # before the hours that a wrong one would cost
    check_kit(session, space)  # likewise
    check_kit_predicts(session, space)
    check_feasible(session, data, space)
    parent = pretrained_stage(session, data, largest(space))
    device = calibration_stage(session, space)
    targets_ms = target_stage(session, data, device)
    selected = search_stage(session, data, space, device, targets_ms, parent).networks

    with ExitStack() as opened:
        others = zip(plan.aimed_at[1:], selected[1:], strict=True)
        sessions = [opened.enter_context(session_of_target(session, *other)) for other in others]
        derived = [
            derived_for(session, own, data, device, one, parent)
            for own, one in zip((session, *sessions), selected, strict=True)
        ]
        baseline = presets.build(MOBILENET_V3_SMALL).at(**data.size)
        archs = {one.name: one.shrunk.arch for one in derived} | {MOBILENET_V3_SMALL: baseline}
        tuned = {one.name: tuned_weights(one.session.run, one.shrunk) for one in derived}
        starts = write_starts(session, parent, archs, tuned)
        teacher = teacher or teacher_stage(session, data, selected[0].arch, parent)
        trained = training_stage(session, data, archs, starts, teacher)

        ended = [trained[one.name] for one in derived]
        chosen = most_accurate_under(
            [one.shrunk.target_ms for one in derived],
            [one.accuracy for one in ended],
            [one.right for one in ended],
        )
        files = run.training(MOBILENET_V3_SMALL)
        state = weights.load(files.weights, baseline)
        on_all = [one.session for one in derived]
        keep_baseline(on_all, device, baseline, trained[MOBILENET_V3_SMALL], state)
        # The run's own outcome comes last: it says that the whole run is finished.
        for one, place in reversed([*zip(derived, chosen, strict=True)]):
            outcome_stage(session, one, derived[place], trained, device, space)
    return _outcomes(run)


def search(session: Session) -> SearchResult:
    """Search the plan's space alone: name a network for each target, measured but not trained."""
    check_reached(session)
    data = data_stage(session)
    space = spaces.build(session.plan.space, **data.size)
    announce(session, data, ("calibration", "search"))
    check_kit_predicts(session, space)
    check_feasible(session, data, space)
    parent = pretrained_stage(session, data, largest(space))
    device = calibration_stage(session, space)
    targets_ms = target_stage(session, data, device)
    result = search_stage(session, data, space, device, targets_ms, parent)
    keep_inherited(session, parent, result.networks[0].arch)
    return result


def shrink(session: Session) -> tuple[Shrunk, ...]:
    """Shrink the plan's network to each target by NetAdapt alone, the slowest target first."""
    run, plan = session.run, session.plan
    check_reached(session)
    data = data_stage(session)
    if plan.finish is not None:
        check_shared(session, data)
    seed_network = _given_network(session, data)
    check_predictable(session, data, seed_network)  # before a calibration that would not do
    announce(session, data, ("calibration", "NetAdapt"))
    check_narrowable(session, data, seed_network)
    parent = None if is_written(run.steps) else pretrained_stage(session, data, seed_network)
    keep_inherited(session, parent, seed_network)
    device = calibration_stage(session, spaces.build(plan.space, **data.size))
    targets_ms = target_stage(session, data, device)
    found = netadapt_stage(session, data, device, targets_ms, seed_network, parent)
    last = found[-1]
    # Else it was counted on a part of the training images, and not on those that the file names.
    accuracy = last.accuracy if plan.finish is not None else None
    figures = metadata.measured(accuracy, last.measured)
    export_network(run, last.arch, weights.load(run.weights, last.arch), figures)
    return found


def train(session: Session) -> Training:
    """Train the plan's network alone, or the weights of its whole space, and export it."""
    run, plan = session.run, session.plan
    data = data_stage(session)
    check_shared(session, data)
    arch = _given_network(session, data)
    if plan.elastic:
        trained, state = elastic_stage(session, data, arch)
    else:
        parent = pretrained_stage(session, data, arch)
        keep_inherited(session, parent, arch)
        trained, state = train_alone(
            session,
            budget(plan, data.info),
            arch,
            name=NETWORK,
            start=parent.weights_for(arch, seed=plan.seed).state if parent is not None else None,
            teacher=named_teacher(session, data),
        )
    export_network(run, arch, state, metadata.measured(trained.accuracy))
    return trained


def _given_network(session: Session, data: RunData) -> Architecture:
    """The network that the plan names, or its space's largest, for the data; kept in the run."""
    run, plan = session.run, session.plan
    if not is_written(run.seed):
        if plan.seed_network is None:
            arch = largest(spaces.build(plan.space, **data.size))
        else:
            arch = load_network(plan.seed_network, **data.size)
        records.write(run.seed, arch)
    return codec.load(run.seed)


def _outcomes_by_now(session: Session) -> tuple[Outcome, ...]:
    """The outcomes of a finished run, with what was measured, or removed, since it ended."""
    run = session.run
    parts = (run, *runs_of_other_targets(run))
    for part, outcome in zip(parts, _outcomes(run), strict=True):
        restore_export(part, outcome)
        if outcome.measured is None and measured_by_now(session, part) and part is not run:
            write_report(part)
    return _outcomes(run)


def _outcomes(run: Run) -> tuple[Outcome, ...]:
    """The outcomes of a finished run, in the order of its targets."""
    parts = (run, *runs_of_other_targets(run))
    return tuple(records.read(one.result, Outcome) for one in parts)
