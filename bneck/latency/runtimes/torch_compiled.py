"""PyTorch through ``torch.compile``: slow to prepare, so better measured than calibrated."""

from collections.abc import Callable

import torch

from bneck.errors import UsageError
from bneck.latency.runtimes.torch import Torch, image_and_network
from bneck.space.layers import Layer


class TorchCompiled(Torch):
    """Float32, one image, compiled by TorchInductor, which needs a C++ compiler."""

    def __init__(self, *, threads: int = 1) -> None:
        super().__init__(threads=threads)
        self.word = "torch-compiled"

    def prepare(self, layers: tuple[Layer, ...]) -> Callable[[], object]:
        image, network = image_and_network(layers)
        compiled = torch.compile(network)
        run = self.bound(compiled, image)
        try:
            run()
        except Exception as error:  # the compiler's own errors share no base class
            first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise UsageError(f"torch.compile does not work here: {first}") from None
        return run
