import onnx
import pytest

from bneck.space import presets
from bneck.space.backends import onnx_model


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_the_quick_way_writes_the_same_graph(name: str) -> None:
    layers = presets.build(name, resolution_px=32, classes=1000).layers()
    quick = onnx.load_from_string(onnx_model.serialised(layers, seed=1))
    assert quick == onnx_model.build(layers, seed=1)
    onnx.checker.check_model(quick)
