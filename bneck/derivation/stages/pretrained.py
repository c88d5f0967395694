"""The pretrained network that the networks of a run begin with, and what each has of it."""

from collections.abc import Mapping
from pathlib import Path

from bneck import live, records
from bneck.derivation.plan import Plan
from bneck.derivation.pretrained import Pretrained, load_pretrained
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.proxies.data.image_spec import is_divided_by_seed
from bneck.proxies.proxy import ELASTIC, shared_weights_run
from bneck.proxies.shared_weights import check_classes, check_space
from bneck.results.image_facts import read_image_facts
from bneck.results.record import Inherited
from bneck.results.run import Run
from bneck.results.run_files import TrainingFiles
from bneck.results.run_folder import is_run
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.parent import Parent
from bneck.space.choices import Space
from bneck.space.cost import cost
from bneck.space.layers import Pool, leaves


def pretrained_stage(session: Session, data: RunData, heir: Architecture) -> Parent | None:
    """Open the plan's pretrained network; None where the plan has none.

    Says what ``heir``, a network of the run, inherits of it.

    Args:
        session: the run and its plan.
        data: the images, whose classes may be others than the pretrained network's.
        heir: the network that the run begins with, or the largest one of its space.

    Raises:
        UsageError: the pretrained network cannot be read, no layer of ``heir`` fits, or shared
            weights have seen the images that networks of this run are judged by, or score those
            of other classes or another space.
        BneckError: it cannot be downloaded.
    """
    plan = session.plan
    _check_held_out(plan, data)
    scores = shared_weights_run(plan.proxy)
    if scores is not None and data.table is None:
        check_classes(scores, data.info)
        check_space(scores, heir)
    if plan.pretrained is None:
        return None
    _warn_of_seen(plan, data)
    found = load_pretrained(plan.pretrained, plan.space, plan.seed_network)
    names = data.info.class_names
    parent = Parent.of(
        found.arch,
        found.state if found.shared is None else found.shared,
        same_classes=found.has_classes(names),
        elastic=found.shared is not None,
    )
    inherited = _inherited(plan.pretrained, parent, heir, _about_classes(found, names))
    if not inherited.paths:
        raise UsageError(f"no layer of {plan.pretrained} fits the networks of this run")
    session.progress("pretrained", 1, 1, str(inherited))
    if plan.from_scratch and not parent.elastic:
        live.warn(
            "labels are fine-tunings here, which rank networks that --from-scratch trains in the "
            "end badly (docs/evidence/pretrained.md); rather leave out --pretrained"
        )
    return parent


def keep_inherited(session: Session, parent: Parent | None, arch: Architecture) -> None:
    """Note for the report what a network of the run inherits, if anything is pretrained.

    Args:
        session: the run, which keeps the note.
        parent: what is inherited from, if there is anything.
        arch: the network.
    """
    run, plan = session.run, session.plan
    if parent is None or plan.pretrained is None or is_written(run.inherited):
        return
    note = "" if parent.same_classes else "the classifier is new"
    records.write(run.inherited, _inherited(plan.pretrained, parent, arch, note))


def write_starts(
    session: Session,
    parent: Parent | None,
    networks: Mapping[str, Architecture],
    tuned: Mapping[str, Path],
) -> dict[str, Path]:
    """Write the weights that each final training begins with, under the training's name.

    Args:
        session: the run, which keeps them among its checkpoints.
        parent: what is inherited; without it all begin with random weights, as they do where the
            plan asks for that.
        networks: those that are trained, by name.
        tuned: files of weights that NetAdapt has fine-tuned already; these come first.
    """
    if parent is None or session.plan.from_scratch:
        return {}
    files = {}
    for name, arch in networks.items():
        file = files[name] = TrainingFiles(session.run.checkpoints, name).start
        if is_written(file):
            continue
        if name in tuned and is_written(tuned[name]):
            state = weights.load(tuned[name], arch)
        else:
            state = parent.weights_for(arch, seed=session.plan.seed).state
        weights.save(file, state)
    return files


def largest(space: Space) -> Architecture:
    """Return the network of the most parameters that single changes of a choice lead to."""
    return space.least(lambda arch: -cost(arch).params)


def _check_held_out(plan: Plan, data: RunData) -> None:
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


def _warn_of_seen(plan: Plan, data: RunData) -> None:
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
    """Warn of another run's network if its seed divided the same images in another way.

    Args:
        run: the other run, of the same images.
        plan: this run's.
        data: the images.

    Returns:
        Whether that is so.
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


def _inherited(source: str, parent: Parent, arch: Architecture, note: str) -> Inherited:
    got = parent.weights_for(arch, seed=0)
    layers = [leaf.path for leaf in leaves(arch.layers()) if not isinstance(leaf, Pool)]
    fresh = tuple(path for path in layers if path not in got.paths)
    return Inherited(source, got.share, got.paths, fresh, note)


def _about_classes(found: Pretrained, names: tuple[str, ...]) -> str:
    if found.has_classes(names):
        return ""
    if found.arch.classes != len(names):
        return f"the classifier is new: {found.arch.classes} classes there, {len(names)} here"
    return "the classifier is new: its classes are others"
