"""The first stage: what a plan's data is. Facts only; pixels are loaded where they are used."""

from dataclasses import dataclass
from pathlib import Path

from bneck import records
from bneck.derivation.pretrained import Normalisation, load_pretrained
from bneck.derivation.session import Session
from bneck.derivation.teacher import SEED, load_teacher
from bneck.derivation.training_budget import folds
from bneck.errors import UsageError
from bneck.files import is_written, read_json
from bneck.latency.model import load as load_model
from bneck.proxies import tabular
from bneck.proxies.data import loading
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.proxy import shared_weights_run
from bneck.proxies.shared_weights import check_classes
from bneck.proxies.tabular import TableData
from bneck.results.image_facts import image_facts, read_image_facts
from bneck.text import number_of

FEWEST = 3
"""Training images, with which all stages can work."""


@dataclass(frozen=True, slots=True)
class RunData:
    """Facts about the images, or the table of accuracies in their place (which has none)."""

    info: ImageInfo
    table: TableData | None = None

    @property
    def size(self) -> dict[str, int]:
        """Resolution and class count, as networks and spaces take them."""
        return {"resolution_px": self.info.resolution_px, "classes": self.info.classes}


def data_stage(session: Session) -> RunData:
    """Find out what the plan's data is, and keep it in the run.

    Images are normalised by their own statistics, or as weights that the run begins with were.

    Raises:
        UsageError: it changed since the run began, cannot be read, leaves nothing to train on, or
            too few images for the plan's folds.
    """
    plan = session.plan
    session.progress("starting", 1, 1)
    table = tabular.open_table(plan.data, plan.space, plan.resolution_px)
    if table is not None:
        session.progress("table", 1, 1, table.statement())
        data = RunData(table.describe(), table)
    else:
        normalisation = _normalisation(session)
        images = loading.load(
            plan.data,
            resolution_px=plan.resolution_px,
            seed=plan.seed,
            progress=session.progress,
            skip_unreadable=plan.skip_unreadable,
            by_content=plan.check_images,
            accept=lambda info: _check_fit(session, info),
        )
        left = len(images.for_training().train)  # which says where nothing is left at all
        if left < FEWEST:
            raise UsageError(
                f"{plan.data} has {number_of(left, 'image')} to train on; at least {FEWEST} are "
                "needed, two for a batch and one that a search judges networks by"
            )
        data = RunData(
            images.normalised_with(*normalisation).info if normalisation else images.info
        )
        folds(plan, data.info)  # which refuses more than there are images for
    keep_facts(session, data)
    return data


def _check_fit(session: Session, images: ImageInfo) -> None:
    """Refuse a teacher, shared weights or a latency model of other classes or input side."""
    plan = session.plan
    if plan.latency is not None and not is_written(session.run.latency):
        load_model(Path(plan.latency)).check_resolution(images.resolution_px)
    if plan.teacher != SEED:
        load_teacher(plan, images)
    scores = shared_weights_run(plan.proxy)
    if scores is not None:
        check_classes(scores, images)


def _normalisation(session: Session) -> Normalisation | None:
    """What the run's images are normalised with: as kept when it began, or as pretrained weights.

    None leaves it to the images' own statistics.
    """
    run, plan = session.run, session.plan
    kept = read_image_facts(run)
    if kept is not None and kept.mean is not None and kept.std is not None:
        return kept.mean, kept.std
    if plan.pretrained is None:
        return None
    return load_pretrained(plan.pretrained, plan.space, plan.seed_network).normalisation


def keep_facts(session: Session, data: RunData) -> None:
    """Write down what the data is, once.

    Raises:
        UsageError: another run's data, or data that changed since the run began.
    """
    file = session.run.images
    if not is_written(file):
        records.write(file, data.info)
        return
    before = read_json(file)
    then = image_facts(before, file)
    if not data.info.is_what(before):
        raise UsageError(
            f"{session.plan.data} is no longer what this run began with: fingerprint "
            f"{then.fingerprint} then, {data.info.fingerprint} now; use another --out"
        )
