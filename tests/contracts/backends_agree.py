"""Whether the readers of the layers agree on a network: cost, torch and ONNX."""

import numpy as np
import onnxruntime
import torch

from bneck.space.architecture import Architecture
from bneck.space.backends import onnx_model, torch_model
from bneck.space.cost import cost


def check_backends_agree(arch: Architecture) -> None:
    """Compare parameter counts, and outputs on one image, batch norms being as after training."""
    ours = torch_model.build(arch, seed=1)
    assert cost(arch).params == sum(parameter.numel() for parameter in ours.parameters())
    draw = torch.Generator().manual_seed(0)
    for module in ours.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
    images = torch.randn(1, 3, arch.resolution_px, arch.resolution_px, generator=draw)
    state = {name: tensor.numpy() for name, tensor in ours.state_dict().items()}
    graph = onnx_model.build(arch.layers(), state).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {onnx_model.INPUT: images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(ours.eval()(images).numpy(), theirs, rtol=1e-3, atol=1e-5)
