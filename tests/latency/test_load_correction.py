"""How much of the reference's slowness under load a network has too."""

import numpy as np
import pytest

from bneck.latency.load_correction import LoadCorrection
from bneck.latency.timing import Timing


def timing(ratio: float, reference_ms: float) -> Timing:
    """A network's quiet timing, while the reference took so long."""
    return Timing(ratio, 0.01, reference_ms, 0.02, 6, True)


def test_on_an_ordinary_day_ms_is_ratio_times_reference() -> None:
    scale = LoadCorrection(2.0, load=0.4, load_by_size=0.2)
    assert scale.ms(timing(3.0, 2.0)) == pytest.approx(6.0)


def test_a_network_that_load_does_not_slow_keeps_its_time() -> None:
    # The reference doubled, the network did not: its ratio halved.
    assert LoadCorrection(2.0, load=1.0).ms(timing(1.5, 4.0)) == pytest.approx(6.0)
    assert LoadCorrection(2.0, load=0.0).ms(timing(3.0, 4.0)) == pytest.approx(6.0)


def test_no_network_loses_more_than_all_of_the_references_slowness() -> None:
    beyond = LoadCorrection(2.0, load=3.0), LoadCorrection(2.0, load=0.5, load_by_size=4.0)
    assert [scale.ms(timing(1.5, 4.0)) for scale in beyond] == pytest.approx([6.0, 6.0])
    assert LoadCorrection(2.0, load=-3.0).ms(timing(1.5, 4.0)) == pytest.approx(1.5)


def test_of_slowness_beyond_what_the_calibration_saw_a_network_has_all() -> None:
    """As of a machine at half its clock, when the calibration saw 5 % of another program's."""
    scale = LoadCorrection(2.0, load=0.5, seen_ms=(1.9, 2.1))
    assert scale.ms(timing(3.0, 4.0)) == pytest.approx(6.0 * 1.05**0.5)
    assert scale.ms(timing(3.0, 1.0)) == pytest.approx(6.0 * 0.95**0.5)
    assert scale.ms(timing(3.0, 2.1)) == pytest.approx(6.0 * 1.05**0.5)
    older = LoadCorrection(2.0, load=0.5)  # which did not say what they had seen
    assert older.ms(timing(3.0, 4.0)) == pytest.approx(6.0 * 2.0**0.5)


def test_the_correction_is_found_again() -> None:
    draw = np.random.default_rng(0)
    true_ms = draw.uniform(1.0, 8.0, size=300)
    slowness = draw.normal(0.0, 0.15, size=300)
    share = 0.3 + 0.2 * np.log(true_ms / 2.0)
    ratios = true_ms / 2.0 * np.exp(-share * slowness)
    timings = [timing(r, 2.0 * np.exp(s)) for r, s in zip(ratios, slowness, strict=True)]
    scale = LoadCorrection(2.0).corrected(timings, true_ms)
    assert scale.load == pytest.approx(0.3, abs=0.03)
    assert scale.load_by_size == pytest.approx(0.2, abs=0.03)


def test_what_noise_alone_says_of_load_is_hardly_believed() -> None:
    """73 networks, predicted to 6 % while the reference moved by 2 %: shares of 0.4 came of it."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(100):
        ratios = np.exp(draw.normal(0.0, 0.3, size=73))
        references_ms = 2.0 * np.exp(draw.normal(0.0, 0.02, size=73))
        timings = [timing(*each) for each in zip(ratios, references_ms, strict=True)]
        predicted = 2.0 * ratios * np.exp(draw.normal(0.0, 0.06, size=73))
        scale = LoadCorrection(2.0).corrected(timings, predicted)
        found.append((scale.load, scale.load_by_size))
    assert np.sqrt(np.mean(np.square(found), axis=0)).max() < 0.2


def test_without_load_nothing_is_corrected() -> None:
    timings = [timing(ratio, 2.0) for ratio in (1.0, 2.0, 3.0)]
    scale = LoadCorrection.uncorrected(timings, classes=1000)
    assert scale.corrected(timings, np.array([2.2, 4.1, 5.9])) == LoadCorrection(2.0, classes=1000)


def test_the_ordinary_reference_is_the_median_one() -> None:
    timings = [timing(1.0, ms) for ms in (2.0, 2.1, 9.0)]
    assert LoadCorrection.uncorrected(timings, classes=10) == LoadCorrection(2.1, classes=10)


@pytest.mark.parametrize(("unrest", "corrected"), [(0.005, False), (0.02, True)])
def test_a_reference_that_hardly_moved_tells_nothing_of_load(
    unrest: float, corrected: bool
) -> None:
    """Half of its slowness is not the network's; from a deviation of 1 % on that counts."""
    slowness = unrest * np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    ratios = np.array([1.0, 1.0, 2.0, 2.0, 4.0, 4.0])
    timings = [
        timing(r * np.exp(-0.5 * s), 2.0 * np.exp(s)) for r, s in zip(ratios, slowness, strict=True)
    ]
    found = LoadCorrection(2.0).corrected(timings, 2.0 * ratios)
    assert found.load == pytest.approx(0.5 if corrected else 0.0, abs=1e-6)


def test_a_network_that_the_model_misses_by_far_says_nothing_of_load() -> None:
    slowness = [-0.1, 0.1, -0.1, 0.1, 0.2, 0.0]
    ratios = [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    timings = [timing(r, 2.0 * np.exp(s)) for r, s in zip(ratios, slowness, strict=True)]
    predicted = 2.0 * np.array(ratios)
    predicted[4] *= 3
    found = LoadCorrection(2.0).corrected(timings, predicted)
    assert (found.load, found.load_by_size) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert found.seen_ms == pytest.approx((2.0 * np.exp(-0.1), 2.0 * np.exp(0.1)))


def test_where_the_model_misses_all_networks_by_far_nothing_is_learnt() -> None:
    """As of a kit's measurements that were edited: there was no smallest of no reference's ms."""
    timings = [timing(1.0, 1.9), timing(2.0, 2.1)]
    scale = LoadCorrection(2.0)
    assert scale.corrected(timings, np.array([20.0, 40.0])) == scale
