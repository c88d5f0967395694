"""How features are weighed, and how much each timing counts."""

from pathlib import Path

import numpy as np
import pytest

from bneck.latency.feature_table import FeatureTable
from bneck.latency.features import Blocking
from bneck.latency.fit import MISFIT, cross_validated, fit, relative_error, trusted, weigh
from bneck.latency.measurements import Measurement, read
from bneck.latency.timing import Timing
from bneck.space.architecture import Architecture
from bneck.space.blocks import PlainConv
from bneck.space.cost import cost
from bneck.space.heads import PoolLinear

ALIKE = np.ones(4)


def test_a_timing_that_scattered_counts_less() -> None:
    """As much as a fit misses of any network: half as much, by variances, and 1 on average."""
    timings = [Timing(1.0, spread, 1.0, 0.02, 6, True) for spread in (0.0, MISFIT)]
    assert trusted(timings).tolist() == pytest.approx([4 / 3, 2 / 3])


@pytest.mark.parametrize(("name", "evidence"), [("macs", 0.05), ("macs @14", 100.0)])
def test_a_feature_is_held_down_as_by_so_many_networks_that_it_costs_nothing(
    name: str, evidence: float
) -> None:
    """By ridge regression on relative errors: n networks of 3 ms a unit say 3 n / (n + ridge)."""
    values = np.array([[1.0], [2.0], [5.0], [9.0]])
    (found,) = weigh([name], values, 3 * values[:, 0], ALIKE)
    assert found == pytest.approx(3 * 4 / (4 + evidence))


def test_noise_does_not_make_coefficients_lean_low() -> None:
    """Two timings of one network, 1 and 2 ms: by errors relative to each it were 1.2, not 1.5."""
    (found,) = weigh(["macs"], np.ones((2, 1)), np.array([1.0, 2.0]), np.ones(2))
    assert found == pytest.approx(1.5 * 2 / 2.05)


def test_a_timing_weighs_as_much_as_it_is_trusted() -> None:
    """Of 1 and 2 ms of one network the first counts three times as much: 1.25 ms."""
    (found,) = weigh(["macs"], np.ones((2, 1)), np.array([1.0, 2.0]), np.array([1.5, 0.5]))
    assert found == pytest.approx(1.25 * 2 / 2.05)


def members_over_true(wrong: list[float], spreads: list[float]) -> np.ndarray:
    """(networks, members) what the ensemble predicts of 40 networks, over what they take.

    Args:
        wrong: of each timing, by so much more it is than what the network takes.
        spreads: what each timing says of itself.
    """
    archs = [
        Architecture(PlainConv(3, 8), ((PlainConv(3, 8 + number),),), PoolLinear(), 10, 16)
        for number in range(40)
    ]
    true_ms = np.array([cost(arch).macs / 1e6 for arch in archs])
    items = [
        Measurement("", arch, Timing(ms * (1 + error), spread, 1.0, 0.0, 6, True), 0.0)
        for arch, ms, error, spread in zip(archs, true_ms.tolist(), wrong, spreads, strict=True)
    ]
    coefficients = fit(items, Blocking(1, 1)).coefficients
    names, values = FeatureTable(archs).under(Blocking(1, 1))
    return values @ np.array([coefficients[name] for name in names]) / true_ms[:, None]


def test_each_member_of_the_ensemble_trusts_each_of_its_timings_by_its_own_spread() -> None:
    """Every other network is timed at half as much again, and its timing scattered as much."""
    errors = [0.0, 0.5] * 20
    found = members_over_true(errors, errors)
    assert found == pytest.approx(np.ones_like(found), abs=0.05)


def test_the_members_of_the_ensemble_disagree_by_what_noise_leaves_open() -> None:
    """Of 5 % of noise the mean of 40 timings keeps 0.8 %; here more than a mean is sought."""
    noise = np.random.default_rng(0).normal(0, 0.05, 40).tolist()
    found = members_over_true(noise, [0.05] * 40)
    disagreement = float((found.std(axis=1) / found.mean(axis=1)).mean())
    assert 0.8 < disagreement / (0.05 / 40**0.5) < 3


def test_a_network_is_predicted_by_coefficients_that_did_not_see_it() -> None:
    """Of ten networks one alone has a second feature, which costs the others nothing."""
    values = np.zeros((10, 2))
    values[:, 0] = 1
    values[3, 1] = 1
    times = np.ones(10)
    times[3] = 5.0
    found = cross_validated(["a", "b"], values, times, np.ones(10))
    assert found == pytest.approx(np.ones(10), abs=0.02)


def test_an_error_counts_25_percent_at_most_and_by_its_trust() -> None:
    times = np.array([1.0, 1.0, 2.0])
    predicted = np.array([1.1, 0.8, 200.0])
    trust = np.array([1.0, 2.0, 1.0])
    expected = ((0.1**2 + 2 * 0.2**2 + 0.25**2) / 4) ** 0.5
    assert relative_error(predicted, times, trust) == pytest.approx(expected)


def test_a_fit_finds_by_how_much_load_slows_networks_less_than_the_reference(
    macs_folder: Path,
) -> None:
    """Timed on a machine that is up to 30 % slower, half of which the networks do not have."""
    items = read(macs_folder / "measurements.jsonl")[1][:100]
    slowness = np.random.default_rng(0).uniform(0.0, 0.26, len(items))
    loaded = [
        Measurement(
            item.name,
            item.arch,
            Timing(
                item.timing.ratio * np.exp(-0.5 * s),
                0.0,
                item.timing.reference_ms * np.exp(s),
                0.0,
                6,
                True,
            ),
            0.0,
        )
        for item, s in zip(items, slowness.tolist(), strict=True)
    ]
    found = fit(loaded, Blocking(1, 1))
    assert found.scale.load == pytest.approx(0.5, abs=0.01)
    assert np.abs(found.errors).mean() < 0.005
