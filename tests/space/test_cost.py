"""Costs against closed formulas."""

from math import prod

import pytest

from bneck.latency.calibration.networks import narrowed
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture, Part
from bneck.space.blocks import DepthwiseSeparable, InvertedResidual, PlainConv
from bneck.space.blocks.squeeze_excite import lower_squeeze_excite
from bneck.space.cost import cost, leaf_macs, part_cost
from bneck.space.heads import PoolLinear
from bneck.space.layers import (
    Conv,
    Layer,
    Linear,
    Pool,
    Residual,
    input_shape,
    output_shape,
    pointwise,
)


def one_block(block: object, side: int = 32) -> Architecture:
    return Architecture(PlainConv(3, 16, 1), ((block,),), PoolLinear(), 10, side)


def test_separable_against_plain_convolution() -> None:
    """MobileNetV1, section 3.1: the ratio is 1/N + 1/k^2."""
    separable = one_block(DepthwiseSeparable(5, 64)).layers()[1:3]
    (plain,) = one_block(PlainConv(5, 64)).layers()[1:2]
    ratio = sum(leaf_macs(leaf) for leaf in separable) / leaf_macs(plain)
    assert ratio == 1 / 64 + 1 / 25


def test_inverted_residual_costs_v2_formula() -> None:
    """MobileNetV2, section 3.2: h w d' t (d' + k^2 + d'')."""
    layers = one_block(InvertedResidual(3, 6 * 16, 24)).layers()
    assert sum(leaf_macs(leaf) for leaf in layers[1:4]) == 32 * 32 * 16 * 6 * (16 + 9 + 24)


def test_peak_holds_the_residual_input() -> None:
    """At the widest point of a residual block its input is still needed."""
    arch = one_block(InvertedResidual(3, 96, 16))
    assert cost(arch).peak_activation_bytes == 4 * 32 * 32 * (16 + 96 + 96)


def test_peak_without_residual() -> None:
    arch = one_block(InvertedResidual(3, 96, 24))
    assert cost(arch).peak_activation_bytes == 4 * 32 * 32 * (96 + 96)


def test_peak_of_v1_is_its_second_pointwise() -> None:
    """32 -> 64 channels at 112 px: input and output of the pointwise convolution."""
    arch = presets.build("mobilenet_v1")
    assert cost(arch).peak_activation_bytes == 4 * 112 * 112 * (32 + 64)


def test_peak_of_a_scale_is_its_input_and_its_result() -> None:
    """96 channels and as many scaled ones are more than the 8 that become 96."""
    layers = (
        pointwise("b.expand", 8, 96, 4, "relu", "bn"),
        *lower_squeeze_excite("b.se", 96, 24, 4, "sigmoid"),
    )
    assert part_cost(Part("b", None, 8, 4, layers)).peak_activation_bytes == 4 * 16 * (96 + 96)


def test_the_first_layer_of_a_residual_reads_what_is_kept_for_the_sum() -> None:
    layers = (Residual("b", (pointwise("b.conv", 16, 16, 4, "none", "bn"),)),)
    assert part_cost(Part("b", None, 16, 4, layers)).peak_activation_bytes == 4 * 16 * (16 + 16)


def largest_set_alive(layers: tuple[Layer, ...], side: int) -> int:
    """Numbers in memory at most, by the last time that each tensor is read.

    A residual's sum takes the place of its body's tensor; a gate's own numbers do not count.
    """
    runs: list[tuple[tuple[int, ...], int, int]] = []  # (reads, numbers written, numbers of a sum)

    def run(layers: tuple[Layer, ...], x: int) -> int:
        for layer in layers:
            if isinstance(layer, Conv | Pool | Linear):
                runs.append(((x,), prod(output_shape(layer)), 0))
            else:
                size, added = prod(input_shape(layer)), isinstance(layer, Residual)
                body = run(layer.body, x)
                runs.append(((x, body), 0 if added else size, size if added else 0))
            x = len(runs)
        return x

    end = run(layers, 0)
    last = {tensor: place for place, (reads, _, _) in enumerate(runs) for tensor in reads}
    alive, most = {0: 3 * side**2}, 0
    for place, (reads, written, summed) in enumerate(runs):
        gate = alive[reads[1]] if len(reads) == 2 and not summed else 0
        most = max(most, sum(alive.values()) + written - gate)
        alive[place + 1] = written or summed
        for tensor in set(reads):
            if last[tensor] == place and tensor != end:
                del alive[tensor]
    return most


@pytest.mark.parametrize("name", spaces.SPACES)
@pytest.mark.parametrize("side", [8, 33, 97])
def test_the_peak_is_the_largest_set_of_tensors_alive(name: str, side: int) -> None:
    space = spaces.build(name, resolution_px=side, classes=10)
    for seed in range(10):
        arch = space.decode(space.sample(seed))
        for one in (arch, narrowed(arch, seed)):
            numbers = largest_set_alive(one.layers(), side)
            assert cost(one).peak_activation_bytes == 4 * numbers
