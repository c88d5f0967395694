"""PyTorch, eager: channels_last and inference mode, batch norms folded into the convolutions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free, random_images
from bneck.space.backends.torch_model import LayerStack
from bneck.space.layers import Layer


class Torch(Runtime):
    """Float32, eager."""

    word = "torch"
    version = str(torch.__version__)

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        images, network = images_and_network(layers, weights, self.batch_size)
        return self.bound(network, images)

    @contextmanager
    def running(self) -> Iterator[None]:
        before = torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def bound(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], object]:
        """Return a call that runs ``network`` on ``images`` with this runtime's threads."""

        def run() -> Tensor:
            if torch.get_num_threads() != self.threads:
                torch.set_num_threads(self.threads)
            with torch.inference_mode():
                return network(images)

        return run


def images_and_network(
    layers: tuple[Layer, ...], weights: Mapping[str, Array] | None, batch_size: int
) -> tuple[Tensor, nn.Module]:
    """Return random images, and the layers with their norms folded, both channels_last.

    Args:
        layers: a network's, or any run of them.
        weights: by the torch module's state names; None takes random ones.
        batch_size: number of images.
    """
    plain, state = norm_free(layers, weights)
    network = LayerStack(plain)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    images = torch.from_numpy(random_images(layers, batch_size))
    return images.contiguous(memory_format=torch.channels_last), network.eval().to(
        memory_format=torch.channels_last
    )
