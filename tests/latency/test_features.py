"""Kernels of single layers, and what each costs in numbers that are computed, read and written."""

import pytest

from bneck.latency.features import (
    Blocking,
    Kernel,
    features,
    kernels,
    label,
    refines,
    tells_blocking,
    weights,
)
from bneck.space import presets
from bneck.space.cost import cost

ORT = Blocking(grid=16, alignment=4)
LITERT = Blocking(grid=16, alignment=1, in_memory=False)


def pointwise(cin: int, cout: int) -> Kernel:
    """A 1x1 convolution at 14 px."""
    return Kernel("pointwise", cin, cout, 1, 1, 14, "none")


def test_everything_that_runs_is_a_kernel_once() -> None:
    arch = presets.build("mobilenet_v3_small")
    found = [kernel.kind for _, kernel in kernels(arch.layers())]
    # V3-Small's table: 9 squeeze-excites, 6 residuals, 11 depthwise, and 1 + 9 pools
    assert found.count("scale") == 9
    assert found.count("add") == 6
    assert found.count("depthwise") == 11
    assert found.count("pool") == 10
    assert found.count("vector") == 18
    assert found.count("linear") == 2
    assert found.count("conv") == 1


def test_channels_are_rounded_up_to_the_grid() -> None:
    off, on = features(pointwise(104, 104), ORT), features(pointwise(112, 112), ORT)
    assert off["pointwise macs"] == on["pointwise macs"] == pytest.approx(112 * 112 * 196 / 1e6)
    exact = features(pointwise(104, 104), Blocking(1, 1))
    assert exact["pointwise macs"] == pytest.approx(104 * 104 * 196 / 1e6)
    assert "pointwise @off grid" in off
    assert "pointwise @off grid" not in on


def test_where_pixels_lie_whole_only_what_is_written_is_rounded_up() -> None:
    found = features(pointwise(104, 104), LITERT)
    assert found["pointwise macs"] == pytest.approx(104 * 112 * 196 / 1e6)
    depthwise = Kernel("depthwise", 72, 72, 5, 1, 28, "none")
    assert features(depthwise, LITERT)["depthwise read"] == pytest.approx(72 * 28 * 28 / 1e3)
    assert weights(depthwise, LITERT) == pytest.approx(72 * 25 / 1e3)
    assert weights(depthwise, ORT) == pytest.approx(80 * 25 / 1e3)
    assert weights(pointwise(104, 104), LITERT) == pytest.approx(104 * 112 / 1e3)
    assert "depthwise 5x5/1 @off grid" in features(depthwise, LITERT)
    assert features(depthwise, LITERT)["depthwise 5x5/1 @off grid"] == pytest.approx(72 * 784 / 1e3)
    assert features(depthwise, LITERT)["depthwise 5x5/1 @28, each"] == 1
    on_lines = Kernel("depthwise", 128, 128, 5, 1, 28, "none")
    shared = "depthwise 5x5/1 @on lines of"
    assert {f"{shared} {line}" for line in (32, 64, 128)} <= features(on_lines, LITERT).keys()
    assert f"{shared} 128 @28" in features(on_lines, LITERT)
    for name in (f"{shared} 128", f"{shared} 128 @28"):
        assert features(on_lines, LITERT)[name] == pytest.approx(128 * 784 / 1e3)
    assert f"{shared} 256" not in features(on_lines, LITERT)
    told = [name for name in features(on_lines, LITERT) if tells_blocking(name)]
    assert [name for name in told if "on lines" in name] == [f"{shared} 64"]
    assert not [name for name in features(depthwise, LITERT) if "on lines" in name]
    assert not [name for name in features(on_lines, ORT) if "on lines" in name]


def test_where_pixels_lie_whole_an_odd_number_of_blocks_costs_more() -> None:
    odd, even = features(pointwise(64, 592), LITERT), features(pointwise(64, 600), LITERT)
    assert odd["pointwise @odd blocks"] == pytest.approx(64 * 592 * 196 / 1e6)
    assert "pointwise @odd blocks" not in even
    assert "pointwise @odd blocks" not in features(pointwise(64, 592), ORT)


def test_unaligned_channels_are_a_kind_of_their_own() -> None:
    assert "unaligned pointwise macs" in features(pointwise(66, 64), ORT)
    assert "pointwise macs" in features(pointwise(64, 66), ORT)


def test_outputs_that_are_not_aligned_cost_more_where_inputs_are() -> None:
    """Kernels for unaligned inputs, which are slow in any case, have no faster way to write."""
    told = "pointwise @written unaligned"
    found = features(pointwise(64, 66), ORT)
    assert (found[told], found[f"{told}, each"]) == (pytest.approx(64 * 196 / 1e3), 1)
    assert told not in features(pointwise(64, 68), ORT)
    assert f"unaligned {told}" not in features(pointwise(66, 66), ORT)


@pytest.mark.parametrize("kind", ["pool", "add", "scale"])
def test_what_has_no_weights_takes_as_long_as_it_reads(kind: str) -> None:
    """72 channels of 28 x 28, and 80 where tensors lie in blocks of 16."""
    kernel = Kernel(kind, 72, 72, 1, 1, 28, "none")
    for blocking, channels in ((ORT, 80), (LITERT, 72)):
        found = features(kernel, blocking)
        assert found[f"{kind} read"] == found[f"{kind} read @28"]
        assert found[f"{kind} read"] == pytest.approx(channels * 784 / 1e3)
        assert found[kind] == 1


@pytest.mark.parametrize("name", presets.PRESETS)
def test_weights_are_those_of_the_network(name: str) -> None:
    """All parameters but biases and batch norms, which are 4 % at most."""
    arch = presets.build(name)
    counted = sum(weights(kernel, Blocking(1, 1)) for _, kernel in kernels(arch.layers()))
    assert 0.96 * cost(arch).params <= 1000 * counted <= cost(arch).params


def test_a_thin_output_is_told_from_a_wide_one() -> None:
    assert "pointwise @written thin" in features(pointwise(64, 8), ORT)
    assert "pointwise @written off grid" in features(pointwise(64, 40), ORT)
    assert not [name for name in features(pointwise(64, 48), ORT) if "written" in name]


def test_labels_read_as_people_speak() -> None:
    kernel = Kernel("depthwise", 72, 72, 5, 2, 28, "hswish")
    assert label(kernel) == "depthwise 5x5/2 on 28 px, hswish"
    assert refines("depthwise read @28")
    assert not refines("depthwise 5x5/2")


def test_a_pass_over_the_input_computes_four_blocks() -> None:
    for cout, passes in ((64, 1), (65, 2), (128, 2)):
        found = features(pointwise(64, cout), ORT)["pointwise passes"]
        assert found == pytest.approx(passes * 64 * 196 / 1e3)


def test_a_strided_window_writes_every_other_row_and_column() -> None:
    """Of 7 px: 4 rows of 4."""
    found = features(("depthwise", 72, 72, 5, 2, 7, "relu"), Blocking(1, 1))
    assert found["depthwise 5x5/2"] == pytest.approx(72 * 16 / 1e3)
    assert found["depthwise read"] == pytest.approx(72 * 49 / 1e3)
    assert found["depthwise rows"] == pytest.approx(72 * 4 / 1e3)
    assert found["relu"] == found["depthwise relu"] == pytest.approx(72 * 16 / 1e3)


def test_a_full_convolution_counts_its_multiply_adds() -> None:
    """V3's stem: 3 x 3 x 3 x 16 at each of 112 x 112 places."""
    found = features(("conv", 3, 16, 3, 2, 224, "hswish"), Blocking(1, 1))
    assert found["conv 3x3/2 macs"] == pytest.approx(27 * 16 * 112**2 / 1e6)
    assert found["conv hswish"] == pytest.approx(16 * 112**2 / 1e3)


def test_a_matrix_product_reads_its_weights_and_writes_its_output() -> None:
    for kind in ("vector", "linear"):
        found = features((kind, 16, 64, 1, 1, 1, "relu"), Blocking(1, 1))
        assert found[f"{kind} weights"] == pytest.approx(16 * 64 / 1e3)
        assert found[f"{kind} written"] == pytest.approx(64 / 1e3)
        assert not [name for name in found if "over" in name]


@pytest.mark.parametrize("blocking", [Blocking(1, 1), Blocking(1, 1, in_memory=False)])
def test_tensors_beyond_a_cache_are_what_is_read_and_written(blocking: Blocking) -> None:
    """64 channels of 28 x 28 in, of 14 x 14 out: 50.2 and 12.5 thousand numbers."""
    kernel = Kernel("depthwise", 64, 64, 3, 2, 28, "none")
    found = features(kernel, blocking)
    windows = [] if blocking.in_memory else ["depthwise 3x3/2"]
    for name in ("depthwise", *windows):
        assert found[f"{name} @over 32"] == pytest.approx(64 * (28**2 + 14**2) / 1e3 - 32)
        assert found[f"{name} @over 128"] == 0


def test_a_whole_block_is_not_thin() -> None:
    thin = features(pointwise(12, 12), ORT)
    assert thin["pointwise @thin"] == pytest.approx(12 * 196 / 1e3)
    assert thin["pointwise @written thin, each"] == 1
    assert not [name for name in features(pointwise(16, 16), ORT) if "thin" in name]


def test_kernels_for_unaligned_channels_round_nothing_up() -> None:
    found = features(pointwise(66, 70), ORT)
    assert found["unaligned pointwise macs"] == pytest.approx(66 * 70 * 196 / 1e6)
    assert found["unaligned pointwise weights"] == pytest.approx(66 * 70 / 1e3)
    assert weights(pointwise(66, 70), ORT) == pytest.approx(66 * 70 / 1e3)
    assert weights(pointwise(68, 70), ORT) == pytest.approx(80 * 80 / 1e3)
