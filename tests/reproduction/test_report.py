"""What a reproduction's summary says, on the record of CIFAR-10 that is in the repository."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev, variance

import numpy as np
import pytest

from bneck import records
from bneck.quantities import Latency
from bneck.reproduction.measuring import MeasuredAgain, MeasuredStep
from bneck.reproduction.plan import ReproductionPlan
from bneck.reproduction.report import beyond_noise, draw, summary
from bneck.reproduction.results import ReproductionResults
from bneck.results.run import Run
from bneck.results.similarity import Similarity, Trait
from bneck.results.stage_record import Shrunk

RECORD = Path(__file__).parents[2] / "reproductions/mobilenet_v3_small/cifar10"


@pytest.fixture
def results(tmp_path: Path) -> ReproductionResults:
    """The record, as the folder of a reproduction with all its trainings done."""
    if not RECORD.exists():
        pytest.skip("the record of the reproduction is not in this copy of the source")
    shutil.copytree(RECORD / "trainings", tmp_path / "checkpoints")
    shutil.copyfile(RECORD / "compared.jsonl", tmp_path / "compared.jsonl")
    plan = ReproductionPlan(**Run.read(RECORD).plan)
    return ReproductionResults(Run(tmp_path, {}), plan)


def test_a_slower_target_is_told_to_take_the_faster_network(results: ReproductionResults) -> None:
    """1.5 x has 71.9 % from one seed; 1.0 x has 76.0 ± 0.7 from three."""
    text = summary(results)
    assert "- for 1.5x take derived-1x, which is +4.1 points (3 and 1 seed) more accurate" in text
    assert text.count(" take derived-") == 1
    assert "with random weights" in text


@pytest.mark.parametrize(("seeds", "errors"), [(1, 2.0), (2, 4.53), (3, 2.87), (1000, 2.0)])
def test_few_seeds_need_more_standard_errors(seeds: int, errors: float) -> None:
    """Student's t is beyond these with a probability of 2.3 %, for 2, 4 and many degrees."""
    assert beyond_noise(seeds) == pytest.approx(errors, abs=0.01)


def test_networks_that_are_equal_are_seldom_told_apart_by_three_seeds() -> None:
    draw_from = np.random.default_rng(0)
    ours, theirs = draw_from.normal(size=(2, 20_000, 3))
    ahead = ours.mean(1) - theirs.mean(1)
    errors = (ours.var(1, ddof=1) / 3 + theirs.var(1, ddof=1) / 3) ** 0.5
    assert (ahead > beyond_noise(3) * errors).mean() == pytest.approx(0.023, abs=0.005)
    assert (ahead > 2 * errors).mean() > 0.05


def test_one_training_has_no_spread(results: ReproductionResults) -> None:
    """The others of 1.0 x, 76.0 ± 0.7 % from three, are taken away."""
    for file in results.run.checkpoints.glob("derived-1x-seed[12].json"):
        file.unlink()
    text = summary(results)
    assert "| 0.997 | 76.4 % | 1 |" in text
    assert "derived-1x: +11.9 points (1 and 3 seeds) against mobilenet_v3_small at" in text
    assert "nan" not in text
    draw(results)
    assert (results.run.folder / "family.svg").exists()


def test_seeds_give_a_deviation_and_a_difference_of_means_its_standard_error(
    results: ReproductionResults,
) -> None:
    """Of two means of three: the root of the sum of both variances over three."""
    found = {
        one.name: [training.accuracy.value for training in results.trainings(one)]
        for one in results.compared()
    }
    ours, theirs = found["derived-1x"], found["mobilenet_v3_small"]
    points = 100 * (fmean(ours) - fmean(theirs))
    error = 100 * (variance(ours) / 3 + variance(theirs) / 3) ** 0.5
    text = summary(results)
    assert f"derived-1x: {points:+.1f} ± {error:.1f} points (3 and 3 seeds) against mob" in text
    assert f"| {100 * fmean(ours):.1f} ± {100 * stdev(ours):.1f} % | 3 |" in text


def test_predictions_are_off_by_their_share_of_what_was_measured(
    results: ReproductionResults,
) -> None:
    path = [
        MeasuredStep(1.0, 1, Latency(1.1), Latency(1.0)),
        MeasuredStep(0.6, 7, Latency(0.4), Latency(0.5)),
    ]
    records.write_lines(results.measured_steps_file, path)
    assert "off by 15.0 % on average, and at most by -20.0 %, at step 7 to 0.6x" in summary(results)


def test_a_network_is_compared_with_its_target_as_measured(results: ReproductionResults) -> None:
    (derived,) = [one for one in results.compared() if one.name == "derived-1x"]
    target_ms, predicted = 2 * derived.measured.ms, Latency(0.123, 0.001)
    shrunk = Shrunk(target_ms, derived.arch, 4, predicted, None, None, met=False)
    records.append(results.netadapt_run(1.0).shrunk, shrunk)
    records.write_lines(
        results.measured_steps_file, [MeasuredStep(1.0, 1, Latency(1.0), Latency(1.0))]
    )
    row = (
        f"| derived-1x | 4 | {target_ms:.4g} ms | 0.123 ms | {derived.measured.ms:.4g} ms | 0.500 |"
    )
    assert row in summary(results)


def test_a_prediction_that_is_right_is_not_off_by_minus_nothing(
    results: ReproductionResults,
) -> None:
    path = [MeasuredStep(1.0, 1, Latency(0.99999), Latency(1.0))]
    records.write_lines(results.measured_steps_file, path)
    assert "0.0 % on average, and at most by +0.0 %, at step 1 to 1x" in summary(results)


def test_latencies_with_trained_weights_replace_the_others(results: ReproductionResults) -> None:
    compared = results.compared()
    measured = {one.name: one.measured for one in compared}
    measured["derived-1x"] = Latency(0.5, 0.01)
    file = results.run.folder / "measured_trained.jsonl"
    records.write_lines(file, [MeasuredAgain(name, ms) for name, ms in measured.items()])
    text = summary(results)
    assert "| derived-1x | 0.500 ± 0.010 ms | 3.9" in text
    assert "with trained weights" in text


def test_a_latency_that_is_not_to_be_relied_on_is_named(results: ReproductionResults) -> None:
    compared = results.compared()
    assert "do not rely on" not in summary(results)
    busy = [replace(one, note="other programs used 9 % of this core") for one in compared[:1]]
    records.write_lines(results.compared_file, [*busy, *compared[1:]])
    line = (
        f"- do not rely on the latency of {compared[0].name}: other programs used 9 % of this core"
    )
    assert f"\n\n{line}\n" in summary(results)

    again = [MeasuredAgain(one.name, one.measured) for one in compared]
    records.write_lines(results.trained_ms_file, again)
    assert "do not rely on" not in summary(results)


def test_a_likeness_has_its_percentiles(results: ReproductionResults) -> None:
    free = Trait("h-swish", (4,), (0.0,), (0.0,), (0.5,), 0.0, 0.5, 97.0)
    traits = (free, replace(free, name="blocks", percentile=None))
    like = Similarity("mobilenet_v3_small", 0.2, 200, 88.0, 0.1, (0.2,), traits)
    records.write(results.run.folder / "likeness" / "derived-1x.json", like)
    assert (
        "| likeness to V3-Small | all | h-swish | blocks |\n|---|---|---|---|\n"
        "| derived-1x | 88 | 97 | fixed |\n\nPercentiles among 200 random networks"
    ) in summary(results)


def test_the_calibration_is_counted_once(results: ReproductionResults) -> None:
    """Ten minutes of calibrating are ten of the stage, whichever of the two was written."""
    seconds = results.run.folder / "seconds.json"
    for spent in ({"calibration": 600.0}, {"calibration": 594.0, "calibrate": 600.0}):
        seconds.write_text(json.dumps(spent | {"measure": 60.0}))
        text = summary(results)
        assert "| calibrate | 10.0 min |\n| measure | 1.0 min |\n| all | 11.0 min |" in text
