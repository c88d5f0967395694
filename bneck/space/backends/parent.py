"""A trained network that others inherit from, as a value that can be sent to workers."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.remapping import Remapped, remap


@dataclass(frozen=True, slots=True)
class Parent:
    """A network and its trained weights.

    Attributes:
        arch: the network.
        tensors: its weights, as the bytes of a safetensors file.
        same_classes: whether it was trained for the classes that its heirs are for.
    """

    arch: Architecture
    tensors: bytes
    same_classes: bool = True

    @classmethod
    def of(
        cls, arch: Architecture, state: Mapping[str, Tensor], *, same_classes: bool = True
    ) -> "Parent":
        """Return the parent with these tensors by name."""
        return cls(arch, weights.to_bytes(state), same_classes)

    def weights_for(self, arch: Architecture, *, seed: int) -> Remapped:
        """Return weights for any network, inherited path by path: see ``remap``.

        Args:
            arch: the network that they are for.
            seed: of the weights that cannot be inherited.
        """
        state = weights.from_bytes(self.tensors, self.arch)
        return remap(self.arch, state, arch, seed=seed, same_classes=self.same_classes)

    def is_like(self, arch: Architecture) -> bool:
        """Return whether a network inherits all weights as they are; its input side may differ."""
        return self.same_classes and self.arch.at(resolution_px=arch.resolution_px) == arch
