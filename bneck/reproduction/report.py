"""The results of a reproduction so far, in Markdown that can be checked line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import hypot
from statistics import NormalDist, fmean

from scipy.stats import t as student

from bneck import records
from bneck.derivation.stages.best_under_target import STANDARD_ERRORS, most_accurate_under
from bneck.files import is_written
from bneck.quantities import Accuracy, Latency, standard_deviation, standard_error
from bneck.reproduction.results import ReproductionResults
from bneck.results import static_figures
from bneck.results.similarity import Similarity
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import number_of
from bneck.units import milliseconds, percent


@dataclass(frozen=True, slots=True)
class _Network:
    """A network of the comparison: its latest measurement, and the accuracy of each training."""

    name: str
    kind: str
    factor: float
    latency: Latency
    note: str
    trained: tuple[Accuracy, ...]

    @property
    def accuracies(self) -> list[float]:
        return [one.value for one in self.trained]


def summary(results: ReproductionResults) -> str:
    """Return the tables of all stages that are done: accuracies, paths, likeness and times."""
    parts = [_comparison(results), _path(results), _likeness(results), _times(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def draw(results: ReproductionResults) -> None:
    """Draw the family of networks and NetAdapt's paths to it, as far as they are known."""
    folder = results.run.folder
    for factor, shrunk in results.derived().items():
        path = static_figures.path(results.steps(factor), targets_ms=[shrunk.target_ms])
        static_figures.save(path, folder / f"path-{factor:g}x.svg")
    lines: dict[str, list[tuple[float, list[float]]]] = {}
    for one in sorted(_networks(results), key=lambda one: one.kind):  # derived first
        name = "width multiplier" if one.kind == "published" else one.kind
        lines.setdefault(name, []).append((one.latency.ms, one.accuracies))
    if any(found for networks in lines.values() for _, found in networks):
        static_figures.save(static_figures.family(lines), folder / "family.svg")


def _networks(results: ReproductionResults) -> list[_Network]:
    """All that is compared, each with the measurement of its trained weights once there is one."""
    again, found = results.measured_again(), []
    for one in results.compared():
        latest = again.get(one.name, one)
        trained = tuple(training.accuracy for training in results.trainings(one))
        found.append(
            _Network(one.name, one.kind, one.factor, latest.measured, latest.note, trained)
        )
    return found


def _comparison(results: ReproductionResults) -> str:
    networks = _networks(results)
    if not networks:
        return "Nothing is measured yet."
    rows = ["| network | latency | of V3-Small | accuracy | seeds |", "|---|---|---|---|---|"]
    whole = next(one.latency.ms for one in networks if one.name == MOBILENET_V3_SMALL)
    for one in sorted(networks, key=lambda one: (-one.factor, one.kind)):
        rows.append(
            f"| {one.name} | {milliseconds(one.latency)} ms | {one.latency.ms / whole:.3f} "
            f"| {_accuracy(one.accuracies)} | {len(one.trained)} |"
        )
    state = "trained" if is_written(results.trained_ms_file) else "random"
    note = (
        f"Latencies are of one session, with {state} weights. ± is the standard error of a latency "
        "and of a difference, and the standard deviation of an accuracy over its seeds."
    )
    lines = [*_doubts(networks), *_differences(networks), *_served_by_faster(networks)]
    return "\n".join([*rows, "", note, "", *lines])


def _doubts(networks: Sequence[_Network]) -> list[str]:
    """Latencies that are not to be relied on, and why."""
    return [
        f"- do not rely on the latency of {one.name}: {one.note}" for one in networks if one.note
    ]


def _served_by_faster(networks: Sequence[_Network]) -> list[str]:
    """Targets that a faster derived network serves better than their own."""
    derived = [one for one in networks if one.kind == "derived" and one.trained]
    if not derived:
        return []
    means = [
        Accuracy(fmean(one.accuracies), standard_error(one.accuracies))
        if len(one.trained) > 1
        else one.trained[0]
        for one in derived
    ]
    seeds = min((len(one.trained) for one in derived if len(one.trained) > 1), default=1)
    chosen = most_accurate_under(
        [one.factor for one in derived], means, standard_errors=beyond_noise(seeds)
    )
    return [
        f"- for {derived[place].factor:g}x take {derived[better].name}, which is "
        f"{_points(derived[better], derived[place])} more accurate and meets that target too"
        for place, better in enumerate(chosen)
        if better != place
    ]


def beyond_noise(seeds: int) -> float:
    """Return how many standard errors a difference must have that two of many seeds would need.

    An error that is found from few seeds may be far too small. So it is Student's t with the
    degrees of freedom of both networks, where chance passes it as seldom as two deviations.
    """
    if seeds < 2:
        return STANDARD_ERRORS
    return float(student.isf(NormalDist().cdf(-STANDARD_ERRORS), 2 * (seeds - 1)))


def _differences(networks: Sequence[_Network]) -> list[str]:
    """Derived networks against the others of the same factor, where both are trained.

    MobileNetV3-Small with its free channels is compared with the published one too.
    """
    lines = []
    for one, other in product(networks, networks):
        ours = one.kind == "derived" and other is not one
        free = one.kind == "free channels" and other.kind == "published"
        if (ours or free) and other.factor == one.factor and one.trained and other.trained:
            faster = one.latency.ms / other.latency.ms
            lines.append(
                f"- {one.name}: {_points(one, other)} against {other.name} at {faster:.3f} of its "
                "latency"
            )
    return lines


def _points(mine: _Network, theirs: _Network) -> str:
    """The difference of the means, with its standard error where there are seeds for one."""
    points = 100 * (fmean(mine.accuracies) - fmean(theirs.accuracies))
    seeds = f"{len(mine.trained)} and {number_of(len(theirs.trained), 'seed')}"
    my_error, their_error = standard_error(mine.accuracies), standard_error(theirs.accuracies)
    if my_error is None or their_error is None:
        return f"{points:+.1f} points ({seeds})"
    return f"{points:+.1f} ± {100 * hypot(my_error, their_error):.1f} points ({seeds})"


def _accuracy(found: list[float]) -> str:
    if not found:
        return "not trained"
    return percent(Accuracy(fmean(found), standard_deviation(found)))


def _path(results: ReproductionResults) -> str:
    """Predicted and measured latency: along the whole paths, and the network of each target."""
    steps = results.measured_steps()
    if not steps:
        return ""
    errors = {one: one.predicted.ms / one.measured.ms - 1 for one in steps}
    worst = max(steps, key=lambda one: abs(errors[one]))
    rows = [
        f"Along NetAdapt's paths of {number_of(len(steps), 'network')} the prediction is off by "
        f"{100 * fmean(map(abs, errors.values())):.1f} % on average, and at most by "
        f"{100 * errors[worst]:+z.1f} %, at step {worst.step} to {worst.factor:g}x.",
        "",
        "| network | step | target | predicted | measured | of the target |",
        "|---|---|---|---|---|---|",
    ]
    measured = {one.name: one.measured.ms for one in results.compared()}
    for factor, one in results.derived().items():
        ms = measured[name := f"derived-{factor:g}x"]
        rows.append(
            f"| {name} | {one.step} | {one.target_ms:.4g} ms | {one.predicted.ms:.4g} ms "
            f"| {ms:.4g} ms | {ms / one.target_ms:.3f} |"
        )
    return "\n".join(rows)


def _likeness(results: ReproductionResults) -> str:
    files = sorted((results.run.folder / "likeness").glob("*.json"))
    if not files:
        return ""
    found = {file.stem: records.read(file, Similarity) for file in files}
    names = [trait.name for trait in next(iter(found.values())).traits]
    rows = [
        f"| likeness to V3-Small | all | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for name, one in found.items():
        cells = ["fixed" if t.percentile is None else f"{t.percentile:.0f}" for t in one.traits]
        rows.append(f"| {name} | {one.percentile:.0f} | {' | '.join(cells)} |")
    count = next(iter(found.values())).networks
    note = f"Percentiles among {count} random networks at the same predicted latency."
    return "\n".join([*rows, "", note])


def _times(results: ReproductionResults) -> str:
    """Minutes of each stage, in all its sessions."""
    spent = results.run.read_seconds()
    if not spent:
        return ""
    calibration = spent.pop("calibration", 0.0)  # the stage's work, which the stage contains
    spent = {"calibrate": max(calibration, spent.pop("calibrate", 0.0)), **spent}
    rows = [f"| {stage} | {seconds / 60:.1f} min |" for stage, seconds in spent.items()]
    whole = f"| all | {sum(spent.values()) / 60:.1f} min |"
    return "\n".join(["| stage | time |", "|---|---|", *rows, whole])
