"""Whether trained networks have seen the images that judge the networks of a run."""

from pathlib import Path

from bneck import live
from bneck.derivation.plan import Plan
from bneck.derivation.stages.data import RunData
from bneck.errors import UsageError
from bneck.proxies.data.image_spec import is_divided_by_seed
from bneck.proxies.proxy import ELASTIC, shared_weights_run
from bneck.results.image_facts import read_image_facts
from bneck.results.run import Run
from bneck.results.run_folder import is_run


def check_held_out(plan: Plan, data: RunData) -> None:
    """Refuse shared weights that have seen the images which networks of the plan are judged by.

    Raises:
        UsageError: they were trained on the same images with another seed, which divides them.
    """
    pretrained = None if plan.pretrained is None else Path(plan.pretrained)
    for folder in (pretrained, shared_weights_run(plan.proxy)):
        if folder is None or not (folder / ELASTIC).is_file():
            continue
        run = _run_on_same_images(folder, data)
        if run is not None and (seed := run.plan.get("seed")) != plan.seed:
            raise UsageError(
                f"{folder} was trained on images that --seed {plan.seed} judges networks by; use "
                f"its --seed {seed}"
            )


def warn_of_seen(plan: Plan, data: RunData) -> None:
    """Warn where the pretrained network was trained on images that judge networks of this run.

    It is not refused: whoever narrows a trained network may want no other images for it.
    """
    run = _trained_by(plan.pretrained or "", data)
    if run is None or (run.folder / ELASTIC).is_file():
        return
    if not _warn_of_other_parts(run, plan, data) and plan.aimed_at:
        live.warn(
            f"{run.folder} was trained on all training images of {data.info.name}, and on a part "
            "of these networks are compared here: such accuracies are too high, not those on "
            "validation images"
        )


def warn_of_teacher(plan: Plan, data: RunData) -> None:
    """Warn where the plan's teacher was trained on images that judge networks of this run."""
    if run := _trained_by(plan.teacher or "", data):
        _warn_of_other_parts(run, plan, data)


def _warn_of_other_parts(run: Run, plan: Plan, data: RunData) -> bool:
    """Warn of the network of another run if its seed divided the same images in another way.

    Returns whether it did.
    """
    seed = run.plan.get("seed")
    others = seed != plan.seed and is_divided_by_seed(plan.data)
    if others:
        live.warn(
            f"{run.folder} was trained on other parts of {data.info.name} than --seed {plan.seed} "
            "makes, so also on images that accuracies are counted on here, which will be too high: "
            f"use its --seed {seed}"
        )
    return others


def _trained_by(word: str, data: RunData) -> Run | None:
    """The run of these images that trained what a word names: the run itself, or a file of it."""
    folder = Path(word).parent if Path(word).is_file() else Path(word)
    return _run_on_same_images(folder, data) if word and is_run(folder) else None


def _run_on_same_images(folder: Path, data: RunData) -> Run | None:
    """A folder's run if its images are these, however a seed has divided them; else None."""
    facts = read_image_facts(run := Run.read(folder))
    same = {facts.name, facts.fingerprint} if facts else set()
    return run if same & {data.info.name, data.info.fingerprint} else None
