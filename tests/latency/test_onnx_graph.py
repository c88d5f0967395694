"""ONNX files of any origin, as they are timed."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bneck.cli import run
from bneck.errors import UsageError
from bneck.latency.devices import open_device
from bneck.latency.measure import measure
from bneck.latency.model import LatencyModel
from bneck.latency.onnx_graph import read_onnx
from bneck.latency.runtimes import onnxruntime, open_runtime
from bneck.latency.runtimes.weights import norm_free
from bneck.space import presets
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_int8 import is_quantised
from tests.command_line import json_of


def convolution(
    path: Path,
    shape: list[int | str],
    kind: int = TensorProto.FLOAT,
    kernel: int = 3,
    channels_last: bool = False,
) -> Path:
    """An ONNX file of one convolution, 3 -> 64 channels."""
    weight = np.ones((64, 3, kernel, kernel), np.float32)
    nodes, name = [], "x"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT))
        name = "floats"
    if channels_last:
        nodes.append(helper.make_node("Transpose", [name], ["planes"], perm=[0, 3, 1, 2]))
        name = "planes"
    nodes.append(helper.make_node("Conv", [name, "w"], ["y"], strides=[2, 2]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def ran(path: Path, resolution_px: int | None = None) -> tuple[int, ...]:
    """The shape of what ONNX Runtime computes of a file that was read to be timed."""
    read = read_onnx(path, resolution_px)
    return np.shape(open_runtime("onnxruntime").prepare_onnx(read.model)())


def test_an_onnx_file_takes_as_long_as_the_network_in_it(tmp_path: Path) -> None:
    """V3-Small against itself, to the noise of two short measurements on a busy machine."""
    arch = presets.build("mobilenet_v3_small", resolution_px=96, classes=1000)
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model.build(*norm_free(arch.layers()), batch="n").SerializeToString())
    took = measure(path, open_device(), wanted=0.05)
    assert took.timing is not None
    assert took.timing.ratio == pytest.approx(1, rel=0.3)
    assert took.batch == 1


def test_free_sides_are_the_resolution(tmp_path: Path) -> None:
    path = convolution(tmp_path / "free.onnx", ["n", 3, "h", "w"])
    assert ran(path, 65) == (1, 64, 32, 32)
    with pytest.raises(UsageError, match=r"height and width .* are free: give the resolution"):
        measure(path, open_device())
    fixed = convolution(tmp_path / "fixed.onnx", ["n", 3, 33, 33])
    assert ran(fixed) == ran(fixed, 33) == (1, 64, 16, 16)
    with pytest.raises(UsageError, match="takes 33 px, not 65 px"):
        read_onnx(fixed, 65)
    small = convolution(tmp_path / "small.onnx", [1, 3, "h", "w"], kernel=9)
    with pytest.raises(UsageError, match=r"small\.onnx: ONNX Runtime cannot run the model: ."):
        measure(small, open_device(), resolution_px=8)


def test_what_exporters_write_for_a_free_dimension_is_free(tmp_path: Path) -> None:
    path = convolution(tmp_path / "minus_one.onnx", [-1, 3, -1, -1])
    assert ran(path, 65) == (1, 64, 32, 32)
    assert read_onnx(path, 65, batch_size=2).batch == 2
    assert ran(convolution(tmp_path / "colours.onnx", [1, "c", 33, 33])) == (1, 64, 16, 16)


def test_the_batch_is_the_first_dimension_of_what_is_no_image_too(tmp_path: Path) -> None:
    for name, rows in (("free", "n"), ("four", 4)):
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 128])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        )
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / name)
    assert [read_onnx(tmp_path / "free", batch_size=size).batch for size in (1, 3)] == [1, 3]
    assert ran(tmp_path / "four") == (4, 128)
    assert read_onnx(tmp_path / "four", batch_size=3).batch == 4


@pytest.mark.usefixtures("two_repetitions")
def test_openvino_takes_other_numbers_too(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="pip install 'bneck[openvino]'")
    path = convolution(tmp_path / "bytes.onnx", [1, 3, 65, 65], TensorProto.UINT8)
    assert measure(path, open_device(runtime="openvino"), wanted=0.5).ms > 0
    thin = convolution(tmp_path / "thin.onnx", [1, 3, 1, 1])
    with pytest.raises(UsageError, match=r"thin\.onnx: OpenVINO cannot run the model: [^\n]+$"):
        measure(thin, open_device(runtime="openvino"))


@pytest.mark.usefixtures("two_repetitions")
def test_other_layouts_and_numbers_are_timed(tmp_path: Path) -> None:
    for number, (kind, shape) in enumerate(
        [
            (TensorProto.FLOAT16, ["n", 3, "h", "w"]),
            (TensorProto.UINT8, ["n", "h", "w", 3]),
            (TensorProto.UINT8, [1, 65, 65, 3]),
        ]
    ):
        last = shape[3] == 3
        path = convolution(tmp_path / f"{number}.onnx", shape, kind, channels_last=last)
        assert ran(path, 65) == (1, 64, 32, 32)
    tiny = convolution(tmp_path / "tiny.onnx", [1, 3, 4, 4])  # no network of ours is so small
    assert measure(tiny, open_device(), wanted=0.5).ms > 0


@pytest.mark.usefixtures("two_repetitions")
def test_a_fixed_batch_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = convolution(tmp_path / "four.onnx", [4, 3, 33, 33])
    assert measure(path, open_device(), wanted=0.5).batch == 4
    assert run(["latency", "--onnx", str(path), "--measure"]) == 0
    assert "for a batch of 4 images" in capsys.readouterr().out


@pytest.mark.usefixtures("two_repetitions")
def test_free_sides_become_the_resolution_on_a_models_scale_too(
    macs_model: LatencyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = replace(macs_model.device, runtime="onnxruntime")
    replace(macs_model, device=device).save(tmp_path / "latency.json")
    free = convolution(tmp_path / "free.onnx", [1, 3, "h", "w"])
    fixed = convolution(tmp_path / "fixed.onnx", [1, 3, 33, 33])
    model = ["--measure", "--model", str(tmp_path / "latency.json"), "--resolution"]
    assert json_of(capsys, "latency", "--onnx", str(free), *model, "65")["measured_ms"]
    assert run(["latency", "--onnx", str(fixed), *model, "65"]) == 2
    assert "input 'x' takes 33 px, not 65 px" in capsys.readouterr().err


@pytest.mark.usefixtures("two_repetitions")
def test_files_of_any_layout_and_batch_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        convolution(tmp_path / "last.onnx", [1, 65, 65, 3], channels_last=True),
        convolution(tmp_path / "free.onnx", [1, 3, -1, -1]),
        convolution(tmp_path / "wide.onnx", [1, 3, 33, 65]),
        convolution(tmp_path / "four.onnx", [4, 3, 33, 33]),
    ]
    words = ["compare", *map(str, files)]
    sides = [one["resolution_px"] for one in json_of(capsys, *words, "--no-measure")["networks"]]
    assert sides == [65, None, 33, 33]
    assert run(words) == 2
    assert "height and width of input 'x' are free: give the resolution" in capsys.readouterr().err
    networks = json_of(capsys, *words, "--resolution", "64")["networks"]
    assert [one["resolution_px"] for one in networks] == [65, 64, 33, 33]
    assert [one["batch"] for one in networks] == [1, 1, 1, 4]
    assert run([*words, "--resolution", "64"]) == 0
    assert f"{files[3]}: measured with a batch of 4 images" in capsys.readouterr().out


def test_weights_beside_the_file_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = convolution(tmp_path / "inside.onnx", [1, 3, 33, 33])
    outside = tmp_path / "folder" / "outside.onnx"
    outside.parent.mkdir()
    onnx.save(
        onnx.load(inside), outside, save_as_external_data=True, location="o.data", size_threshold=0
    )
    monkeypatch.chdir(tmp_path)
    assert ran(Path("folder/outside.onnx")) == ran(inside)
    (tmp_path / "folder" / "o.data").unlink()
    with pytest.raises(UsageError, match="its weights beside it cannot be read"):
        read_onnx(outside)


def test_what_is_newer_than_the_runtime_is_one_sentence(tmp_path: Path) -> None:
    path = convolution(tmp_path / "new.onnx", [1, 3, 33, 33])
    for change in ("ir_version", "opset"):
        model = onnx.load(path)
        if change == "opset":
            model.opset_import[0].version = 99
        else:
            model.ir_version = 99
        newer = tmp_path / f"{change}.onnx"
        newer.write_bytes(model.SerializeToString())
        with pytest.raises(UsageError, match="needs another version of ONNX Runtime than"):
            measure(newer, open_device())


def test_a_few_denormal_weights_cost_nothing() -> None:
    """In the first session of a process: 10 % of them make a network many times slower."""
    script = """
from bneck.latency.devices import Graph, open_device
from bneck.latency.timing import Effort
from bneck.latency.runtimes.weights import norm_free
from bneck.space import presets
import numpy as np
arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
layers, weights = norm_free(arch.layers())
draw = np.random.default_rng(0)
few = {n: np.where(draw.random(a.shape) < 0.3, np.float32(1e-40), a) for n, a in weights.items()}
graphs = Graph(layers, few), Graph(layers, weights)
((timing, _),) = open_device().time(graphs[:1], graphs[1], Effort(min_pairs=6, max_pairs=6))
print(timing.ratio)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 2


def test_what_is_not_an_onnx_file_is_one_line(tmp_path: Path) -> None:
    device = open_device()
    with pytest.raises(UsageError, match="cannot read"):
        measure(tmp_path / "nothing.onnx", device)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UsageError, match="is not an ONNX file"):
        measure(tmp_path / "text.onnx", device)
    good = convolution(tmp_path / "good.onnx", [1, 3, 33, 33])
    with pytest.raises(UsageError, match="our own networks only"):
        measure(good, open_device(runtime="macs"))


def test_a_file_in_8_bits_is_timed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantised once more, V3-Small had 80 nodes more, and took longer."""
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=32, classes=10)
    runtime, opened = open_runtime("onnxruntime-int8"), []
    model = runtime.model(*norm_free(arch.layers()))
    real = onnxruntime.open_session
    monkeypatch.setattr(
        onnxruntime, "open_session", lambda given, **how: opened.append(given) or real(given, **how)
    )
    runtime.prepare_onnx(model)
    assert opened == [model]


def test_a_file_with_weights_alone_in_8_bits_is_timed_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One convolution, its filters as int8 with a scale."""
    model, opened = onnx.load(convolution(tmp_path / "a.onnx", [1, 3, 8, 8])), []
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((64, 3, 3, 3), "i1"), "q"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "scale"))
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]))
    given, real = model.SerializeToString(), onnxruntime.open_session
    monkeypatch.setattr(
        onnxruntime, "open_session", lambda given, **how: opened.append(given) or real(given, **how)
    )
    open_runtime("onnxruntime-int8").prepare_onnx(given)
    assert opened == [given]


@pytest.mark.parametrize(
    "op",
    [
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "ConvInteger",
        "MatMulIntegerToFloat",
        "QGemm",
        "MatMulNBits",
    ],
)
def test_what_is_in_8_bits_is_told_by_its_nodes(op: str) -> None:
    def model(*ops: str) -> onnx.ModelProto:
        return helper.make_model(
            helper.make_graph([helper.make_node(o, [], []) for o in ops], "g", [], [])
        )

    assert is_quantised(model("Conv", op))
    assert not is_quantised(model("Conv", "Gemm", "HardSigmoid", "QuickGelu"))
