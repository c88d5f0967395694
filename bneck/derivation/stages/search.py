"""The search: what it aims at, its trials, and the network that it names for each target."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.competitors import Contest, pretrained_network, widened_networks
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.scoring import folds_in_words, scorer
from bneck.derivation.stages.target_device import TargetDevice
from bneck.results.stage_record import SearchResult, SelectedNetwork
from bneck.search import reward
from bneck.search.allowed import check_bands
from bneck.search.expected_improvement import describe_gain, expected_gain
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import trained_longest
from bneck.search.reward import FRONT
from bneck.search.search import search
from bneck.search.selection import has_network, select_network
from bneck.search.study import Study
from bneck.search.virtual_time import LAYER_MACS
from bneck.space.backends.parent import Parent
from bneck.space.choices import Space
from bneck.text import number_of

ALONG_THE_FRONT = 6
"""Points that our own samplers aim at in turn where the whole front is wanted."""


def search_stage(
    session: Session,
    data: RunData,
    space: Space,
    device: TargetDevice,
    targets_ms: tuple[float, ...],
    parent: Parent | None = None,
) -> SearchResult:
    """Search ``space`` and name a network for each target, its latency measured on the device.

    All targets share the evaluations. The first target's network becomes the run's seed network.

    Args:
        session: the run, what it asks for, and where its networks are scored.
        data: what networks are scored on.
        space: the networks to choose from.
        device: predicts latencies, and measures those of the networks that are named.
        targets_ms: the targets; the search goes from each up to ``seed_factor`` times it.
        parent: the trained network whose weights short trainings begin with, if any.

    Raises:
        UsageError: no network of the space is predicted between a target and its ceiling.
        BneckError: no network could be scored, or all named ones measure above the ceiling.
    """
    run, plan = session.run, session.plan
    before = records.read_if_written(run.winners, SearchResult)
    known = before.networks if before else ()
    if len(known) < len(targets_ms):
        with session.timed("search"):
            objectives = search_objectives(plan, space, device, targets_ms)
            objectives.check()  # before there is a journal: a mistake begins no run
            check_bands(objectives, plan.seed)
            study = _study(session, space)
            done = len(trained_longest(study.records()))
            score = scorer(session, data, study, parent)
            session.progress("search", done, plan.evaluations, folds_in_words(session, data))
            aims = _along_the_front(objectives, device, plan) if _front(plan) else objectives
            trained = search(
                study,
                score,
                objectives=aims,
                evaluations=plan.evaluations,
                executor=session.executor,
                mix_devices=plan.mix_devices,
                progress=session.progress,
            )
            labels = study.labels()
            contest = Contest(session, score, objectives, labels, trained)
            found = _select(contest, device, known, parent)
            gain = expected_gain(labels, space, contest.current()[0], seed=plan.seed)
        for one in found if len(found) > 1 else ():
            records.write(run.of_target(one.target_ms), one.arch)
        records.write(run.seed, found[0].arch)
        records.write(run.winners, SearchResult(found, describe_gain(gain, trained)))
    # Trainings that were stopped at the time limit, or whose workers were lost, left theirs.
    shutil.rmtree(run.search_work, ignore_errors=True)
    return records.read(run.winners, SearchResult)


def _select(
    contest: Contest, device: TargetDevice, known: Sequence[SelectedNetwork], parent: Parent | None
) -> tuple[SelectedNetwork, ...]:
    """The network of each target; some may be known, as targets are added to a finished search.

    Args:
        contest: what the search evaluated, and for which targets.
        device: measures networks.
        known: the networks of the first targets.
        parent: the pretrained network, if any.
    """
    objectives, labels = contest.objectives, contest.labels
    places, measure = range(len(known), len(objectives.targets)), cache(device.measure)
    given = pretrained_network(contest, parent)
    rivals = [*contest.networks(), *given]
    called: dict[int, dict[str, Any]] = {record.number: {"pretrained": True} for record in given}

    def selected(places: Iterable[int]) -> list[SelectedNetwork]:
        best = (select_network(rivals, objectives, place, labels, measure) for place in places)
        return [*known, *(replace(one, **called.get(one.number, {})) for one in best)]

    def of_trials() -> list[SelectedNetwork]:
        """The networks of those targets that the search has scored one for."""
        current = contest.current()
        return selected(place for place in places if has_network(rivals, current[place]))

    if contest.session.plan.promote and parent is None:  # wider than its parent, it inherits little
        for record, narrower in widened_networks(contest, of_trials, places):
            rivals.append(record)
            called[record.number] = {"number": narrower, "widened": True}
    return tuple(selected(places))


def search_objectives(
    plan: Plan, space: Space, device: TargetDevice, targets_ms: tuple[float, ...]
) -> Objectives:
    """Return one objective for each target: the best network from the target up to the ceiling.

    Latency that a network leaves unused below its target is given back by no later stage.

    Args:
        plan: gives the reward, the ceiling as a multiple of the target, confidence and seed.
        space: the networks to choose from.
        device: predicts latencies.
        targets_ms: the targets.
    """
    derived = plan.reward == "soft" and plan.reward_exponent is None
    targets = [
        Target(
            None
            if derived or _front(plan)
            else reward.build(plan.reward, ms, plan.reward_exponent),
            ms,
            ceiling_ms=ms * plan.seed_factor,
            floor_ms=0.0 if _front(plan) else ms,
        )
        for ms in targets_ms
    ]
    return Objectives(space, device.model, targets, confidence=plan.confidence, seed=plan.seed)


def _study(session: Session, space: Space) -> Study:
    """Open the study; the plan keeps the virtual time that the run began with."""
    run, plan = session.run, session.plan
    parallel = run.settle("parallel", 2 * session.executor.workers)
    layer_macs = run.settle("layer_macs", LAYER_MACS)
    study = Study(
        run.journal,
        space,
        sampler=plan.sampler,
        seed=plan.seed,
        parallel=None if plan.eager else parallel,
        layer_macs=layer_macs,
        front=_front(plan),
        promote=plan.promote,
    )
    if study.from_before:
        note = (
            f"{number_of(study.from_before, 'network')} proposed in batches by an earlier version; "
            f"the others follow with --parallel {parallel}"
        )
        session.progress("search", study.from_before, plan.evaluations, note)
    return study


def _front(plan: Plan) -> bool:
    """Whether accuracy and latency are wanted apart, as a whole front."""
    return plan.reward == FRONT


def _along_the_front(objectives: Objectives, device: TargetDevice, plan: Plan) -> Objectives:
    """Points from the fastest network up to the highest ceiling."""
    ceiling_ms = max(aim.ceiling_ms for aim in objectives.targets)
    points_ms = np.geomspace(objectives.fastest_ms(), ceiling_ms, ALONG_THE_FRONT)
    points = [Target(None, float(ms), ceiling_ms) for ms in points_ms]
    return Objectives(
        objectives.space, device.model, points, confidence=plan.confidence, seed=plan.seed
    )
