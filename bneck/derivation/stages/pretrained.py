"""The pretrained network that the networks of a run begin with, and what each has of it."""

from collections.abc import Mapping
from pathlib import Path

from bneck import live, records
from bneck.derivation.pretrained import Pretrained, load_pretrained
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.seen_images import check_held_out, warn_of_seen
from bneck.errors import UsageError
from bneck.files import is_written
from bneck.proxies.proxy import shared_weights_run
from bneck.proxies.shared_weights import check_space
from bneck.results.record import Inherited
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
            weights have seen the images that networks of this run are judged by, or score
            another space.
        BneckError: it cannot be downloaded.
    """
    plan = session.plan
    check_held_out(plan, data)
    scores = shared_weights_run(plan.proxy)
    if scores is not None and data.table is None:
        check_space(scores, heir)
    if plan.pretrained is None:
        return None
    warn_of_seen(plan, data)
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
        file = files[name] = session.run.training(name).start
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
