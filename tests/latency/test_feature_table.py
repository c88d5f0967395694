"""Features of whole networks: sums over their kernels, and what all weights add."""

import pytest

from bneck.latency.feature_table import FeatureTable
from bneck.latency.features import ALL_WEIGHTS, Blocking, features, kernels, refines
from bneck.space import presets
from bneck.space.architecture import Architecture

SMALL, LARGE = (presets.build(f"mobilenet_v3_{size}") for size in ("small", "large"))


def summed(*archs: Architecture, blocking: Blocking) -> list[dict[str, float]]:
    names, values = FeatureTable(archs).under(blocking)
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


@pytest.mark.parametrize("blocking", [Blocking(16, 4), Blocking(16, 1, in_memory=False)])
def test_features_are_sums_over_kernels(blocking: Blocking) -> None:
    """A kernel that a network has several times counts as often; V3-Small has 11 depthwise."""
    found = summed(SMALL, LARGE, blocking=blocking)
    assert found[0]["depthwise"] == 11
    for arch, row in zip((SMALL, LARGE), found, strict=True):
        by_hand = dict.fromkeys(row.keys() - ALL_WEIGHTS.keys(), 0.0)
        for _, kernel in kernels(arch.layers()):
            for name, value in features(kernel, blocking).items():
                by_hand[name] += value
        assert {name: row[name] for name in by_hand} == pytest.approx(by_hand)


def test_weights_that_outgrow_a_cache_count_beyond_it() -> None:
    """V3-Small has 2.54 million parameters (V3, table 4)."""
    (row,) = summed(SMALL, blocking=Blocking(1, 1))
    assert row["network @weights over 2000"] == pytest.approx(540, abs=40)
    assert row["network @weights over 125"] == pytest.approx(540 + 1875, abs=40)
    assert "network @weights over 3000" not in row
    assert all(refines(name) for name in ALL_WEIGHTS)
    beside, larger = summed(SMALL, LARGE, blocking=Blocking(1, 1))
    assert beside["network @weights over 3000"] == 0 < larger["network @weights over 3000"]
