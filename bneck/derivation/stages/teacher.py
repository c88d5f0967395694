"""The teacher of the final trainings: a trained network that is named, or the run's own seed."""

from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.pretrained import write_starts
from bneck.derivation.stages.seen_images import warn_of_teacher
from bneck.derivation.stages.training import training_stage
from bneck.derivation.teacher import SEED, load_teacher
from bneck.proxies.training.teacher import Teacher
from bneck.results.run_files import SEED_NETWORK
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.parent import Parent

NAME = "teacher"
"""What the seed network's final training is kept under, and its stage."""


def named_teacher(session: Session, data: RunData) -> Teacher | None:
    """Return the trained network that the plan names; None where it has none, or the run's seed.

    Warns where it has seen the images that networks of this run are judged by.

    Args:
        session: the run and its plan.
        data: facts about the images.

    Raises:
        UsageError: it cannot be read or does not fit the images.
    """
    if session.plan.teacher == SEED:
        return None
    warn_of_teacher(session.plan, data)
    return load_teacher(session.plan, data.info)


def teacher_stage(
    session: Session, data: RunData, seed: Architecture, parent: Parent | None
) -> Teacher | None:
    """Return the run's seed, trained; None where it teaches nothing.

    The seed network learns nothing from others: it is trained by the recipe of the final trainings,
    from the weights that NetAdapt trained it to where anything is pretrained.

    Args:
        session: the run and its plan.
        data: facts about the images.
        seed: the network that the search found, before NetAdapt.
        parent: the trained network that networks of the run inherit from, if any.

    Raises:
        BneckError: the training diverged.
    """
    if session.plan.teacher != SEED:
        return None
    tuned = session.run.training(SEED_NETWORK).weights
    starts = write_starts(session, parent, {NAME: seed}, {NAME: tuned})
    training_stage(session, data, {NAME: seed}, starts, stage=NAME)
    state = weights.load(session.run.training(NAME).weights, seed)
    return Teacher(seed, weights.to_bytes(state))
