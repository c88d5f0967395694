"""LiteRT files written straight from the layers, against torch in doubles."""

import numpy as np
import pytest
import torch

from bneck.space import presets
from bneck.space.backends import torch_model
from bneck.space.layers import ACTIVATIONS, Conv, Linear, Pool
from tests.contracts.litert import error, error_of

pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")

from bneck.space.backends import tflite_content, tflite_model
from bneck.space.backends.tflite_session import open_interpreter
from tests.tflite_notes import notes_in


@pytest.mark.parametrize("name", presets.PRESETS)
@pytest.mark.parametrize("resolution_px", [64, 75])
def test_presets(name: str, resolution_px: int) -> None:
    arch = presets.build(name, resolution_px=resolution_px, classes=10)
    assert error_of(arch) < 1e-5


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("in_px", [1, 2, 7, 8])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_convolution(
    kernel: int, stride: int, in_px: int, groups: int, activation: str
) -> None:
    """Padding that is torch's at any side, stride and window, and every activation."""
    layers = (Conv("a", 8, 8, kernel, stride, groups, in_px, activation, "bn"),)
    network = torch_model.LayerStack(layers)
    with torch.no_grad():
        network.get_submodule("a.conv").weight.normal_(
            generator=torch.Generator().manual_seed(kernel)
        )
    assert error(layers, network) < 1e-5


def test_a_classifier_of_any_activation() -> None:
    for activation in ACTIVATIONS:
        layers = Pool("p", 8, 4), Linear("l", 8, 5, activation)
        torch.manual_seed(0)
        assert error(layers, torch_model.LayerStack(layers)) < 1e-5


def test_a_file_carries_its_names_and_texts() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = {n: t.numpy() for n, t in torch_model.build(arch).state_dict().items()}
    data = tflite_model.build(arch.layers(), state, metadata={"classes": '["a", "é"]'})
    interpreter = open_interpreter(data)
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["name"], image["shape"].tolist()) == ("image", [1, 32, 32, 3])
    assert (logits["name"], logits["shape"].tolist()) == ("logits", [1, 3])
    assert notes_in(data) == {"classes": '["a", "é"]'}
    assert interpreter.get_signature_list()["serving_default"]["inputs"] == ["image"]


def test_weights_lie_where_the_schema_wants_them() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = {n: t.numpy() for n, t in torch_model.build(arch).state_dict().items()}
    data = tflite_model.build(arch.layers(), state)
    weight = np.ascontiguousarray(state["head.classifier.linear.weight"]).tobytes()
    assert data.index(weight) % tflite_content.ALIGNMENT == 0
    assert data[4:8] == b"TFL3"


def test_what_is_not_a_file_of_litert_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"."):
        open_interpreter(b"nothing")
