"""A model's own error, parted from that of the measurements that it is held against."""

from dataclasses import replace

import numpy as np
import pytest

from bneck.latency.measurements import Measurement
from bneck.latency.model import LatencyModel
from bneck.latency.timing import Timing
from bneck.latency.validation import CAREFUL, own_variance, validate
from bneck.space import presets
from bneck.space.architecture import Architecture

OWN, NOISE = 0.01, 0.02


def drawn(draw: np.random.Generator, spreads: np.ndarray, repeats: int) -> list[np.ndarray]:
    """Errors of networks of which the first 30 are measured ``repeats`` times, the others once."""
    own = draw.normal(0, np.hypot(OWN, spreads))
    counts = [repeats if number < 30 else 1 for number in range(len(spreads))]
    return [error + draw.normal(0, NOISE, n) for error, n in zip(own, counts, strict=True)]


def test_it_is_right_on_average_where_the_noise_is_larger() -> None:
    """300 networks of a model that is 1 % wrong, measured to 2 %, a tenth of them four times."""
    draw = np.random.default_rng(0)
    spreads = np.zeros(300)
    found = [own_variance(drawn(draw, spreads, 4), spreads) for _ in range(60)]
    assert np.mean(found) == pytest.approx(OWN**2, rel=0.15)
    assert min(found) > 0


def test_what_the_ensemble_admits_is_not_part_of_it() -> None:
    draw = np.random.default_rng(1)
    spreads = draw.uniform(0, 0.03, 2000)
    errors = drawn(draw, spreads, 10)
    assert own_variance(errors, spreads) == pytest.approx(OWN**2, rel=0.2)
    assert own_variance(errors, np.zeros(2000)) > 3 * OWN**2


def test_with_many_repeats_it_is_what_two_errors_of_a_network_have_in_common() -> None:
    """The closed form of one-way random effects: the mean product of two errors."""
    draw = np.random.default_rng(2)
    pairs = draw.normal(0, OWN, (3000, 1)) + draw.normal(0, NOISE / 2, (3000, 2))
    in_common = float(pairs.prod(axis=1).mean())
    assert own_variance(list(pairs), np.zeros(3000)) == pytest.approx(in_common, rel=0.03)


def test_a_variance_that_noise_hides_is_not_said_to_be_nothing() -> None:
    draw = np.random.default_rng(3)
    errors = list(draw.normal(0, NOISE, (60, 3)))  # nothing of the model's own
    assert 0 < own_variance(errors, np.zeros(60)) < (NOISE / 2) ** 2


def test_a_spoilt_timing_decides_little() -> None:
    draw = np.random.default_rng(4)
    errors = drawn(draw, np.zeros(300), 4)
    spoilt = [*errors, np.array([5.0])]
    assert own_variance(spoilt, np.zeros(301)) < 2 * own_variance(errors, np.zeros(300))


def test_a_model_that_is_never_wrong_has_none() -> None:
    assert own_variance([np.zeros(1)] * 5, np.zeros(5)) == 0.0


def timed(model: LatencyModel, arch: Architecture, error: float) -> Measurement:
    """A timing that the model's prediction of the network misses by so much."""
    ms = model.predict(arch).ms / (1 + error)
    timing = Timing(ms / model.reference_ms, 0.0, model.reference_ms, 0.0, 6, True)
    return Measurement("", arch, timing, 0.0)


def test_what_the_ensemble_admits_of_networks_of_the_fit_is_not_the_models_own_either(
    macs_model: LatencyModel,
) -> None:
    """Two members 3 % below and above their mean, and 300 networks that it misses by so much."""
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    apart = {
        name: [0.97 * np.mean(own), 1.03 * np.mean(own)]
        for name, own in macs_model.coefficients.items()
    }
    model = replace(macs_model, coefficients=apart, error=0.0)
    exact = timed(model, arch, 0.0)
    errors = np.random.default_rng(5).normal(0, 0.03, 300)
    found = validate(model, [exact] * 300, errors, [exact], [])
    assert CAREFUL < found.error < 0.02


def test_the_report_is_of_networks_and_not_of_timings(macs_model: LatencyModel) -> None:
    """Three networks, predicted 2 % and 20 % too high and 8 % too low; the first timed three times.

    Its timings are off by 4, 2 and 0 %; 1.02 - 1, 1.2 - 1 and 0.92 - 1 have a mean of 10 and a bias
    of 4.67 %.
    """
    archs = [
        presets.build("mobilenet_v3_small", width=width, resolution_px=64, classes=10)
        for width in (0.5, 0.75, 1.0)
    ]

    held_out = [
        timed(macs_model, archs[number], error)
        for number, error in ((0, 0.04), (0, 0.02), (1, 0.20), (2, -0.08))
    ]
    again = [timed(macs_model, archs[0], 0.0)]
    found = validate(macs_model, [], np.array([]), held_out, again)
    report = found.report
    assert report.held_out == 3
    assert report.mape_percent == pytest.approx(10)
    assert report.bias_percent == pytest.approx(14 / 3)
    assert report.within_5_percent == pytest.approx(100 / 3)
    assert report.within_10_percent == pytest.approx(200 / 3)
    assert report.repeat_mape_percent == pytest.approx(2)  # the first two timings
    for arch, (predicted, measured), error in zip(
        archs, found.held_out, (0.02, 0.2, -0.08), strict=True
    ):
        assert predicted == macs_model.predict(arch).ms
        assert predicted / measured - 1 == pytest.approx(error)


def test_a_model_is_no_surer_than_the_measurements_that_it_is_held_against(
    macs_model: LatencyModel,
) -> None:
    """Of a clock without noise it is wrong by a few thousandths."""
    assert CAREFUL < macs_model.error < 1.5 * CAREFUL
