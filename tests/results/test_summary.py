"""What a run says of its outcome, sentence by sentence."""

from dataclasses import replace

import numpy as np
import pytest

from bneck.quantities import Accuracy, Latency, difference
from bneck.results.classification import classification
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.results.stage_result import Found
from bneck.results.summary import (
    against,
    finished_stage,
    is_met,
    only_answer,
    reservations,
    standing,
    unfinished,
    verdict,
)


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        (1.48, "The target of 1.50 ms is met: 1.48 ± 0.03 ms measured."),
        (1.5, "The target of 1.50 ms is met: 1.50 ± 0.03 ms measured."),
        (1.51, "The target of 1.50 ms is missed by 0.7 %: 1.51 ± 0.03 ms measured."),
        (1.5003, "The target of 1.50 ms is missed by 0.02 %: 1.50 ± 0.03 ms measured."),
        (1.68, "The target of 1.50 ms is missed by 12.0 %: 1.68 ± 0.03 ms measured."),
        (
            None,
            "The target of 1.50 ms is met with 90 % confidence by the latency model alone: 1.46 ± "
            "0.02 ms predicted, not measured.",
        ),
    ],
)
def test_the_target(outcome: Outcome, measured: float | None, sentence: str) -> None:
    latency = None if measured is None else Latency(measured, 0.03)
    assert verdict(replace(outcome, measured=latency)) == sentence


def test_a_prediction_too_near_the_target_does_not_meet_it(outcome: Outcome) -> None:
    near = replace(outcome, measured=None, predicted=Latency(1.46, 0.04))  # 1.46 + 1.28 * 0.04
    assert verdict(near).startswith("The target of 1.50 ms is not met with 90 % confidence")
    assert not is_met(near)


def test_a_faster_targets_network_is_said_whether_measured_or_predicted(outcome: Outcome) -> None:
    faster = replace(outcome, derived_for_ms=1.2)
    words = "It is the network derived for 1.20 ms: more accurate than the one derived for this"
    for one in (faster, replace(faster, measured=None)):
        assert reservations(one) == f"{words} target."
    assert reservations(outcome) == ""


def test_a_doubtful_measurement_is_said(outcome: Outcome) -> None:
    busy = replace(outcome, note="other programs used 1.2 cores during the measurement")
    assert "Do not rely on it: other programs used 1.2 cores during" in reservations(busy)
    assert verdict(busy) == verdict(outcome)  # the title of its report stays short


def test_a_doubtful_measurement_of_a_baseline_is_said(outcome: Outcome, baseline: Baseline) -> None:
    busy = replace(baseline, note="other programs used 1.2 cores during the measurement")
    assert against(outcome, busy) == (
        f"{against(outcome, baseline)} Do not rely on mobilenet_v3_small's latency: other programs "
        "used 1.2 cores during the measurement."
    )


def test_networks_that_nothing_measured_are_compared_by_their_predictions(
    outcome: Outcome, baseline: Baseline
) -> None:
    predicted = replace(baseline, measured=None, predicted=Latency(1.9, 0.02))
    assert against(replace(outcome, measured=None, predicted=Latency(1.52)), predicted).startswith(
        "It classifies 93.0 ± 0.8 % of the validation images right; mobilenet_v3_small, trained "
        "the same way, 94.0 ± 0.8 % in 1.90 ms (predicted). The derived network takes 20 % less "
        "time and is 1.0 points less accurate"
    )
    assert "takes 22 % less time" in against(outcome, predicted)  # 1.48 ms, measured
    assert against(outcome, replace(predicted, predicted=None)) == ""


@pytest.mark.parametrize(
    ("accuracy", "ending"),
    [
        (0.93, "is 1.0 points less accurate, within two standard errors of the difference."),
        (0.92, "is 2.0 points less accurate, within two standard errors of the difference."),
        (0.915, "is 2.5 points less accurate, beyond two standard errors of the difference."),
        (0.90, "is 4.0 points less accurate, beyond two standard errors of the difference."),
        (0.95, "is 1.0 points more accurate, within two standard errors of the difference."),
        (0.94, "is just as accurate."),
    ],
)
def test_beside_a_baseline(
    outcome: Outcome, baseline: Baseline, accuracy: float, ending: str
) -> None:
    """Two standard errors of 0.8 points make 2.3 points of the difference."""
    sentence = against(replace(outcome, accuracy=Accuracy(accuracy, 0.008)), baseline)
    assert sentence.endswith(ending)
    assert "takes 21 % less time" in sentence
    assert "mobilenet_v3_small, trained and measured the same way, 94.0 ± 0.8 % in 1.88 ms" in (
        sentence
    )


def test_beside_a_baseline_on_the_same_images(outcome: Outcome, baseline: Baseline) -> None:
    ahead = replace(outcome, accuracy=Accuracy(0.955, 0.008), lead=Accuracy(0.015, 0.007))
    for name, side in (("mobilenet_v3_small", "beyond"), ("another", "within")):
        sentence = against(ahead, replace(baseline, name=name))
        assert sentence.endswith(f"is 1.5 points more accurate, {side} two standard errors of the "
                                 "difference.")  # fmt: skip


def test_beside_a_baseline_of_unknown_error(outcome: Outcome, baseline: Baseline) -> None:
    ahead = replace(outcome, accuracy=Accuracy(0.955, 0.008))
    unknown = replace(baseline, accuracy=Accuracy(0.94))
    assert ahead.accuracy is not None
    assert unknown.accuracy is not None
    lead = difference(ahead.accuracy, unknown.accuracy)  # as a run's result keeps it
    for one in (ahead, replace(ahead, lead=lead)):
        assert against(one, unknown).endswith(" and is 1.5 points more accurate.")


def test_the_last_figure_is_that_of_the_test_images(outcome: Outcome, baseline: Baseline) -> None:
    """Of both networks, in the order of the sentence before; nothing while one is unknown."""
    tested = replace(outcome, test_accuracy=Accuracy(0.925, 0.011))
    assert "test images" not in against(tested, baseline)
    sentence = against(tested, replace(baseline, test_accuracy=Accuracy(0.931, 0.01)))
    assert sentence.startswith(against(outcome, baseline))
    assert sentence.endswith(
        " On the test images, which chose nothing, 92.5 ± 1.1 % and 93.1 ± 1.0 % are right."
    )


def test_nothing_is_said_before_it_is_known(outcome: Outcome, baseline: Baseline) -> None:
    assert against(outcome, replace(baseline, accuracy=None)) == ""
    assert against(replace(outcome, measured=None), baseline) == ""


def test_unfinished_runs(record: Record, step: Step) -> None:
    failed = replace(record, accuracy=None, error="diverged")
    assert unfinished("running", [], [], None) == (
        "This derivation is still going.",
        "No network has been tried yet.",
    )
    assert unfinished("stopped", [failed], [], 1.5)[1] == (
        "None of 1 network tried so far could be scored."
    )
    assert unfinished("stopped", [record, failed], [step], 1.5)[1] == (
        "2 networks tried so far, 1 without a score. "
        "NetAdapt has taken 1 step and is at 1.93 ms (predicted), of 1.50 ms wanted."
    )


def test_what_one_stage_found(record: Record) -> None:
    one = Found(
        "network 7", record.arch, Accuracy(0.81), 1.5, Latency(1.6, 0.02), Latency(1.62, 0.03)
    )
    title, text = finished_stage([one], "search")
    assert title == "The search names network 7: 1.62 ± 0.03 ms measured."
    assert "a proxy: 81.0 %. As the best of many it is too high on average" in text
    assert "`" not in text  # the page shows it as it is
    assert finished_stage([one], "NetAdapt")[0] == (
        "The target of 1.50 ms is missed: 1.62 ± 0.03 ms measured."
    )
    faster = replace(one, measured=Latency(1.48))
    assert finished_stage([faster, one], "NetAdapt")[0] == "1 of 2 targets are met, as measured."
    busy = replace(one, note="other programs used 64 % of this core during the measurement")
    said = "Do not rely on it: other programs used 64 % of this core during the measurement."
    assert finished_stage([busy], "NetAdapt")[1] == said
    assert finished_stage([busy, busy, faster], "NetAdapt")[1] == said
    assert finished_stage([busy], "search")[1].startswith(f"{said} Accuracy there is a proxy")


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (1.985, "takes the same time"),
        (2.015, "takes the same time"),
        (1.96, "takes 2 % less time"),
        (2.04, "takes 2 % more time"),
    ],
)
def test_times_within_a_hundredth_are_the_same(
    outcome: Outcome, baseline: Baseline, ms: float, words: str
) -> None:
    """A measurement of the same network again differs by as much."""
    two = replace(baseline, measured=Latency(2.0))
    assert f"The derived network {words} and is" in against(
        replace(outcome, measured=Latency(ms)), two
    )


def test_the_accurate_end_of_a_long_front_is_shown(record: Record) -> None:
    found = [
        replace(record, number=n, latency_ms=float(n), accuracy=n / 100, reward=None)
        for n in range(1, 13)
    ]
    _, _, *lines = standing(found).splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [str(n) for n in range(5, 13)]


def test_how_a_search_stands(record: Record) -> None:
    failed = replace(record, number=8, accuracy=None, reward=None, error="diverged")
    slower = replace(record, number=9, accuracy=0.9, latency_ms=2.5, reward=0.7)
    assert standing([failed]) == "1 failed"
    assert standing([record, failed, slower]).splitlines() == [
        "best so far: accuracy 0.810 at 1.9 ms; 1 failed",
        "the front so far:",
        "  1.90 ms  accuracy 0.810  network 7  <- best reward",
        "  2.50 ms  accuracy 0.900  network 9",
    ]
    no_reward = [replace(one, reward=None) for one in (slower, record)]
    assert standing(no_reward).splitlines() == [
        "front so far: accuracy 0.810 at 1.9 ms to accuracy 0.900 at 2.5 ms",
        "the front so far:",
        "  1.90 ms  accuracy 0.810  network 7",
        "  2.50 ms  accuracy 0.900  network 9",
    ]


@pytest.mark.parametrize(
    ("given", "labels", "name"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 1], "'a cat'"),
        ([2, 2], [0, 1], "'o\\x1b'"),
        ([0, 1, 0, 0], [0, 0, 0, 1], ""),
        ([0, 0, 0], [0, 0, 0], ""),  # all images are of that class
    ],
)
def test_a_network_that_knows_one_answer_alone_is_called_so(
    given: list[int], labels: list[int], name: str
) -> None:
    """Three of four cats right, were it not that the network calls everything a cat."""
    shares = np.eye(3)[given]
    said = only_answer(classification(shares, np.array(labels), ["a cat", "dog", "o\x1b"]))
    assert said.startswith(f"It gives every image the class {name}, " if name else "")
    assert bool(said) == bool(name)
    assert only_answer(None) == ""
