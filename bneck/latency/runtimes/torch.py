"""PyTorch, eager: channels_last and inference mode, batch norms folded into the convolutions."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free, random_image
from bneck.space.backends.torch_model import LayerStack
from bneck.space.layers import Layer


class Torch(Runtime):
    """Float32, one image, eager."""

    word = "torch"
    version = str(torch.__version__)

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        image, network = image_and_network(layers, weights)
        return self.bound(network, image)

    def bound(self, network: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], object]:
        """Return a call that runs ``network`` on ``image`` with this runtime's threads."""

        def run() -> Tensor:
            if torch.get_num_threads() != self.threads:
                torch.set_num_threads(self.threads)
            with torch.inference_mode():
                return network(image)

        return run


def image_and_network(
    layers: tuple[Layer, ...], weights: Mapping[str, Array] | None
) -> tuple[Tensor, nn.Module]:
    """Return a random image, and the layers with their norms folded, both channels_last."""
    plain, state = norm_free(layers, weights)
    network = LayerStack(plain)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    image = torch.from_numpy(random_image(layers))
    return image.contiguous(memory_format=torch.channels_last), network.eval().to(
        memory_format=torch.channels_last
    )
