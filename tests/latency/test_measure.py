from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.latency.devices import open_device
from bneck.latency.load_correction import Scale
from bneck.latency.measure import measure
from bneck.space import presets
from bneck.space.backends import onnx_model
from bneck.space.cost import cost


def test_a_network_is_measured_on_the_calibrations_scale() -> None:
    arch = presets.build("mobilenet_v2", resolution_px=64, classes=10)
    small = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    took = measure(arch, open_device(runtime="macs"), scale=Scale(3.0, classes=10))
    assert took.ms == pytest.approx(3.0 * cost(arch).macs / cost(small).macs, rel=0.001)
    assert took.quiet
    assert took.note == ""


def test_a_network_of_another_side_is_measured_against_the_calibrations_reference() -> None:
    large = presets.build("mobilenet_v2", resolution_px=96, classes=10)
    small = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    took = measure(
        large, open_device(runtime="macs"), scale=Scale(3.0, classes=10), resolution_px=64
    )
    assert took.ms == pytest.approx(3.0 * cost(large).macs / cost(small).macs, rel=0.001)


def test_an_onnx_file_is_measured(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=32, width=0.5, classes=10)
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model.build(arch.layers(), batch="n").SerializeToString())
    took = measure(path, open_device(), resolution_px=32, wanted=0.2)
    assert took.ms > 0
    assert took.note == "" or not took.quiet


def test_what_is_no_onnx_file_is_one_line(tmp_path: Path) -> None:
    device = open_device()
    with pytest.raises(UsageError, match="cannot read"):
        measure(tmp_path / "nothing.onnx", device)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UsageError, match="cannot load the model"):
        measure(tmp_path / "text.onnx", device)
    with pytest.raises(UsageError, match="our own networks only"):
        measure(tmp_path / "text.onnx", open_device(runtime="macs"))
