"""8-bit exports: the accuracy that they give is what others count, on images never chosen by."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bneck
from bneck.cli import run
from bneck.derivation.trained_networks import load_trained
from bneck.proxies.data import loading
from bneck.quantities import Accuracy
from bneck.results.exports import Exported, Samples, Trained, load, onnx_int8
from bneck.results.exports.checking import network
from bneck.results.exports.int8 import Way, best, images_of, notes, ways
from bneck.results.exports.int8_text import cost_of_int8
from bneck.results.networks import load_network
from bneck.results.record import Int8
from bneck.search import quantised
from bneck.space import presets
from bneck.space.backends import torch_model
from tests.command_line import json_of
from tests.small_networks import saved, three_blocks

FOUR = {
    "one scale per channel",
    "one scale per tensor",
    "one scale per channel, squeeze-excite in float",
    "one scale per tensor, squeeze-excite in float",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "run"
    net = saved(three_blocks(resolution_px=16, classes=10), out.with_name("net.json"))
    arguments = ["--data", "digits", "--resolution", "16", "--epochs", "1.5", "--out", str(out)]
    assert run(["train", str(net), *arguments]) == 0
    return out


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "RANGE_IMAGES", 24)
    monkeypatch.setattr(quantised, "CHOICE_IMAGES", 48)


def test_its_accuracy_is_what_evaluating_the_file_gives(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.onnx"
    exported = json_of(capsys, "export", trained, file, "--to", "onnx-int8")["int8"]
    counted = json_of(capsys, "evaluate", file, "--data", "digits", "--part", "val")
    in_float = json_of(capsys, "evaluate", trained, "--part", "val")
    assert exported["images"] == 360
    assert exported["accuracy"]["value"] == pytest.approx(counted["accuracy"], abs=1e-9)
    assert exported["float_accuracy"]["value"] == pytest.approx(in_float["accuracy"], abs=1 / 360)
    lost = exported["float_accuracy"]["value"] - exported["accuracy"]["value"]
    assert exported["lost"]["value"] == pytest.approx(lost, abs=1e-9)
    assert exported["tried"].keys() == FOUR | {f"{way}, averaged ranges" for way in FOUR}
    assert exported["tried"][exported["way"]] == max(exported["tried"].values())


def test_a_litert_file_from_python_says_what_it_classifies_right(
    trained: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_quantizer", reason="pip install 'bneck[litert]'")
    from bneck.space.backends.tflite_session import open_interpreter
    from tests.tflite_notes import notes_in

    exported = bneck.open_run(trained).export(tmp_path / "a.tflite", "tflite-int8").int8
    assert exported is not None
    assert exported.tried.keys() == FOUR
    images = loading.load("digits", resolution_px=16, seed=0)
    interpreter = open_interpreter(tmp_path / "a.tflite")
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    right = 0
    for pixels, labels in images.val.chunks(1):
        one = images.normalise(pixels).permute(0, 2, 3, 1).contiguous().numpy()
        interpreter.set_tensor(image["index"], one)
        interpreter.invoke()
        right += int(interpreter.get_tensor(logits["index"]).argmax() == labels.item())
    assert exported.accuracy.value == pytest.approx(right / 360)
    notes = notes_in((tmp_path / "a.tflite").read_bytes())
    assert notes["accuracy"] == f"{exported.accuracy.value:.4f}"
    assert notes["quantisation"] == exported.way


def test_nothing_is_chosen_on_what_is_counted(trained: Path) -> None:
    arch = load_network(str(trained))
    samples = load_trained(str(trained), None, arch, seed=0, with_samples=True).samples
    assert samples is not None

    def seen(part: Any) -> set[bytes]:
        return {image.numpy().tobytes() for images, _ in part() for image in images}

    validation = seen(samples.validation)
    assert len(validation) > 300
    assert not validation & (seen(samples.ranges) | seen(samples.choice))
    assert not seen(samples.ranges) & seen(samples.choice)


def test_what_stays_in_float_is_the_squeeze_excite_alone() -> None:
    layers = presets.build("mobilenet_v3_small", resolution_px=32, classes=3).layers()
    assert {str(way) for way in ways(layers)} == FOUR
    gates = {path for way in ways(layers) for path in way.in_float}
    assert gates == {path for path in gates if ".se." in path}
    assert len(gates) == 9 * 3  # nine blocks have one: pool, reduce, expand
    plain = presets.build("mobilenet_v2", resolution_px=32, classes=3).layers()
    assert ways(plain) == [Way(per_channel=True), Way(per_channel=False)]


def test_a_fine_tuned_run_keeps_its_images(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its normalisation is the pretrained network's, which is no change of the images."""
    monkeypatch.setattr(onnx_int8, "ways", lambda _: [Way(per_channel=True)])  # any will do
    photos, out, draw = tmp_path / "photos", tmp_path / "run", np.random.default_rng(0)
    for split, name in itertools.product(("train", "val"), "ab"):
        (photos / split / name).mkdir(parents=True)
        for number in range(8):
            pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(photos / split / name / f"{number}.png")
    arguments = ["--data", f"folder:{photos}", "--resolution", "16", "--epochs", "1"]
    net = saved(three_blocks(resolution_px=16, classes=2), tmp_path / "net.json")
    words = ["train", str(net), "--pretrained", str(trained), *arguments]
    assert run([*words, "--out", str(out)]) == 0
    capsys.readouterr()
    assert run(["export", str(out), str(tmp_path / "a.onnx"), "--to", "onnx-int8"]) == 0
    assert "changed" not in capsys.readouterr().err


def test_averaged_ranges_are_the_mean_of_the_images_ranges() -> None:
    import onnx

    from bneck.space.backends import onnx_int8, onnx_model, torch_model

    arch = three_blocks(width=0.35, resolution_px=32, classes=3)
    state = {name: tensor.numpy() for name, tensor in torch_model.build(arch).state_dict().items()}
    floats = onnx_model.build(arch.layers(), state)
    draw = np.random.default_rng(0)
    images = [scale * draw.standard_normal((1, 3, 32, 32), np.float32) for scale in (1, 1, 100)]

    def input_scale(*, averaged: bool) -> float:
        data = onnx_int8.quantised(floats, images, averaged=averaged)
        graph = onnx.load_model_from_string(data).graph
        name = f"{graph.input[0].name}_scale"
        (found,) = (one for one in graph.initializer if one.name == name)
        return float(onnx.numpy_helper.to_array(found))

    spans = [float(image.max() - image.min()) for image in images]
    assert input_scale(averaged=False) == pytest.approx(max(spans) / 255, rel=1e-4)
    assert input_scale(averaged=True) == pytest.approx(sum(spans) / 3 / 255, rel=1e-4)


@pytest.mark.parametrize("to", ["onnx", "tflite"])
def test_layers_left_in_float_keep_their_weights(to: str) -> None:
    arch = three_blocks(width=0.35, resolution_px=32, classes=3)
    from bneck.space.backends import torch_model

    state = {name: tensor.numpy() for name, tensor in torch_model.build(arch).state_dict().items()}
    gates = next(way.in_float for way in ways(arch.layers()) if way.in_float)
    draw = np.random.default_rng(0)
    if to == "onnx":
        import onnx

        from bneck.space.backends import onnx_int8, onnx_model

        floats = onnx_model.build(arch.layers(), state)
        images = [draw.standard_normal((1, 3, 32, 32), np.float32) for _ in range(2)]
        data = onnx_int8.quantised(floats, images, in_float=gates)
        graph = onnx.load_model_from_string(data).graph
        kept = {one.name for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
        kept = {name for name in kept if name.endswith("conv.weight")}
    else:
        pytest.importorskip("ai_edge_quantizer", reason="pip install 'bneck[litert]'")
        from bneck.space.backends import tflite_int8, tflite_model
        from bneck.space.backends.tflite_session import open_interpreter

        images = [draw.standard_normal((1, 32, 32, 3), np.float32) for _ in range(2)]
        floats = tflite_model.build(arch.layers(), state)
        found = tflite_int8.ranges_of(floats, images)
        details = open_interpreter(tflite_int8.quantised(floats, found, in_float=gates))
        kept = {
            one["name"]
            for one in details.get_tensor_details()
            if one["name"].endswith("conv.weight") and one["dtype"] == np.float32
        }
    assert kept == {f"{path}.conv.weight" for path in gates if not path.endswith("pool")}


def test_litert_finds_ranges_once_for_all_ways(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They hold for each way, and take ten times as long to find as a file takes to write."""
    quantizer = pytest.importorskip("ai_edge_quantizer", reason="pip install 'bneck[litert]'")
    calibrate, calls = quantizer.quantizer.Quantizer.calibrate, []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return calibrate(*arguments, **options)

    monkeypatch.setattr(quantizer.quantizer.Quantizer, "calibrate", counted)
    file = tmp_path / "a.tflite"
    exported = json_of(capsys, "export", trained, file, "--to", "tflite-int8")["int8"]
    assert len(exported["tried"]) == 4
    assert len(calls) == 1


def test_images_that_8_bits_lose_count_above_0() -> None:
    """Of 8 images the stand-in for an 8-bit file gets 2 wrong: 0.25 ± sqrt(0.25 * 0.75 / 8)."""
    arch = three_blocks(width=0.35, resolution_px=16, classes=3)
    trained = Trained(arch, torch_model.build(arch, seed=1).state_dict())
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(trained)(images)
    labels = logits.argmax(1)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield images, labels

    def two_wrong(_: torch.Tensor) -> torch.Tensor:
        return torch.cat([logits[:2].roll(1, dims=1), logits[2:]])

    samples = Samples(batches, batches, batches)
    found = best(replace(trained, samples=samples), [Way(True)], lambda _: b"", lambda _: two_wrong)
    int8 = found[1].int8
    assert int8 is not None
    assert (int8.accuracy.value, int8.float_accuracy.value) == (0.75, 1.0)
    assert int8.lost.value == 0.25
    assert int8.lost.stderr == pytest.approx((0.25 * 0.75 / 8) ** 0.5)
    assert int8.accuracy == Accuracy.counted(0.75, 8)
    assert int8.float_accuracy == Accuracy.counted(1.0, 8)  # eight right are no proof of all
    assert int8.float_accuracy.stderr == pytest.approx((1 / 16 * 15 / 16 / 8) ** 0.5)
    assert int8.tried == {str(Way(True)): 0.75}


def test_ranges_ways_and_accuracy_are_found_on_images_of_their_own() -> None:
    """Else the accuracy would be counted on images that something was chosen by."""
    arch = three_blocks(width=0.35, resolution_px=16, classes=3)
    ours = Trained(arch, torch_model.build(arch, seed=1).state_dict())
    parts = torch.randn(3, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels, seen = torch.zeros(2, dtype=torch.int64), []
    ranges, choice, validation = (lambda part=part: iter([(part, labels)]) for part in parts)
    trained = replace(ours, samples=Samples(ranges, choice, validation))
    assert torch.equal(torch.cat(images_of(trained)), parts[0])

    def runner(_: bytes) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda pixels: (seen.append(pixels), network(trained)(pixels))[1]

    best(trained, [Way(True), Way(False)], lambda _: b"", runner)
    expected = (parts[1], parts[1], parts[2])
    assert all(torch.equal(*pair) for pair in zip(seen, expected, strict=True))


@pytest.mark.parametrize("to", ["onnx-int8", "tflite-int8"])
def test_each_way_is_how_its_file_is_quantised(to: str) -> None:
    """A scale for each filter takes more room than one, and floats take more than either."""
    if to == "tflite-int8":
        pytest.importorskip("ai_edge_quantizer", reason="pip install 'bneck[litert]'")
    arch = three_blocks(width=0.35, resolution_px=16, classes=3)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    samples = Samples(*[lambda: iter([(images, torch.zeros(2, dtype=torch.int64))])] * 3)
    module = load(to)
    file = module.quantiser(
        Trained(arch, torch_model.build(arch, seed=1).state_dict(), {}, samples)
    )
    gates = next(way.in_float for way in ways(arch.layers()) if way.in_float)
    per_channel = file(Way(True))
    assert len(file(Way(False))) < len(per_channel) < len(file(Way(True, gates)))
    if to == "onnx-int8":
        assert file(Way(True, averaged=True)) != per_channel == file(Way(True))


def test_a_file_in_8_bits_says_its_own_accuracy_beside_that_in_floats() -> None:
    arch = three_blocks(width=0.35, resolution_px=16, classes=3)
    known = {"classes": '["a", "b", "c"]', "accuracy": "0.9", "latency_ms": "1.5"}
    trained, way = Trained(arch, {}, known), "one scale per tensor"
    accuracy = Accuracy(0.8, 0.01), Accuracy(0.9, 0.01), Accuracy(0.1, 0.01)
    said = notes(trained, Exported(0.1, Int8(way, {way: 1.0}, *accuracy, 360)))
    assert said == {
        "architecture": trained.metadata()["architecture"],
        "classes": known["classes"],
        "accuracy": "0.8000",
        "float_accuracy": "0.9000",
        "quantisation": way,
    }


def test_of_ways_that_agree_on_all_classes_the_nearest_is_chosen() -> None:
    """Its outputs are a tenth off, as a share of the outputs', the other's a fifth."""
    arch = three_blocks(width=0.35, resolution_px=16, classes=3)
    trained = Trained(arch, torch_model.build(arch, seed=1).state_dict())
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ours = network(trained)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield images, torch.zeros(4, dtype=torch.int64)

    def runner(file: bytes) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda pixels: float(file) * ours(pixels)

    samples = Samples(batches, batches, batches)
    far, near = Way(True), Way(False)
    files = {far: b"1.2", near: b"1.1"}
    file, exported = best(replace(trained, samples=samples), files, files.__getitem__, runner)
    assert exported.int8 is not None
    assert (file, exported.int8.way) == (b"1.1", str(near))
    assert set(exported.int8.tried.values()) == {1.0}
    assert exported.difference == pytest.approx(0.1, rel=1e-3)


def test_a_loss_above_a_point_is_said_with_its_why() -> None:
    def cost(lost: float) -> str:
        tried = {"one scale per channel": 0.955, "one scale per tensor": 0.91}
        accuracy = Accuracy(0.9 - lost, 0.01), Accuracy(0.9, 0.01), Accuracy(lost, 0.004)
        return cost_of_int8(Int8("one scale per channel", tried, *accuracy, 360))

    assert cost(0.009).endswith(
        "89.1 ± 1.0 % of 360 validation images right in 8 bits, 90.0 ± 1.0 % in float "
        "(one scale per channel)"
    )
    assert cost(0.021).endswith(
        "8 bits lose 2.1 ± 0.4 points: of 2 ways tried, the best gives 95.5 % of training images "
        "the class that the float network gives them"
    )
