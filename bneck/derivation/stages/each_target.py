"""What a derivation does for each of its targets: a run of its own, and NetAdapt."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bneck import records
from bneck.derivation.session import Session, open_run
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.netadapt import netadapt_stage
from bneck.derivation.stages.outcome import Derived
from bneck.derivation.stages.pretrained import keep_inherited
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.target import keep_targets
from bneck.files import is_written, write_json
from bneck.progress import silent
from bneck.results.stage_record import SearchResult, SelectedNetwork
from bneck.space.backends.parent import Parent

SHARED = ("images.json", "latency.json", "journal.log")
COMPETITORS = ("pretrained.jsonl", "widened.jsonl")
"""What the derivations for several targets have in common, by its name in a run's folder; there
need not be any competitors of the search's networks."""
SHARED_STAGES = ("calibration", "search")


@contextmanager
def session_of_target(
    session: Session, target: str, selected: SelectedNetwork
) -> Iterator[Session]:
    """Yield a session on one of several targets, in a run of its own inside the run.

    Args:
        session: on all targets.
        target: the one, as the plan names it.
        selected: the network that the search found for it.
    """
    folder = session.run.run_of_target(selected.target_ms)
    folds = session.run.settled("folds")  # of the search, whose trials it shows too
    plan = replace(session.plan, target=target, targets=None, folds=folds)
    # What is reused was said of the whole run.
    with open_run(plan, folder, silent, command=session.command) as run:
        if not is_written(run.target):
            competitors = [name for name in COMPETITORS if is_written(session.run.folder / name)]
            for name in (*SHARED, *competitors):
                shutil.copyfile(session.run.folder / name, folder / name)
            spent = session.run.read_seconds()
            write_json(run.seconds, {one: spent[one] for one in SHARED_STAGES if one in spent})
            records.write(run.winners, SearchResult((selected,)))
            records.write(run.seed, selected.arch)
            keep_targets(run, [selected.target_ms])
        yield replace(session, run=run, plan=plan)


def derived_for(
    session: Session,
    own: Session,
    data: RunData,
    device: TargetDevice,
    selected: SelectedNetwork,
    parent: Parent | None,
) -> Derived:
    """Shrink the network that the search selected for a target.

    Args:
        session: the whole run's.
        own: the target's, which is the whole run's for the first target.
        data: what the network is fine-tuned on.
        device: predicts and measures latencies.
        selected: the network.
        parent: the trained network that it inherits from, if any.
    """
    keep_inherited(own, parent, selected.arch)
    (shrunk,) = netadapt_stage(
        own,
        data,
        device,
        (selected.target_ms,),
        selected.arch,
        parent,
        retrained=True,
        given=selected.pretrained,
    )
    name = "derived" if own is session else f"derived-{shrunk.target_ms:.4g}ms"
    return Derived(own, shrunk, name)
