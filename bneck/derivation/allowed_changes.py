"""Which changes of its plan a run takes, and what is done again for them."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import PurePath
from shlex import quote
from typing import Any

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.target import keep_targets, kept_targets
from bneck.errors import UsageError
from bneck.files import is_written, naming
from bneck.progress import Progress
from bneck.proxies.proxy import ELASTIC
from bneck.results.plan_change import SUPERSEDED
from bneck.results.plan_file import changed, differences
from bneck.results.run import Run
from bneck.results.run_folder import PLAN
from bneck.results.stage_record import SearchResult, Shrunk
from bneck.text import all_of

OUTCOME = (
    "result.json", "classification.json", "likeness.json", "model.onnx", "model_card.md",
    "ended.json",
)  # fmt: skip
FINAL = (
    "baselines.jsonl", ELASTIC, "checkpoints/mobilenet_v3_small.*", "checkpoints/network.*",
)  # fmt: skip
DERIVED = (
    "shrunk.jsonl", "network.json", "weights.safetensors",
    "checkpoints/derived*", "checkpoints/finished-*", "checkpoints/teacher.*",
)  # fmt: skip
NETADAPT = ("steps.jsonl", "checkpoints/netadapt", "checkpoints/seed.*", "targets", *DERIVED)
SEARCH = ("winners.json", "seed.json", "inherited.json", "checkpoints/search/to_widen.jsonl")

OTHER_CHOICE = (*OUTCOME, *SEARCH, *NETADAPT)
OTHER_TARGETS = (
    *OUTCOME,
    *(f"targets/*/{name}" for name in OUTCOME),  # any may be given a faster network
)
OTHER_STEPS = (*OUTCOME, *NETADAPT)
OTHER_TRAINING = (*OUTCOME, *FINAL, *DERIVED)

OF_TARGET = ("targets/{:.4g}ms", "targets/{:.4g}ms.*", "checkpoints/derived-{:.4g}ms.*")
"""What a run has of one of several targets, in ms."""

CHANGES: Mapping[str, tuple[str, ...]] = {
    "evaluations": OTHER_CHOICE,
    "promote": OTHER_CHOICE,
    "target": OTHER_TARGETS,
    "targets": OTHER_TARGETS,
    "seed_factor": (),
    "confidence": (),
    "calibration_minutes": (),
    "mix_devices": (),
    "delta": OTHER_STEPS,
    "fine_tune_steps": OTHER_STEPS,
    "importance": OTHER_STEPS,
    "finish": (*OUTCOME, *DERIVED),
    "augmentation": OTHER_TRAINING,
    "branches": OTHER_TRAINING,
    "teacher": OTHER_TRAINING,
    "from_scratch": OTHER_TRAINING,
    "epochs": OTHER_TRAINING,
}
"""Field of a plan -> the files of a run that its change makes obsolete."""
OF_SEARCH = ("seed_factor", "confidence")
"""What decides which networks a search may evaluate."""

CALIBRATED_ON = (
    "target_device",
    "space",
    "runtime",
    "threads",
    "batch_size",
    "resolution_px",
    "data",
)


def change_plan(run: Run, was: Mapping[str, Any], progress: Progress) -> None:
    """Make way in ``run`` for its new plan, keeping all work that the change leaves valid.

    What becomes obsolete is moved into ``superseded/1``, ``superseded/2``, ... in the run.

    Args:
        run: the run with the new plan.
        was: the plan that the run was done by.
        progress: is told what is reused.

    Raises:
        UsageError: a change that needs a run of its own; names it and the command to begin one.
    """
    names = changed(was, run.plan)
    refused = UsageError(f"{differences(was, run.plan)}; {_elsewhere(run, was)}")
    if any(name not in CHANGES for name in names):
        raise refused
    before, after = _plan_of(run, was), Plan.from_dict(run.plan)
    if not all(_is_sound(name, run, before, after) for name in names):
        raise refused
    left_out = _left_out(run, before, after)
    of_these = [name.format(ms) for ms in left_out for name in OF_TARGET]
    if _aims_anew(before, after):
        of_these.append(run.target.name)
    supersede(run, [*of_these, *(pattern for name in names for pattern in CHANGES[name])])
    if left_out:
        _forget_targets(run, len(left_out))
    if names:
        progress("plan", 1, 1, f"{differences(was, run.plan)}: {_kept(run)}")


def _kept(run: Run) -> str:
    """What of a run is reused, in words, once the rest has made way."""
    searched = "the search" if run.winners.exists() else "the networks evaluated so far"
    kept = {
        "the calibration": run.latency,
        searched: run.journal,
        "NetAdapt's steps": run.steps,
        "the derived network": run.network,
    }
    found = [words for words, file in kept.items() if file.exists()]
    if not found:
        return f"nothing is reused, what was done is kept in {SUPERSEDED}/"
    return "reusing " + all_of(*found)


def supersede(run: Run, patterns: Collection[str]) -> None:
    """Move the files of ``run`` that match into its next folder ``superseded/N``.

    The outcome makes way first: killed meanwhile, the run is no longer finished, by either plan. A
    folder that makes way as a whole does so in one piece.
    """
    first = [pattern for pattern in OUTCOME if pattern in patterns]
    for pattern in dict.fromkeys((*first, *patterns)):
        if not any(str(folder) in patterns for folder in PurePath(pattern).parents):
            run.plan_change.supersede(pattern)


def _aims_anew(before: Plan, after: Plan) -> bool:
    """Whether a target is replaced by another, and not all left out or added at the end."""
    return any(was != now for was, now in zip(before.aimed_at, after.aimed_at, strict=False))


def _left_out(run: Run, before: Plan, after: Plan) -> tuple[float, ...]:
    """The targets in ms, as far as they were found out, that the new plan has no more."""
    count = len(after.aimed_at)
    return kept_targets(run)[count:] if before.aimed_at[:count] == after.aimed_at else ()


def _plan_of(run: Run, was: Mapping[str, Any]) -> Plan:
    """The plan that a run was done by, without fields that no plan has; errors name its file."""
    known = {one.name for one in fields(Plan)}
    with naming(run.folder / PLAN):
        return Plan.from_dict({name: value for name, value in was.items() if name in known})


def _forget_targets(run: Run, last: int) -> None:
    """Take the last ``last`` targets out of all files that list the run's targets.

    The targets themselves come last: killed meanwhile, the same change continues from there.
    """
    found = records.read_if_written(run.winners, SearchResult)
    targets_ms = kept_targets(run)[:-last]
    if found is not None:
        run.plan_change.keep(run.winners)
        networks = found.networks[: len(targets_ms)]
        records.write(run.winners, replace(found, networks=networks))
    run.plan_change.keep(run.target)
    keep_targets(run, targets_ms)


def _is_sound(name: str, run: Run, before: Plan, after: Plan) -> bool:
    """Whether the run's work so far holds under the new value."""
    if name == "evaluations":
        return after.evaluations > before.evaluations
    if name == "promote":
        return after.promote
    if name in OF_SEARCH or _aims_anew(before, after):
        return not (run.journal.exists() or is_written(run.steps))  # as where a target was refused
    if name in ("target", "targets"):
        was, now = before.aimed_at, after.aimed_at
        if 0 < len(now) < len(was) and was[: len(now)] == now:
            if run.journal.exists() and not is_written(run.winners):
                return False  # trials may wait that are for those that are left out
            shrunk = {one.target_ms for one in records.read_lines(run.shrunk, Shrunk)}
            # The run's network may be that of one of these.
            return shrunk.isdisjoint(_left_out(run, before, after))
        return bool(was) and now[: len(was)] == was  # none: a run of train
    return True


def _elsewhere(run: Run, was: Mapping[str, Any]) -> str:
    """What to do instead: another folder, with this one's calibration where that holds."""
    same_device = all(was.get(name) == run.plan.get(name) for name in CALIBRATED_ON)
    if same_device and run.latency.exists() and "latency" not in run.plan:
        model = quote(str(run.latency))
        return f"use another --out, and --latency {model} to reuse the calibration"
    kinds = {_kind(plan.get("data")) for plan in (was, run.plan)}
    if changed(was, run.plan) == ("data",) and kinds in ({"folder"}, {"npz"}):
        return "use another --out or the same plan; images that were moved can be linked to there"
    return "use another --out or the same plan"


def _kind(data: Any) -> str:
    """What kind of place images are in, such as ``folder``."""
    return str(data).partition(":")[0]
