"""Rank correlations against scipy's, and the definition of "in band"."""

import numpy as np
import pytest
from scipy import stats

from bneck.proxies.surrogate.correlation import bootstrap, in_band, kendall, spearman


@pytest.mark.parametrize("seed", range(3))
def test_ranks_agree_with_scipy_ties_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = random.integers(0, 12, 60)
    b = a + random.normal(0, 4, 60).round()
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)


def test_a_constant_says_nothing() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) == kendall([1, 1, 1], [1, 2, 3]) == 0


def test_in_band_sees_only_networks_of_similar_cost() -> None:
    """A signal that is the cost itself ranks perfectly overall and, within bands, not at all."""
    random = np.random.default_rng(0)
    cost = np.repeat(np.arange(10.0), 50)
    truth = cost + random.uniform(0, 1, 500)
    assert spearman(cost, truth) > 0.99
    assert in_band(cost, truth, cost) == 0
    assert in_band(truth, truth, cost) == pytest.approx(1)
    assert in_band(-truth, truth, cost) == pytest.approx(-1)


def test_in_band_is_the_mean_over_deciles_or_fewer_bands() -> None:
    random = np.random.default_rng(1)
    for count, bands in ((1000, 10), (35, 3), (12, 1)):
        cost, signal, truth = random.normal(size=(3, count))
        order = np.argsort(cost)
        parts = np.array_split(order, bands)
        expected = np.mean([stats.spearmanr(signal[p], truth[p]).statistic for p in parts])
        assert in_band(signal, truth, cost) == pytest.approx(expected)


def test_networks_of_one_cost_stay_in_their_order() -> None:
    random = np.random.default_rng(0)
    signal, truth = random.normal(size=(2, 100))
    cost = random.integers(3, size=100)
    order = np.array(sorted(range(100), key=cost.__getitem__))  # Python's sort keeps that of ties
    expected = np.mean(
        [stats.spearmanr(signal[band], truth[band]).statistic for band in order.reshape(10, 10)]
    )
    assert in_band(signal, truth, cost) == pytest.approx(expected)


def test_the_bootstrap_of_a_mean_is_two_standard_errors_wide_on_either_side() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(np.mean, values, seed=1, samples=3000)
    error = values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.value - found.low) / error == pytest.approx(1.96, abs=0.15)
    assert (found.high - found.value) / error == pytest.approx(1.96, abs=0.15)


def test_the_interval_of_few_networks_holds_the_truth_about_95_times_in_100() -> None:
    """Spearman's of normal values is 6/pi asin(rho/2) (Pearson 1907): 0.483 for 0.5."""
    random = np.random.default_rng(0)
    truth, held = 6 / np.pi * np.arcsin(0.25), 0
    for seed in range(100):
        signal = random.normal(size=16)
        other = 0.5 * signal + 0.75**0.5 * random.normal(size=16)
        found = bootstrap(spearman, signal, other, seed=seed, samples=200)
        held += found.low <= truth <= found.high
    assert 88 <= held <= 99


def test_the_bootstrap_covers_the_statistic_and_depends_on_its_seed() -> None:
    random = np.random.default_rng(2)
    truth = random.normal(size=200)
    signal = truth + random.normal(size=200)
    found = bootstrap(spearman, signal, truth, seed=3)
    assert found == bootstrap(spearman, signal, truth, seed=3)
    assert found.low < found.value < found.high
    # The standard error of a Spearman correlation near 0.7 from 200 pairs is about 0.04.
    assert 0.08 < found.high - found.low < 0.24
