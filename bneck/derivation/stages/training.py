"""The final trainings of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.kept_training import train_and_keep
from bneck.derivation.stages.long_trainings import LongTraining, TrainingJob, train_all
from bneck.derivation.training_budget import Budget, budget
from bneck.executors.together import Together
from bneck.proxies.data.batches import check_divides
from bneck.proxies.data.worker_images import whole
from bneck.proxies.training.teacher import Teacher
from bneck.results.stage_record import Training
from bneck.space.architecture import Architecture
from bneck.space.backends import weights


def check_shared(session: Session, data: RunData) -> None:
    """Raise UsageError for a final batch that the workers of each training cannot share evenly."""
    if isinstance(session.trainer, Together):
        final = budget(session.plan, data.info).final
        check_divides(final.batch_size, session.trainer.count, final.augmentation)


def training_stage(
    session: Session,
    data: RunData,
    networks: Mapping[str, Architecture],
    starts: Mapping[str, Path],
    teacher: Teacher | None = None,
    *,
    stage: str = "final training",
) -> dict[str, Training]:
    """Train networks by the plan's final recipe, several at once.

    Their weights are in the run's checkpoints, under the same names.

    Args:
        session: the run, its plan, and where trainings run.
        data: facts about the images.
        networks: what is trained, by the name that it is kept under.
        starts: files of weights to begin with, by name; the others begin with random weights.
        teacher: a trained network whose outputs are learnt too.
        stage: what the time is counted under.

    Raises:
        BneckError: a training diverged.
    """
    if session.executor is not session.trainer:  # whose own idle workers are stopped there
        session.executor.rest()  # what they hold is missing where trainings run
    with session.timed(stage):
        jobs = [
            TrainingJob(name, arch, session.plan.seed, starts.get(name))
            for name, arch in networks.items()
        ]
        trained = train_jobs(session, budget(session.plan, data.info), jobs, teacher)
    return {one.name: one for one in trained}


def train_jobs(
    session: Session, asked: Budget, jobs: Sequence[TrainingJob], teacher: Teacher | None = None
) -> tuple[Training, ...]:
    """Train networks by the final recipe, and keep them in the run's checkpoints.

    Args:
        session: the run, its plan, and where trainings run.
        asked: the images, and the recipe.
        jobs: what is trained, from which seeds and weights.
        teacher: a trained network whose outputs are learnt too.

    Raises:
        BneckError: a training diverged.
    """
    plan, together = session.plan, isinstance(session.trainer, Together)
    # Those that train together may be the cluster's workers.
    compute = plan.compute(threads=1) if together else session.compute_here(threads=1)
    folder = session.run.checkpoints
    task = LongTraining(asked.images, asked.final, folder, compute, plan.branches, teacher)
    return train_all(jobs, task, session.trainer, session.progress)


def train_alone(
    session: Session,
    asked: Budget,
    arch: Architecture,
    *,
    name: str,
    start: weights.State | None,
    teacher: Teacher | None = None,
) -> tuple[Training, weights.State]:
    """Train one network by the final recipe: in this process, or in several that train together.

    Args:
        session: the run, its plan, and where trainings run.
        asked: the images, and the recipe.
        arch: the network.
        name: under which it is kept in the run's checkpoints.
        start: weights to begin with; None trains from scratch.
        teacher: a trained network whose outputs are learnt too.

    Raises:
        BneckError: the training diverged.
    """
    plan = session.plan
    files = session.run.training(name)
    session.executor.rest()  # a GPU's memory that idle workers hold is missing here
    if not isinstance(session.trainer, Together):
        return train_and_keep(
            arch,
            whole(asked.images),
            asked.final,
            files,
            seed=plan.seed,
            progress=session.progress,
            compute=session.compute_here(),
            start=start,
            branches=plan.branches,
            teacher=teacher,
        )
    if start is not None:
        weights.save(files.start, start)
    job = TrainingJob(name, arch, plan.seed, None if start is None else files.start)
    (trained,) = train_jobs(session, asked, [job], teacher)
    return trained, weights.load(files.weights, arch)
