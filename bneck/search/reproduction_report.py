"""What a reproduction has come to so far, in Markdown that can be checked line by line."""

from statistics import fmean, stdev

from bneck.results import codec
from bneck.results.likeness import Likeness
from bneck.search.reproduction import PUBLISHED, Compared, Reproduction


def summary(work: Reproduction) -> str:
    """Tables of accuracy at equal latency, of the path, and of likeness; stages not done are so."""
    parts = [_comparison(work), _path(work), _likeness(work)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _comparison(work: Reproduction) -> str:
    rows = ["| network | latency | of V3-Small | accuracy | seeds |", "|---|---|---|---|---|"]
    compared = work.compared()
    if not compared:
        return "Nothing is measured yet."
    whole = next(one.measured_ms for one in compared if one.name == PUBLISHED)
    for one in sorted(compared, key=lambda one: (-one.factor, one.kind)):
        found = [training.accuracy for training in work.trainings(one)]
        rows.append(
            f"| {one.name} | {one.measured_ms:.4g} ms | {one.measured_ms / whole:.3f} "
            f"| {_accuracy(found)} | {len(found)} |"
        )
    return "\n".join([*rows, "", *_differences(work, compared)])


def _differences(work: Reproduction, compared: tuple[Compared, ...]) -> list[str]:
    """Derived less what stands beside it at the same factor, where both are trained."""
    lines = []
    for one in compared:
        if one.kind != "derived":
            continue
        mine = [training.accuracy for training in work.trainings(one)]
        for other in compared:
            theirs = [training.accuracy for training in work.trainings(other)]
            if other.factor == one.factor and other is not one and mine and theirs:
                points = 100 * (fmean(mine) - fmean(theirs))
                faster = one.measured_ms / other.measured_ms
                lines.append(
                    f"- {one.name}: {points:+.1f} points against {other.name} at {faster:.3f} of "
                    f"its latency ({len(mine)} and {len(theirs)} seeds)"
                )
    return lines


def _accuracy(found: list[float]) -> str:
    if not found:
        return "not trained"
    spread = f" ± {100 * stdev(found):.1f}" if len(found) > 1 else ""
    return f"{100 * fmean(found):.1f}{spread} %"


def _path(work: Reproduction) -> str:
    walked = work.walked()
    if not walked:
        return ""
    errors = [abs(one.predicted_ms / one.measured_ms - 1) for one in walked]
    return (
        f"Along NetAdapt's path of {len(walked)} networks the prediction is off by "
        f"{100 * fmean(errors):.1f} % on average and {100 * max(errors):.1f} % at most."
    )


def _likeness(work: Reproduction) -> str:
    files = sorted((work.run.folder / "likeness").glob("*.json"))
    if not files:
        return ""
    found = {file.stem: codec.read(file, Likeness) for file in files}
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
