"""PyTorch through ``torch.compile``: slow to prepare, so better measured than calibrated."""

from collections.abc import Callable, Mapping

import torch

from bneck.errors import UsageError, first_line
from bneck.latency.runtimes.torch import Torch, images_and_network
from bneck.latency.runtimes.weights import Array
from bneck.space.layers import Layer


class TorchCompiled(Torch):
    """Float32, compiled by TorchInductor, which needs a C++ compiler."""

    word = "torch-compiled"

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        images, network = images_and_network(layers, weights, self.batch_size)
        compiled = torch.compile(network)
        run = self.bound(compiled, images)
        try:
            run()
        except Exception as error:  # the compiler's own errors share no base class
            raise UsageError(f"torch.compile does not work here: {first_line(error)}") from None
        return run
