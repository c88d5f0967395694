"""What LiteRT computes of layers, beside torch in doubles."""

import numpy as np
import pytest
import torch

from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.layers import Layer


def error(layers: tuple[Layer, ...], network: torch.nn.Module) -> float:
    """Largest difference of LiteRT's outputs from torch's, over the largest output."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    from bneck.latency.runtimes import open_runtime
    from bneck.latency.runtimes.weights import random_images

    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.dim() == 1:  # biases and norms, as after some training
                tensor.add_(0.1 * torch.rand(tensor.shape, generator=draw))
    state = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    image = torch.from_numpy(random_images(layers)).double()
    with torch.no_grad():
        expected = network.eval().double()(image).numpy()
    found = np.asarray(open_runtime("litert").prepare(layers, state)())
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def error_of(arch: Architecture) -> float:
    """The same of a network with random weights."""
    return error(arch.layers(), torch_model.build(arch, seed=1))
