"""The ONNX graph against the torch module."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import onnx_model, torch_model


def lively(arch: Architecture) -> torch_model.Network:
    """Random weights whose batch norms neither vanish nor explode over the depth."""
    network = torch_model.build(arch, seed=1)
    x = torch.randn(8, 3, arch.resolution_px, arch.resolution_px)
    network.train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        network(x)
    return network.eval()


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {onnx_model.INPUT: images})[0]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_onnx_runtime_gives_the_modules_outputs(name: str) -> None:
    torch.manual_seed(0)
    arch = presets.build(name, width=0.5, resolution_px=64, classes=10)
    network = lively(arch)
    state = {key: tensor.detach().numpy() for key, tensor in network.state_dict().items()}
    model = onnx_model.build(arch.layers(), state, batch="batch")
    onnx.checker.check_model(model, full_check=True)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = network(x).numpy()
    scale = np.abs(expected).max()
    assert np.abs(run(model, x.numpy()) - expected).max() <= 1e-4 * scale


def test_random_networks_of_a_space_agree_too() -> None:
    torch.manual_seed(0)
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    for seed in range(5):
        arch = space.decode(space.sample(seed))
        network = lively(arch)
        state = {key: tensor.detach().numpy() for key, tensor in network.state_dict().items()}
        x = torch.randn(1, 3, 32, 32)
        with torch.no_grad():
            expected = network(x).numpy()
        got = run(onnx_model.build(arch.layers(), state), x.numpy())
        assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


def test_any_run_of_layers_is_a_graph_of_its_own() -> None:
    """What calibration times: one block, from its input's shape to its output's."""
    arch = presets.build("mobilenet_v3_small")
    block = next(layer for layer in arch.layers() if layer.path == "s3.b2")
    state = {key: tensor.numpy() for key, tensor in torch_model.build(arch).state_dict().items()}
    model = onnx_model.build((block,), state)
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(0).standard_normal((1, 40, 14, 14), np.float32)
    assert run(model, x).shape == (1, 40, 14, 14)


def test_denormal_numbers_are_written_as_zeros() -> None:
    """Float32's least normal number is 2^-126, 1.1755e-38."""
    array = np.array([1e-40, -1.17e-38, 1.18e-38, -0.5, 0.0], np.float32)
    assert onnx_model.without_denormals(array).tolist() == [0, 0, *array[2:].tolist()]
