from statistics import NormalDist

import numpy as np
import pytest

from bneck.latency.judge import plausible_variance


def test_a_variance_well_above_its_error_is_taken_as_it_is() -> None:
    estimates = np.array([1.0, 3.0] * 50)
    assert plausible_variance(estimates, np.ones(100)) == pytest.approx(2.0, rel=1e-6)
    assert plausible_variance(np.array([1.5, 1.5]), np.ones(2)) == 1.5
    weights = np.array([3.0, 1.0] * 50)
    assert plausible_variance(estimates, weights) == pytest.approx(1.5, rel=1e-6)


def test_a_variance_that_noise_made_zero_is_not_believed() -> None:
    estimates = np.array([-1.0, 1.0] * 8)  # mean 0, standard error 1 / 4
    half_normal = NormalDist(0, 0.25).pdf(0) * 2 * 0.25**2
    assert plausible_variance(estimates, np.ones(16)) == pytest.approx(half_normal)
    assert 0 < plausible_variance(estimates - 0.1, np.ones(16)) < half_normal
    assert plausible_variance(estimates - 9.0, np.ones(16)) > 0


def test_it_is_right_on_average_where_the_noise_is_larger() -> None:
    """Thirty networks of a model that is 1 % wrong, each measured three times to 2 %."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(400):
        errors = draw.normal(0, 0.01, (30, 1)) + draw.normal(0, 0.02, (30, 3))
        products = (errors.sum(axis=1) ** 2 - (errors**2).sum(axis=1)) / 6
        found.append(plausible_variance(products, np.full(30, 6)))
    assert np.mean(found) == pytest.approx(0.01**2, rel=0.15)
    assert min(found) > 0
