"""Every export is read back by the library it is for, and says what its users must know."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from bneck.errors import BneckError, UsageError
from bneck.results.exports import Samples, Trained, checking, export, onnx_notes, pytorch_code
from bneck.results.exports.classifier import open_classifier
from bneck.space import presets, spaces
from bneck.space.backends import torch_model
from tests.small_networks import three_blocks

CLASSES = ("cat", 'it\'s a "dog"', "<b>fish</b>")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def trained() -> Trained:
    arch = three_blocks(width=0.35, resolution_px=32, classes=3)
    network = torch_model.build(arch, seed=1)
    draw = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
    notes = {
        "classes": json.dumps(CLASSES),
        "mean": json.dumps(MEAN),
        "std": json.dumps(STD),
        "accuracy": "0.9100",
        "latency_ms": "0.1500",
        "run": "0123456789ab",
    }
    images = torch.randn(32, 3, 32, 32, generator=draw), torch.zeros(32, dtype=torch.int64)
    samples = Samples(*[lambda: iter([images])] * 3)
    return Trained(arch, network.state_dict(), notes, samples)


def test_onnx_says_what_its_users_must_know(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    assert export(trained, "onnx", file).difference < 1e-5
    model = onnx.load(file)
    notes = {item.key: item.value for item in model.metadata_props}
    assert json.loads(notes.pop("architecture"))["classes"] == 3
    assert notes == trained.notes
    assert onnx_notes.architecture(model) == trained.arch
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_int8_keeps_the_classes_and_has_figures_of_its_own(
    trained: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "int8.onnx"
    exported = export(trained, "onnx-int8", file)
    assert 0 < exported.difference < 0.25
    model = onnx.load(file)
    notes = onnx_notes.notes(model)
    assert json.loads(notes["classes"]) == list(CLASSES)
    assert exported.int8 is not None
    assert notes["accuracy"] == f"{exported.int8.accuracy.value:.4f}" != trained.notes["accuracy"]
    assert "latency_ms" not in notes
    assert onnx_notes.architecture(model) == trained.arch
    weights = [i for i in model.graph.initializer if len(i.dims) == 4 and ".se." not in i.name]
    assert {item.data_type for item in weights} == {onnx.TensorProto.INT8}
    with pytest.raises(UsageError, match="8-bit ranges are found on images: give a run's folder"):
        export(Trained(trained.arch, trained.state), "onnx-int8", file)


def test_litert_says_what_its_users_must_know(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    from tests.tflite_notes import notes_in

    file = tmp_path / "net.tflite"
    assert export(trained, "tflite", file).difference < 1e-5
    notes = notes_in(file.read_bytes())
    assert json.loads(notes.pop("architecture"))["classes"] == 3
    assert notes == trained.notes
    int8 = tmp_path / "int8.tflite"
    exported = export(trained, "tflite-int8", int8)
    assert 0 < exported.difference < 0.25
    assert exported.int8 is not None
    kept = notes_in(int8.read_bytes())
    assert json.loads(kept["classes"]) == list(CLASSES)
    assert kept["accuracy"] == f"{exported.int8.accuracy.value:.4f}" != trained.notes["accuracy"]
    assert "latency_ms" not in kept
    assert int8.stat().st_size < 0.5 * file.stat().st_size
    with pytest.raises(UsageError, match="8-bit ranges are found on images: give a run's folder"):
        export(Trained(trained.arch, trained.state), "tflite-int8", int8)


def test_plain_code_runs_without_bneck(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    assert export(trained, "pytorch", file).difference == 0
    assert not re.search(r"^(import|from) bneck", file.read_text(), re.MULTILINE)
    code = (
        "import sys, torch, net; torch.manual_seed(0); "
        "print(net.CLASSES, net.MEAN, net.STD, sep='|'); "
        "print(net.build().eval()(torch.ones(1, 3, 32, 32)).tolist()); "
        "print('bneck' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    facts, logits, known = done.stdout.splitlines()
    assert facts == f"{list(CLASSES)}|{list(MEAN)}|{list(STD)}"
    assert known == "False"
    with torch.no_grad():
        ours = checking.network(trained)(torch.ones(1, 3, 32, 32))
    assert json.loads(logits) == ours.tolist()


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "mnasnet_a1"])
def test_plain_code_of_every_kind_of_network(name: str, tmp_path: Path) -> None:
    arch = presets.build(name, width=0.25, resolution_px=32, classes=3)
    state = torch_model.build(arch).state_dict()
    assert export(Trained(arch, state), "pytorch", tmp_path / "net.py").difference == 0


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "mnasnet_b1"])
def test_torchvision_code_of_every_family(name: str, tmp_path: Path) -> None:
    arch = presets.build(name, width=0.5, resolution_px=32, classes=3)
    if name == "mobilenet_v2":  # whose class keeps the stem's 32 filters
        arch = replace(arch, stem=replace(arch.stem, out=32))
    state = torch_model.build(arch).state_dict()
    notes = {"classes": '["a", "b", "c"]', "mean": "[0.1, 0.2, 0.3]", "std": "[1, 1, 1]"}
    assert export(Trained(arch, state, notes), "torchvision", tmp_path / "net.py").difference < 1e-5
    source = (tmp_path / "net.py").read_text()
    assert "CLASSES = ['a', 'b', 'c']\nMEAN = [0.1, 0.2, 0.3]\nSTD = [1, 1, 1]\n" in source


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mnasnet_b1"])
def test_torchvision_code_of_a_network_of_one_block(name: str, tmp_path: Path) -> None:
    arch = presets.build(name, resolution_px=32, classes=3)
    arch = replace(arch, stages=(arch.stages[0][:1],))
    trained = Trained(arch, torch_model.build(arch).state_dict())
    assert export(trained, "torchvision", tmp_path / "net.py").difference < 1e-5


def test_what_torchvision_has_no_block_for_is_named(tmp_path: Path) -> None:
    arch = presets.build("mnasnet_a1", resolution_px=32, classes=3)
    with pytest.raises(UsageError, match=r"torchvision's classes: s3\.b1 has squeeze-excite"):
        export(
            Trained(arch, torch_model.build(arch).state_dict()), "torchvision", tmp_path / "a.py"
        )


def test_plain_code_where_blocks_may_be_missing() -> None:
    space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    arch = space.decode(space.sample(0))
    source = pytorch_code.code(Trained(arch, {}), "w.safetensors")
    assert "CLASSES" not in source
    compile(source, "net.py", "exec")


def test_torchscript_lists_its_operators(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    assert export(trained, "torchscript", file).difference < 1e-5
    lines = (tmp_path / "net.ops.yaml").read_text().splitlines()
    assert "- aten::hardswish" in lines
    assert all(re.fullmatch(r"- (aten|prim)::[\w.]+", line) for line in lines)
    notes = {**dict.fromkeys(trained.notes, ""), "architecture": ""}
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.load(file, _extra_files=notes)
    assert {name: text.decode() for name, text in notes.items()} == trained.metadata()


@pytest.mark.slow
def test_torch_export_takes_any_batch(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    assert export(trained, "torch-export", file).difference < 1e-5
    notes = {**dict.fromkeys(trained.notes, ""), "architecture": ""}
    loaded = torch.export.load(str(file), extra_files=notes).module()
    assert loaded(torch.zeros(5, 3, 32, 32)).shape == (5, 3)
    assert notes == trained.metadata()


def test_an_export_with_other_outputs_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "difference", lambda *_: 2e-4)
    assert checking.rounding(trained) < 1e-5
    with pytest.raises(BneckError, match=r"net.py: the pytorch export differs from the network by"):
        export(trained, "pytorch", tmp_path / "net.py")


def test_what_rounding_explains_is_not_another_output(tmp_path: Path) -> None:
    """Norms that saw next to no variance enlarge roundings by up to 1 / sqrt(0.001) each.

    That is a network after very few steps on images that are all alike. Two computations in
    float32, each off by so much, differ by no more than twice that; another eps by far more.
    """
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    network = torch_model.build(arch, seed=0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics of the one batch
    alike = 0.1 * torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.train()(alike)
    fresh = Trained(arch, network.state_dict())
    off = export(fresh, "onnx", tmp_path / "net.onnx").difference
    allowed = 2 * checking.rounding(fresh)
    assert 1e-4 < off <= allowed < 1e-2
    for module in network.eval().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.1e-3
    assert checking.difference(fresh, network) > allowed


def test_code_must_be_a_python_file(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a file of pytorch ends in .py, got"):
        export(trained, "pytorch", tmp_path / "net.safetensors")


def test_the_classifier_sees_what_the_network_sees(trained: Trained, tmp_path: Path) -> None:
    export(trained, "onnx", tmp_path / "net.onnx")
    classifier = open_classifier(tmp_path / "net.onnx")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    image = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        expected = checking.network(trained)(image).softmax(1)[0].numpy()
    assert classifier.classes == CLASSES
    assert np.allclose(classifier.probabilities(picture), expected, atol=1e-5)


def test_small_weights_stay_and_denormal_ones_become_zeros(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The least normal number of float32 is the least one with an exponent, 2^-126.

    A session of ONNX Runtime leaves this thread taking smaller ones for zeros; their bits stay.
    """
    path = "head.classifier.linear.weight"
    weight = trained.state[path].clone()
    sign = -(2**31)
    bits = [1 << 23, sign | 1 << 23, 1 << 22, sign | 1]
    weight.view(torch.int32)[0, :4] = torch.tensor(bits, dtype=torch.int32)
    changed = replace(trained, state={**trained.state, path: weight})
    for name, to in (("a.onnx", "onnx"), ("a.py", "pytorch")):  # the first one opens a session
        export(changed, to, tmp_path / name)
        assert f"{name}: 2 weights below 1.2e-38 are written as 0" in capsys.readouterr().err
    weight.view(torch.int32)[0, 3] = 1 << 23
    export(changed, "onnx", tmp_path / "one.onnx")
    assert "one.onnx: 1 weight below 1.2e-38 is written as 0" in capsys.readouterr().err
    written = load_file(tmp_path / "a.safetensors")[path][0, :4].numpy().view(np.int32)
    assert [int(one) & 0x7FFFFFFF for one in written] == [1 << 23, 1 << 23, 0, 0]
