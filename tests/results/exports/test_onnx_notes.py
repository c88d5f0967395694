"""ONNX files of somebody else: what they say of themselves makes sense, or an error names it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from bneck.cli import run

WHOLE = {"classes": json.dumps(list("abc")), "mean": "[0,0,0]", "std": "[1,1,1]"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "p.png")
    net = ["mobilenet_v3_small", str(folder / "a.onnx"), "--classes=3", "--resolution=32"]
    assert run(["export", *net]) == 0
    return folder / "a.onnx"


def said(exported: Path, **notes: str) -> Path:
    """The file with other metadata."""
    model = onnx.load(exported)
    kept = {prop.key: prop.value for prop in model.metadata_props}
    del model.metadata_props[:]
    for key, value in {**kept, **WHOLE, **notes}.items():
        model.metadata_props.add(key=key, value=value)
    file = exported.with_name("b.onnx")
    onnx.save(model, file)
    return file


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("architecture", "{", "the metadata 'architecture' must be JSON, got '{'"),
        ("architecture", "[]", "architecture must be a JSON object"),
        ("classes", "nope", "the metadata 'classes' must be JSON, got 'nope'"),
        ("classes", "5", "the metadata 'classes' must be a list of names, got '5'"),
        ("classes", '[{"a":1}]', "the metadata 'classes' must be a list of names"),
        ("classes", '["a", "a", "b"]', "the metadata 'classes' must be different names"),
        ("classes", '["a"]', "its metadata names 1 classes, and the network has 3"),
        ("mean", '["a",0,0]', "the metadata 'mean' must be three numbers"),
        ("mean", "[0,0]", "the metadata 'mean' must be three numbers"),
        ("mean", "[NaN,0,0]", "the metadata 'mean' must be three numbers"),
        ("mean", f"[1{'0' * 400},0,0]", "the metadata 'mean' must be three numbers"),
        ("std", "[0,0,0]", "the metadata 'std' must be three numbers above 0"),
        ("accuracy", "lots", "the metadata 'accuracy' must be a number from 0 to 1, got 'lots'"),
        ("accuracy", "nan", "the metadata 'accuracy' must be a number from 0 to 1"),
        ("accuracy", "93.1", "the metadata 'accuracy' must be a number from 0 to 1"),
        ("latency_ms", "-1", "the metadata 'latency_ms' must be a number from 0 to"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "compare"])
def test_metadata_that_makes_no_sense_is_named(
    exported: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    value: str,
    message: str,
) -> None:
    file = said(exported, **{name: value})
    words = {
        "predict": ["predict", str(file), str(exported.with_name("p.png"))],
        "compare": ["compare", str(file), "mobilenet_v3_small", "--no-measure"],
    }
    assert run(words[command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"bneck: {file}: {message}")
    assert err.count("\n") == 1


def test_no_terminal_obeys_a_class_name(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = json.dumps([f"\x1b]0;title\x07\x1b[2J{i}" for i in range(3)])
    file = said(exported, classes=names)
    assert run(["predict", str(file), str(exported.with_name("p.png"))]) == 0
    out, err = capsys.readouterr()
    assert r"\x1b]0;title\x07" in out
    assert "\x1b" not in out + err


def other_input(graph: onnx.GraphProto) -> None:
    graph.input[0].name = "picture"


def other_side(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[2].dim_value = 16


def other_operator(graph: onnx.GraphProto) -> None:
    graph.node[3].op_type = "Nope"


def no_weights(graph: onnx.GraphProto) -> None:
    del graph.initializer[0]


def weights_elsewhere(graph: onnx.GraphProto) -> None:
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def other_classes(graph: onnx.GraphProto) -> None:
    """Numbers of the last layer but one."""
    graph.node[-1].output[0] = "unused"
    graph.node[-2].output[0] = graph.output[0].name


@pytest.mark.parametrize(
    "change",
    [other_input, other_side, other_operator, no_weights, weights_elsewhere, other_classes],
)
def test_a_graph_that_is_not_what_it_says_is_one_line(
    exported: Path, capsys: pytest.CaptureFixture[str], change: Callable[[onnx.GraphProto], None]
) -> None:
    file = said(exported)
    model = onnx.load(file)
    change(model.graph)
    file.write_bytes(model.SerializeToString())
    assert run(["predict", str(file), str(exported.with_name("p.png"))]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"bneck: {file}")
    assert err.count("\n") == 1
