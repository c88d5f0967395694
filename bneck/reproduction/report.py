"""The results of a reproduction so far, in Markdown that can be checked line by line."""

from math import hypot
from statistics import NormalDist, fmean

from scipy.stats import t as student

from bneck import records
from bneck.derivation.stages.best_under_target import STANDARD_ERRORS, most_accurate_under
from bneck.files import is_written, read_json
from bneck.quantities import Accuracy, Latency, standard_deviation, standard_error
from bneck.reproduction.measuring import MeasuredAgain, MeasuredNetwork
from bneck.reproduction.results import ReproductionResults
from bneck.results import static_figures
from bneck.results.similarity import Likeness
from bneck.results.units import milliseconds, percent
from bneck.space.presets import MOBILENET_V3_SMALL


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
    for one in sorted(results.compared(), key=lambda one: one.kind):  # derived first
        name = "width multiplier" if one.kind == "published" else one.kind
        found = results.accuracies(one)
        lines.setdefault(name, []).append((_latency(results, one).ms, found))
    if any(found for networks in lines.values() for _, found in networks):
        static_figures.save(static_figures.family(lines), folder / "family.svg")


def _comparison(results: ReproductionResults) -> str:
    rows = ["| network | latency | of V3-Small | accuracy | seeds |", "|---|---|---|---|---|"]
    compared = results.compared()
    if not compared:
        return "Nothing is measured yet."
    whole = next(_latency(results, one).ms for one in compared if one.name == MOBILENET_V3_SMALL)
    for one in sorted(compared, key=lambda one: (-one.factor, one.kind)):
        found = results.accuracies(one)
        took = _latency(results, one)
        rows.append(
            f"| {one.name} | {milliseconds(took)} ms | {took.ms / whole:.3f} "
            f"| {_accuracy(found)} | {len(found)} |"
        )
    state = "trained" if results.measured_again() else "random"
    note = (
        f"Latencies are of one session, with {state} weights. ± is the standard error of a latency "
        "and of a difference, and the standard deviation of an accuracy over its seeds."
    )
    lines = [
        *_doubts(results, compared),
        *_differences(results, compared),
        *_falls(results, compared),
    ]
    return "\n".join([*rows, "", note, "", *lines])


def _latest(results: ReproductionResults, one: MeasuredNetwork) -> MeasuredNetwork | MeasuredAgain:
    """The measurement with trained weights, once there is one."""
    return results.measured_again().get(one.name, one)


def _latency(results: ReproductionResults, one: MeasuredNetwork) -> Latency:
    return _latest(results, one).measured


def _doubts(results: ReproductionResults, compared: tuple[MeasuredNetwork, ...]) -> list[str]:
    """Latencies that are not to be relied on, and why."""
    notes = {one.name: _latest(results, one).note for one in compared}
    return [
        f"- do not rely on the latency of {name}: {note}" for name, note in notes.items() if note
    ]


def _falls(results: ReproductionResults, compared: tuple[MeasuredNetwork, ...]) -> list[str]:
    """Targets that a faster derived network serves better than their own."""
    derived = [one for one in compared if one.kind == "derived" and results.accuracies(one)]
    if not derived:
        return []
    found = [results.accuracies(one) for one in derived]
    means = [
        Accuracy(fmean(each), standard_error(each))
        if len(each) > 1
        else next(results.trainings(one)).accuracy
        for one, each in zip(derived, found, strict=True)
    ]
    seeds = min((len(each) for each in found if len(each) > 1), default=1)
    chosen = most_accurate_under(
        [one.factor for one in derived], means, standard_errors=beyond_noise(seeds)
    )
    return [
        f"- for {derived[place].factor:g}x take {derived[better].name}, which is "
        f"{_points(found[better], found[place])} more accurate and meets that target too"
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


def _differences(results: ReproductionResults, compared: tuple[MeasuredNetwork, ...]) -> list[str]:
    """Derived networks against the others of the same factor, where both are trained.

    MobileNetV3-Small with its free channels is compared with the published one too.
    """
    found = {one: results.accuracies(one) for one in compared}
    lines = []
    for one in compared:
        for other in compared:
            ours = one.kind == "derived" and other is not one
            free = one.kind == "free channels" and other.kind == "published"
            if (ours or free) and other.factor == one.factor and found[one] and found[other]:
                faster = _latency(results, one).ms / _latency(results, other).ms
                lines.append(
                    f"- {one.name}: {_points(found[one], found[other])} against {other.name} at "
                    f"{faster:.3f} of its latency"
                )
    return lines


def _points(mine: list[float], theirs: list[float]) -> str:
    """The difference of the means, with its standard error where there are seeds for one."""
    points = 100 * (fmean(mine) - fmean(theirs))
    seeds = f"{len(mine)} and {len(theirs)} seeds"
    my_error, their_error = standard_error(mine), standard_error(theirs)
    if my_error is None or their_error is None:
        return f"{points:+.1f} points ({seeds})"
    return f"{points:+.1f} ± {100 * hypot(my_error, their_error):.1f} points ({seeds})"


def _accuracy(found: list[float]) -> str:
    if not found:
        return "not trained"
    return percent(Accuracy(fmean(found), standard_deviation(found)))


def _path(results: ReproductionResults) -> str:
    """Predicted and measured latency: along the whole paths, and the network of each target."""
    walked = results.walked()
    if not walked:
        return ""
    errors = {one: one.predicted.ms / one.measured.ms - 1 for one in walked}
    worst = max(walked, key=lambda one: abs(errors[one]))
    rows = [
        f"Along NetAdapt's paths of {len(walked)} networks the prediction is off by "
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
    found = {file.stem: records.read(file, Likeness) for file in files}
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
    if not is_written(results.run.seconds):
        return ""
    spent = read_json(results.run.seconds)
    calibration = spent.pop("calibration", 0.0)  # the stage's work, which the stage contains
    spent = {"calibrate": max(calibration, spent.pop("calibrate", 0.0)), **spent}
    rows = [f"| {stage} | {seconds / 60:.1f} min |" for stage, seconds in spent.items()]
    whole = f"| all | {sum(spent.values()) / 60:.1f} min |"
    return "\n".join(["| stage | time |", "|---|---|", *rows, whole])
