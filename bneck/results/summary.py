"""The sentences a report begins with: was the target met, and is it any good?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bneck.quantities import CONFIDENCE, Accuracy, Latency, at_most_ms, difference
from bneck.results.pareto import front
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.results.stage_result import Found
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import number_of, one_line
from bneck.units import decimals, milliseconds, percent, spread_alone

if TYPE_CHECKING:
    from bneck.results.classification import Classification

FRONT_SHOWN = 8


def verdict(outcome: Outcome) -> str:
    """One sentence on the target: met or missed, by measurement where there is one."""
    places = decimals(outcome.target_ms)
    target = f"{milliseconds(outcome.target_ms, places)} ms"
    if outcome.measured is None:
        predicted = f"{milliseconds(outcome.predicted, places)} ms predicted, not measured"
        met, sure = ("met" if is_met(outcome) else "not met"), f"{100 * CONFIDENCE:.0f} %"
        return (
            f"The target of {target} is {met} with {sure} confidence by the latency model alone: "
            f"{predicted}."
        )
    measured = f"{milliseconds(outcome.measured, places)} ms measured"
    if is_met(outcome):
        return f"The target of {target} is met: {measured}."
    excess = spread_alone(100 * (outcome.measured.ms / outcome.target_ms - 1), 1)
    return f"The target of {target} is missed by {excess} %: {measured}."


def reservations(outcome: Outcome) -> str:
    """What else to know of that sentence: a doubtful measurement, another target's network."""
    found = [_unreliable(outcome.note)] if outcome.note else []
    if outcome.derived_for_ms is not None:
        faster = f"{milliseconds(outcome.derived_for_ms, decimals(outcome.target_ms))} ms"
        found.append(
            f"It is the network derived for {faster}: more accurate than the one derived for "
            "this target."
        )
    return " ".join(found)


def with_doubt(line: str, note: str) -> str:
    """Return a line, and behind it why its measurement is not to be relied on, if ``note`` says."""
    return f"{line}. {_unreliable(note)}" if note else line


def _unreliable(note: str, what: str = "it") -> str:
    return f"Do not rely on {what}: {note}."


def is_met(one: Outcome | Found) -> bool:
    """Return whether the network measures at or under its target.

    One that could not be measured must be predicted under it with ``CONFIDENCE``.
    """
    target_ms = one.target_ms or 0.0
    if one.measured is None:
        return one.predicted is not None and at_most_ms(one.predicted) <= target_ms
    return one.measured.ms <= target_ms


def against(outcome: Outcome, baseline: Baseline) -> str:
    """Compare accuracy and time with a baseline in words; empty while any is unknown.

    A second sentence gives the accuracies on test images, if there are any, and a third says where
    the baseline's latency is not to be relied on.
    """
    if outcome.accuracy is None or baseline.accuracy is None:
        return ""
    own, other = outcome.measured or outcome.predicted, baseline.measured or baseline.predicted
    if other is None or (baseline.measured and not outcome.measured):
        return ""
    doubt = _unreliable(baseline.note, f"{baseline.name}'s latency") if baseline.note else ""
    sentence = (
        f"It classifies {percent(outcome.accuracy)} of the validation "
        f"images right; {baseline.name}, trained {'and measured ' if baseline.measured else ''}"
        f"the same way, {percent(baseline.accuracy)} in "
        f"{milliseconds(other.ms, decimals(outcome.target_ms))} ms"
        f"{'' if baseline.measured else ' (predicted)'}. The derived "
        f"network {_time(own.ms / other.ms - 1)} and is "
        f"{_points(_lead(outcome, baseline))}.{_on_test_images(outcome, baseline)}"
    )
    return f"{sentence} {doubt}".strip()


def only_answer(figures: "Classification | None") -> str:
    """Return the sentence on a network that gives images of several classes one and the same.

    Its accuracy is no more than that class's share of the images. Empty for all others.
    """
    classes = () if figures is None else figures.classes
    given = [one.name for one in classes if one.precision is not None]
    if len(given) != 1 or sum(bool(one.images) for one in classes) < 2:
        return ""
    return (
        f"It gives every image the class '{one_line(given[0])}', whatever is shown: it has learnt "
        "nothing that tells the classes apart. Longer training (--epochs) may help."
    )


def unfinished(
    state: str,
    records: Sequence[Record],
    steps: Sequence[Step],
    target_ms: float | None,
    what: str = "derivation",
) -> tuple[str, str]:
    """Title and text for a run without an outcome.

    Args:
        state: the run's: "running", "finished" or another word where it was stopped.
        records: the search's networks so far.
        steps: NetAdapt's so far.
        target_ms: latency to reach; None where it is not known.
        what: a derivation, or another run.
    """
    title = {
        "running": f"This {what} is still going.",
        "finished": "This run ended without a derived network.",
    }.get(state, f"This {what} was stopped; run the same command to resume it.")
    failed = [record for record in records if record.accuracy is None]
    if not records:
        text = "No network has been tried yet."
    elif len(failed) == len(records):
        text = f"None of {number_of(len(records), 'network')} tried so far could be scored."
    else:
        text = f"{number_of(len(records), 'network')} tried so far"
        text += f", {len(failed)} without a score." if failed else "."
    taken = [step for step in steps if step.move]
    if taken:
        last = taken[-1]
        text += f" NetAdapt has taken {number_of(len(taken), 'step')} and is at "
        text += f"{milliseconds(last.latency_ms)} ms (predicted)"
        text += "." if target_ms is None else f", of {milliseconds(target_ms)} ms wanted."
    return title, text


def finished_stage(found: Sequence[Found], by: str) -> tuple[str, str]:
    """Title and text for a run that one stage alone made: a search, NetAdapt or a training."""
    first, several = found[0], len(found) > 1
    doubts = " ".join(map(_unreliable, dict.fromkeys(one.note for one in found if one.note)))
    if by == "training":
        tested = first.test_accuracy
        on_test = "" if tested is None else f", and {percent(tested)} of the test images"
        right = f"{_share(first)} of the validation images{on_test} are right"
        return f"{first.name} is trained: {right}.", ""
    if by == "search":
        title = f"The search names {first.name}: {_measured(first)}."
        if several:
            title = f"The search names a network for each of {len(found)} targets."
        text = (
            f"Accuracy there is a proxy: {' and '.join(_share(one) for one in found)}. As the best "
            "of many it is too high on average: part of it is chance. A search keeps at or "
            "somewhat above its target; bneck shrink takes off the rest."
        )
        return title, f"{doubts} {text}".strip()
    met = [one for one in found if is_met(one)]
    if several:
        number = "All" if len(met) == len(found) else f"{len(met)} of"
        how = "measured" if first.measured else "predicted"
        return f"{number} {len(found)} targets are met, as {how}.", doubts
    word = "met" if met else "missed"
    target = f"{milliseconds(first.target_ms)} ms"
    return f"The target of {target} is {word}: {_measured(first)}.", doubts


def in_words(predicted: Latency, measured: Latency | None) -> str:
    """Return a network's latency in words: measured, or predicted where nothing was measured."""
    if measured is None:
        return f"{milliseconds(predicted)} ms predicted, not measured"
    return f"{milliseconds(measured)} ms measured ({milliseconds(predicted)} predicted)"


def _measured(one: Found) -> str:
    if one.measured is None and one.predicted is not None:
        return in_words(one.predicted, None)
    return f"{milliseconds(one.measured)} ms measured"


def _share(one: Found) -> str:
    return "no accuracy" if one.accuracy is None else percent(one.accuracy)


def standing(records: Sequence[Record]) -> str:
    """How far a search is: its best network in one line, then its Pareto front, a line for each.

    Where no network has a reward, the first line says where the front begins and ends.
    """
    failed = sum(record.accuracy is None for record in records)
    failures = f"{failed} failed" if failed else ""
    best = front(records)
    if not best:
        return failures
    rewarded = [record for record in records if record.reward is not None]
    top = max(rewarded, key=lambda record: (record.reward or 0.0, -record.number), default=None)
    ends = (best[0], best[-1]) if top is None else (top,)
    shown = " to ".join(f"accuracy {one.accuracy:.3f} at {one.latency_ms:.3g} ms" for one in ends)
    first = f"{'front' if top is None else 'best'} so far: {shown}"
    lines = ["; ".join(filter(None, (first, failures))), "the front so far:"]
    for record in best[-FRONT_SHOWN:]:
        mark = "  <- best reward" if record is top else ""
        shown = f"{milliseconds(record.latency_ms)} ms"
        lines.append(f"  {shown}  accuracy {record.accuracy:.3f}  network {record.number}{mark}")
    return "\n".join(lines)


def _time(change: float) -> str:
    if abs(change) < 0.01:
        return "takes the same time"
    return f"takes {100 * abs(change):.0f} % {'less' if change < 0 else 'more'} time"


def _on_test_images(outcome: Outcome, baseline: Baseline) -> str:
    if outcome.test_accuracy is None or baseline.test_accuracy is None:
        return ""
    found = f"{percent(outcome.test_accuracy)} and {percent(baseline.test_accuracy)}"
    return f" On the test images, which chose nothing, {found} are right."


def _lead(outcome: Outcome, baseline: Baseline) -> Accuracy:
    """The difference of the accuracies, in pairs where that is known."""
    if outcome.lead is not None and baseline.name == MOBILENET_V3_SMALL:
        return outcome.lead
    return difference(outcome.accuracy or Accuracy(0.0), baseline.accuracy or Accuracy(0.0))


def _points(lead: Accuracy) -> str:
    if abs(lead.value) < 0.0005:
        return "just as accurate"
    text = f"{100 * abs(lead.value):.1f} points {'more' if lead.value > 0 else 'less'} accurate"
    if lead.stderr is None:
        return text
    side = "within" if abs(lead.value) <= 2 * lead.stderr else "beyond"
    return f"{text}, {side} two standard errors of the difference"
