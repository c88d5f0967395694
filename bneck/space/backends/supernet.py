"""One network that holds every network of a space: the widest layer at every path.

A smaller network's layer is the beginning of the widest one's channels and the middle of its kernel
(Cai et al. 2020, "Once-for-All", section 3.3; Yu et al. 2020, "BigNAS", section 3.2). Blocks that a
network has not, squeeze-excites included, are left out, and each network keeps its activations.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bneck.errors import ProxyFailed
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import (
    Network,
    attach,
    empty_state,
    initialise,
    module_of,
    without_weights,
)
from bneck.space.choices import Space, Values
from bneck.space.cost import cost
from bneck.space.layers import Conv, Leaf, Linear, Pool, leaves


class Supernet(nn.Module):
    """Shared weights, named like a network's own; ``arch`` is what ``forward`` runs."""

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        most = space.minimise(lambda arch: -cost(arch).params)[0]
        self.largest = space.decode(most)
        self.smallest = space.least(lambda arch: cost(arch).params)
        with torch.random.fork_rng(devices=[]):
            for leaf in _widest(space, most):
                attach(self, leaf.path, module_of(leaf))
        initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the largest network."""
        return self.run(self.largest, images)

    def run(self, arch: Architecture, images: Tensor) -> Tensor:
        """Return the logits of any network of the space; gradients reach the shared weights."""
        network = without_weights(arch).train(self.training)
        shared = part(dict(self.named_parameters()) | dict(self.named_buffers()), arch)
        logits: Tensor = functional_call(network, shared, (images,))
        return logits


def part(whole: Mapping[str, Tensor], arch: Architecture) -> dict[str, Tensor]:
    """Return the state of one network: views of the shared tensors.

    Args:
        whole: the shared weights by name, a ``Supernet``'s state.
        arch: the network.

    Raises:
        ProxyFailed: the network has a layer that is not, or not so wide, among the shared ones.
    """
    return {
        name: _part(name, whole.get(name), like.shape) for name, like in empty_state(arch).items()
    }


def extract(whole: Mapping[str, Tensor], arch: Architecture) -> Network:
    """Return a separate network with the shared weights, whose batch norms fit no network yet.

    Their statistics are a mixture of those of all networks that were trained: recalibrate them.

    Args:
        whole: the shared weights by name.
        arch: the network.

    Raises:
        ProxyFailed: as ``part``.
    """
    with torch.random.fork_rng(devices=[]):
        network = Network(arch)
    network.load_state_dict(part(whole, arch))
    return network.to(memory_format=torch.channels_last)


def _widest(space: Space, most: Values) -> Iterator[Leaf]:
    """Every path of the space with the most channels and the largest kernel it may have.

    A layer that the largest network lacks is one that a single other choice brings, or a choice
    that this one makes possible.
    """
    found: dict[str, Leaf] = {}
    for values in (most, *_changes(space, most, most)):
        for leaf in leaves(space.decode(values).layers()):
            found[leaf.path] = _wider(found[leaf.path], leaf) if leaf.path in found else leaf
    return (leaf for leaf in found.values() if not isinstance(leaf, Pool))


def _changes(space: Space, values: Values, names: Iterable[str]) -> Iterator[Values]:
    """Every single change of the named choices, and of those that it makes possible."""
    for name in names:
        for changed in space.neighbours(values, of=name):
            yield changed
            yield from _changes(space, changed, [name for name in changed if name not in values])


def _wider(one: Leaf, other: Leaf) -> Leaf:
    if isinstance(one, Conv) and isinstance(other, Conv):
        channels = max(one.in_channels, other.in_channels)
        return replace(
            one,
            in_channels=channels,
            out_channels=max(one.out_channels, other.out_channels),
            kernel=max(one.kernel, other.kernel),
            groups=channels if one.depthwise else one.groups,
        )
    if isinstance(one, Linear) and isinstance(other, Linear):
        return replace(
            one,
            in_features=max(one.in_features, other.in_features),
            out_features=max(one.out_features, other.out_features),
        )
    return one


def _part(name: str, whole: Tensor | None, shape: torch.Size) -> Tensor:
    """Return the first channels and the middle of the kernel."""
    fits = whole is not None and whole.dim() == len(shape)
    if whole is None or not fits or any(a < b for a, b in zip(whole.shape, shape, strict=True)):
        raise ProxyFailed(f"the shared weights hold no {name} of {'x'.join(map(str, shape))}")
    for place, size in enumerate(shape[:2]):
        whole = whole.narrow(place, 0, size)
    if len(shape) == 4:
        edge = (whole.shape[-1] - shape[-1]) // 2
        whole = whole[..., edge : edge + shape[-1], edge : edge + shape[-1]]
    return whole
