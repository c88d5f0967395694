"""What the networks of a search are scored by."""

from dataclasses import replace

from bneck import live
from bneck.derivation.plan import SHORT_TRAINING
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.training_budget import budget, folds
from bneck.proxies.proxy import own_code
from bneck.proxies.tabular import TableData
from bneck.results.exports import IN_8_BITS
from bneck.search.evaluation import Evaluate, TrainOnRungs
from bneck.search.label import CODE, device_of
from bneck.search.study import Study
from bneck.space.backends.parent import Parent

Scorer = Evaluate | TrainOnRungs | TableData
"""A proxy on the images, or a table."""


def scorer(session: Session, data: RunData, study: Study, parent: Parent | None) -> Scorer:
    """Return what scores a network: the table, or a proxy on the images.

    Args:
        session: the run and its plan.
        data: the table, or facts about the images.
        study: the trials so far, whose scores the new ones must compare with.
        parent: the trained network whose weights short trainings begin with, if any.
    """
    plan = session.plan
    if data.table is not None:
        return data.table
    asked, compute = budget(plan, data.info), plan.compute(threads=1)
    # As the run began; one that an earlier version began has labels of a held-out fifth.
    begun = bool(study.records()) and plan.folds is None
    count = session.run.settle("folds", 1 if begun else folds(plan, data.info))
    images = replace(asked.images, folds=count)
    labels_of = None if plan.mix_devices else device_of(study.records())
    proxy = plan.proxy or SHORT_TRAINING
    _warn_if_edited(proxy, study)
    begins_with = parent if proxy == SHORT_TRAINING else None
    score_as = IN_8_BITS[plan.runtime] if plan.score_int8 else None
    short = Evaluate(
        images, proxy, asked.search, plan.seed, compute, labels_of, begins_with, score_as
    )
    if not plan.promote:
        return short
    most_steps = session.run.settle("most_steps", asked.most_search_steps)
    session.run.checkpoints.mkdir(exist_ok=True)
    return TrainOnRungs(short, session.run.search_work, most_steps)


def _warn_if_edited(proxy: str, study: Study) -> None:
    """Warn where the user's own proxy was edited after it had scored networks of this search."""
    code = own_code(proxy)
    known = {one.made_with[CODE] for one in study.records() if CODE in one.made_with}
    if code is not None and known - {code}:
        live.warn(
            f"{proxy} was edited since it scored networks of this search, whose scores need not "
            "compare with new ones: another --out scores all of them by the same code"
        )


def folds_in_words(session: Session, data: RunData) -> str:
    """Say how many trainings score each network, as the scorer settled it, if there are several."""
    count = session.run.settled("folds") or 1
    if count == 1:
        return ""
    return (
        f"each network is trained {count} times, on all but a part of {data.info.trained_on} "
        "images, and judged on that part"
    )
