"""The results of a run so far, read from its folder: its version, trials and stages."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from bneck import __version__, records
from bneck.derivation.plan import Plan
from bneck.errors import UsageError
from bneck.files import is_written, naming
from bneck.latency.predictor import Predictor
from bneck.results.image_facts import kept_image_facts
from bneck.results.record import Record
from bneck.results.run import Run
from bneck.results.run_files import NETWORK
from bneck.results.run_folder import PLAN
from bneck.results.stage_record import (
    KeptMeasurement,
    SearchResult,
    SelectedNetwork,
    Shrunk,
    Training,
)
from bneck.results.stage_result import Found, StageResult
from bneck.search.promotion import trained_longest
from bneck.search.trial_attributes import read_records
from bneck.space import codec, spaces

UNKNOWN = "unknown"


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Where a run of another version cannot be read, say which version made it."""
    try:
        yield
    except UsageError as error:
        if (version := made_by(run)) in (__version__, UNKNOWN):
            raise
        raise UsageError(
            f"{run.folder} was made by bneck {version} and this is {__version__}, which reads it "
            f"otherwise: {error}; use bneck {version} for this run, or begin a new one"
        ) from None


def plan_of(run: Run) -> Plan:
    """The run's plan; errors name its file."""
    with naming(run.folder / PLAN):
        return Plan.from_dict(dict(run.plan))


def made_by(run: Run) -> str:
    """The version of bneck that last worked on the run, ``UNKNOWN`` where it does not say."""
    sessions = run.read_sessions()
    return sessions[-1].versions.get("bneck", UNKNOWN) if sessions else UNKNOWN


def read_trials(run: Run) -> list[Record]:
    """The networks that the search has evaluated so far, each by its longest training."""
    return trained_longest(read_trainings(run))


def read_trainings(run: Run) -> list[Record]:
    """Every evaluation of the search so far: a network that is promoted has several.

    Raises:
        UsageError: a file of the run is damaged, or lacks what is read from it.
    """
    if not is_written(run.journal) or not is_written(run.latency):
        return []
    plan, images = plan_of(run), kept_image_facts(run)
    if images.resolution_px is None:
        raise UsageError(f"{run.images} does not say the images' resolution")
    space = spaces.build(
        plan.space, resolution_px=images.resolution_px, classes=len(images.class_names)
    )
    return read_records(run.journal, space)


def read_competitors(run: Run, trainings: Sequence[Record]) -> dict[str, tuple[Record, ...]]:
    """The networks that competed with those of the search although no trial proposed them.

    Args:
        run: the run that is read.
        trainings: every evaluation of the search.

    Returns:
        Each network by its longest training, by a word for what it is.
    """
    evaluated, before = {one.arch for one in trainings}, list(trainings)
    found: dict[str, tuple[Record, ...]] = {}
    for word, file in {"pretrained": run.pretrained, "widened": run.widened}.items():
        numbered = numbered_after(before, records.read_lines(file, Record))
        before += numbered
        if outside := tuple(one for one in numbered if one.arch not in evaluated):
            found[word] = outside
    return found


def numbered_after(before: Iterable[Record], outside: Iterable[Record]) -> list[Record]:
    """Return each network that no trial proposed by its longest training, numbered.

    Args:
        before: records whose numbers come first: every evaluation of the search, failed ones too.
        outside: records of such networks in any order, as trainings that run at once end in any;
            the fastest network has the least number.
    """
    first = 1 + max((one.number for one in before), default=-1)
    ordered = sorted(trained_longest(outside), key=lambda one: one.latency_ms)
    return [replace(one, number=number) for number, one in enumerate(ordered, first)]


def result_of_last_stage(run: Run, plan: Plan, model: Predictor | None) -> StageResult:
    """The networks of the last stage that has some; none where none has.

    Args:
        run: the run that is read.
        plan: its plan.
        model: breaks the networks' latencies down; None leaves that out.
    """
    if shrunk := records.read_lines(run.shrunk, Shrunk):
        after = {None: "the step's fine-tuning", "fine-tune": "fine-tuning", "scratch": "training"}
        names = [f"step {one.step}" if one.step else "the seed" for one in shrunk]
        found = _found(run, names, shrunk, model)
        return StageResult(found, "NetAdapt", f"after {after[plan.finish]}")
    if result := records.read_if_written(run.winners, SearchResult):
        said = f", {count}-fold" if (count := (run.settled("folds") or 1)) > 1 else ""
        names = [one.called("network") for one in result.networks]
        found = _found(run, names, result.networks, model)
        return StageResult(found, "search", f"by the proxy of the search{said}")
    training = records.read_if_written(run.training(NETWORK).result, Training)
    if training and is_written(run.network):
        arch, name = codec.load(run.network), plan.seed_network or f"the largest of {plan.space}"
        tested = training.test_accuracy
        trained = Found(name, arch, training.accuracy, test_accuracy=tested)
        return StageResult((trained,), "training", f"after training {how_trained(plan)}")
    return StageResult()


def counted_early(last: StageResult, plan: Plan) -> str:
    """Say when an accuracy was counted that is not after a long training; "" if it is after one."""
    return last.counted if last.stage == "NetAdapt" and plan.finish is None else ""


def how_trained(plan: Plan) -> str:
    """Say what a final training begins with, "from scratch" or from weights, and of a teacher."""
    anew = plan.pretrained is None or plan.from_scratch
    start = "from scratch" if anew else "from pretrained weights"
    return start if plan.teacher is None else f"{start} with a teacher"


def doubts(run: Run, networks: Sequence[Shrunk | SelectedNetwork]) -> tuple[str, ...]:
    """Return for each network why its latest measurement is not to be relied on; "" if it is."""
    kept = records.read_lines(run.measurements, KeptMeasurement)
    latest = {took.arch: took.note for took in kept}
    return tuple("" if one.measured is None else latest.get(one.arch, "") for one in networks)


def _found(
    run: Run,
    names: Sequence[str],
    networks: Sequence[Shrunk | SelectedNetwork],
    model: Predictor | None,
) -> tuple[Found, ...]:
    """The networks of a stage, as reports have them.

    Args:
        run: has their measurements.
        names: what they are called.
        networks: in the same order.
        model: breaks their latencies down; None leaves that out.
    """
    return tuple(
        Found(
            name,
            one.arch,
            one.accuracy,
            one.target_ms,
            one.predicted,
            one.measured,
            breakdown=model.breakdown(one.arch) if model else None,
            note=note,
        )
        for name, one, note in zip(names, networks, doubts(run, networks), strict=True)
    )
