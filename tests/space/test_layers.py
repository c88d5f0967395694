"""The arithmetic that all networks share, against torchvision's."""

import pytest
from torchvision.models._utils import _make_divisible

from bneck.space.blocks import InvertedResidual
from bneck.space.layers import leaves, output_shape, round_channels


def test_channels_are_rounded_as_torchvision_rounds_them() -> None:
    """From 0, which is a quarter of three, on."""
    asked = [*range(3000), *(0.05 * step for step in range(3000))]
    assert [*map(round_channels, asked)] == [_make_divisible(one, 8) for one in asked]


@pytest.mark.parametrize(("se", "squeezed"), [("expansion", 8), ("input", 1)])
def test_a_squeeze_excite_of_three_channels_keeps_some(se: str, squeezed: int) -> None:
    """NetAdapt may narrow an expansion or its input to that where a runtime pads no channels."""
    layers = leaves(InvertedResidual(3, 3, 16, 2, se).lower("s1.b1", 3, 8, "bn"))
    inside = {leaf.path: output_shape(leaf)[0] for leaf in layers}
    assert (inside["s1.b1.se.reduce"], inside["s1.b1.se.expand"]) == (squeezed, 3)
