"""How long a run will take: said at its start and after each stage, from steps timed here."""

import time
from collections.abc import Sequence
from functools import cache, partial
from math import ceil

import torch

from bneck import records
from bneck.derivation.plan_warnings import warn_if_short, warn_if_small
from bneck.derivation.schedule import MEASURING
from bneck.derivation.session import Session
from bneck.derivation.stages.calibration import takes_no_time
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.search import ALONG_THE_FRONT
from bneck.derivation.target import parse, runs_of_other_targets
from bneck.derivation.teacher import SEED
from bneck.derivation.training_budget import Budget, budget, folds
from bneck.executors import Executor
from bneck.executors.together import Together
from bneck.files import is_written
from bneck.machine import ONE_THREAD
from bneck.proxies.training.device import computing
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import TrainingStep, learn_labels
from bneck.results.record import Record
from bneck.results.stage_record import Shrunk
from bneck.search.promotion import search_steps, steps_on
from bneck.search.reward import FRONT
from bneck.search.trial_attributes import rungs_evaluated
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.edits import narrowables
from bneck.space.presets import MOBILENET_V3_SMALL

STAGES = ("calibration", "search", "NetAdapt", "final training")
PIXELS = 2**17
"""Pixels of the timed batches: enough that a step's fixed costs do not count."""
LONGER_IN_8_BITS = 1.3
"""A label that is scored in 8 bits takes 1.18 to 1.34 times as long as one in floats, by either
runtime (docs/latency.md)."""


def announce(session: Session, data: RunData, stages: Sequence[str] = STAGES) -> None:
    """Say how long the stages that are not done yet will take, and whether the plan is too small.

    Trainings on a GPU are not timed: it may be a worker's, and a first step there says nothing of
    the others.

    Args:
        session: whose plan, folder and workers are asked.
        data: how many images there are, and at which resolution.
        stages: those of ``STAGES`` that the command runs.
    """
    if "search" in stages:
        warn_if_small(session, data)
    if "final training" in stages or session.plan.finish is not None:
        warn_if_short(session, data)
    if data.table is None and session.plan.device != "cpu":
        note = f"how long trainings by --device {session.plan.device} take is not known in advance"
        session.progress("plan", 1, 1, note)
        return
    schedule, passes = session.schedule, max(1, _netadapt_passes(session))
    schedule.measurements.update(_measurements(session, stages))
    in_the_end = schedule.measurements.get(MEASURING, 1)
    schedule.expect(_seconds(session, data, stages), {"NetAdapt": passes, MEASURING: in_the_end})
    schedule.say(session.progress)


def _seconds(session: Session, data: RunData, stages: Sequence[str]) -> dict[str, float]:
    """Seconds by stage; a stage whose length cannot be known, or that is done, is left out."""
    run, plan = session.run, session.plan
    found: dict[str, float] = {}
    if "calibration" in stages and _calibrates(session, data):
        found["calibration"] = 60 * plan.calibration_minutes
    if data.table is not None:
        return found
    asked, workers, classes = budget(plan, data.info), session.executor.workers, data.info.classes
    network = presets.build(MOBILENET_V3_SMALL)

    @cache
    def step_s(batch_size: int, px: int) -> float:
        """Seconds of a step on one core, timed once for all trainings that share size and batch."""
        arch = network.at(resolution_px=px, classes=classes)
        return _step_seconds(arch, Recipe(1, batch_size))

    def final_s() -> float:
        """Seconds of one final training on one core."""
        return asked.final.steps * step_s(asked.final.batch_size, data.info.resolution_px)

    def short_s() -> float:
        """Seconds of a step of the search's trainings, or of NetAdapt's, on one core."""
        return step_s(asked.search.batch_size, asked.images.proxy_px)

    if "search" in stages and plan.scores_by_training and not is_written(run.winners):
        left = _search_steps_left(session, asked)
        label_s = short_s() * (LONGER_IN_8_BITS if plan.score_int8 else 1)
        found["search"] = left * folds(plan, data.info) * label_s / workers
    targets, passes = len(plan.aimed_at), _netadapt_passes(session)
    if "NetAdapt" in stages and passes and (share := _share_to_save(session)):
        tunings = share / plan.delta * len(narrowables(network)) / workers
        steps = asked.search.steps + tunings * asked.fine_tune.steps
        found["NetAdapt"] = passes * steps * short_s()
        if plan.finish is not None:
            found["NetAdapt"] += targets * final_s() * trainings_long(1, session.trainer)
    if "final training" in stages:
        ended = _ended(session, "derived*") + _ended(session, MOBILENET_V3_SMALL)
        if left := targets + 1 - ended:
            found["final training"] = final_s() * trainings_long(left, session.trainer)
        if plan.teacher == SEED and not _ended(session, "teacher"):
            found["teacher"] = final_s() * trainings_long(1, session.trainer)
    return found


def _ended(session: Session, names: str) -> int:
    """How many final trainings of such names have ended, in a session that was stopped later."""
    return sum(map(is_written, session.run.checkpoints.glob(f"{names}.json")))


def _measurements(session: Session, stages: Sequence[str]) -> dict[str, int]:
    """Networks that each stage is yet to measure on the target device, as far as that is usual.

    For each target these are the network that the search names; NetAdapt's seed network, what it
    ends with, and that with wider free widths; and the derived network. In the end
    MobileNetV3-Small is measured, too.
    """
    run, plan, device = session.run, session.plan, session.target_device()
    if device.published is not None or device.synthetic or device.by_hand:
        return {}
    targets, passes = len(plan.aimed_at), _netadapt_passes(session)
    found: dict[str, int] = {}
    if "search" in stages and not is_written(run.winners):
        found["search"] = targets
    if "NetAdapt" in stages and passes:
        found["NetAdapt"] = 3 * (passes if plan.seed_network is None else targets)
    if "final training" in stages:
        ended = [is_written(one.result) for one in runs_of_other_targets(run)]
        found[MEASURING] = targets - sum(ended) + (not is_written(run.baselines))
    return found


def _calibrates(session: Session, data: RunData) -> bool:
    """Whether the device is yet to be calibrated, which takes the minutes that were asked for."""
    run, plan = session.run, session.plan
    if plan.latency is not None or plan.target_device.startswith("table:"):
        return False
    if is_written(run.latency):
        return False
    return not takes_no_time(plan, spaces.build(plan.space, **data.size))


def _search_steps_left(session: Session, asked: Budget) -> int:
    """Training steps of the search that are not done yet, those of promoted networks included."""
    plan, first, most = session.plan, asked.search.steps, asked.most_search_steps
    steps = plan.evaluations * first
    if plan.promote:
        targets = len(plan.aimed_at)
        aims = ALONG_THE_FRONT if plan.reward == FRONT else targets
        widened = targets - 1 if plan.pretrained is None else 0
        steps = search_steps(plan.evaluations, aims, first, most, widened=widened)
    outside = [record.rung for record in records.read_lines(session.run.widened, Record)]
    rungs = [*rungs_evaluated(session.run.journal), *outside]
    return max(0, steps - sum(steps_on(rung, first, most) for rung in rungs))


def trainings_long(count: int, trainer: Executor) -> float:
    """How many times as long as one training on one core some trainings take.

    Args:
        count: of trainings.
        trainer: runs several at once, or each by several processes with a core each.
    """
    if isinstance(trainer, Together):
        return count / trainer.count
    return ceil(count / trainer.workers)


def _netadapt_passes(session: Session) -> int:
    """How often NetAdapt is still to begin at a seed network: for each target one, if found.

    A network that was given is shrunk to all targets in one pass.
    """
    run, targets = session.run, len(session.plan.aimed_at)
    if session.plan.seed_network is not None:
        return int(len(records.read_lines(run.shrunk, Shrunk)) < targets)
    return targets - sum(is_written(one.shrunk) for one in (run, *runs_of_other_targets(run)))


def _share_to_save(session: Session) -> float | None:
    """The share of its latency that NetAdapt's seed network must lose, if that can be known.

    The search ends somewhere between a target and its ceiling.
    """
    plan = session.plan
    if plan.seed_network is None:
        return (plan.seed_factor - 1) / 2
    aims = [parse(text) for text in plan.aimed_at]
    if any(aim[1:] != (plan.seed_network, None) for aim in aims):
        return None
    return max(plan.delta, 1 - min(factor for factor, *_ in aims))


@cache  # several commands of one Python session ask for the same
def _step_seconds(arch: Architecture, recipe: Recipe) -> float:
    """Seconds of a training step of one thread, by the faster of two on random pixels."""
    images = min(recipe.batch_size, max(4, PIXELS // arch.resolution_px**2))
    with computing(ONE_THREAD):
        network = torch_model.build(arch).to(memory_format=torch.channels_last)
        step = TrainingStep(
            network,
            recipe.optimizer_for(network),
            None,
            partial(learn_labels, label_smoothing=recipe.label_smoothing),
        )
        side = arch.resolution_px
        pixels = torch.rand(images, 3, side, side).to(memory_format=torch.channels_last)
        labels = torch.zeros(images, dtype=torch.long)
        took = []
        for number in range(3):
            began = time.monotonic()
            step(pixels, labels, number)
            took.append(time.monotonic() - began)
    return min(took[1:]) * recipe.batch_size / images
