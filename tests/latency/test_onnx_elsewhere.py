"""ONNX files of any origin on other devices: the script there feeds them as they are fed here."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from bneck.errors import UsageError
from bneck.latency.devices import Graph
from bneck.latency.devices.remote import file_of
from bneck.latency.runtimes import open_runtime
from bneck.space.backends.onnx_int8 import is_quantised
from tests.latency.test_on_device import on_device
from tests.latency.test_onnx_graph import convolution


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE", "UINT8", "INT8"])
def test_other_devices_take_the_same_numbers(tmp_path: Path, kind: str) -> None:
    """What the script on the device computes of its input is what is computed here."""
    model = convolution(
        tmp_path / "a.onnx", [1, 3, 16, 16], getattr(TensorProto, kind)
    ).read_bytes()
    here, there = open_runtime("onnxruntime").prepare_onnx(model), on_device().onnx(model, 1)
    np.testing.assert_array_equal(there()[0], here())


def test_what_no_device_takes_is_named(tmp_path: Path) -> None:
    model = convolution(tmp_path / "a.onnx", [1, 3, 16, 16], TensorProto.INT32).read_bytes()
    with pytest.raises(
        ValueError, match=r"^input 'x' is tensor\(int32\); known: tensor\(float\), "
    ):
        on_device().onnx(model, 1)


def test_a_file_in_floats_is_sent_in_8_bits_where_the_runtime_is(tmp_path: Path) -> None:
    graph = Graph(onnx=convolution(tmp_path / "a.onnx", [1, 3, 16, 16]).read_bytes())
    assert file_of(graph, open_runtime("onnxruntime")) == graph.onnx
    sent = file_of(graph, open_runtime("onnxruntime-int8"))
    assert is_quantised(onnx.load_from_string(sent))
    with pytest.raises(UsageError, match="'torch' cannot run ONNX files; use onnxruntime"):
        file_of(graph, open_runtime("torch"))
