"""A trained network that others inherit from, as a value that can be sent to workers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bneck.errors import ProxyFailed
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.remapping import Remapped, remap
from bneck.space.backends.supernet import part
from bneck.space.channels import writers
from bneck.space.layers import output_shape


@dataclass(frozen=True, slots=True)
class Parent:
    """A network and its trained weights.

    Attributes:
        arch: the network.
        tensors: its weights, as the bytes of a safetensors file.
        digest: the first 12 hex digits of their SHA-256; a name may stand for other weights later.
        same_classes: whether it was trained for the classes that its heirs are for.
        elastic: whether the tensors serve all networks of its space (``Supernet``), so that each
            inherits its own part of them.
    """

    arch: Architecture
    tensors: bytes
    digest: str
    same_classes: bool = True
    elastic: bool = False

    @classmethod
    def of(
        cls,
        arch: Architecture,
        state: Mapping[str, Tensor],
        *,
        same_classes: bool = True,
        elastic: bool = False,
    ) -> "Parent":
        """Return a network and its weights as a parent.

        Args:
            arch: the network.
            state: its tensors by name.
            same_classes: as in the attributes.
            elastic: likewise.
        """
        tensors = weights.to_bytes(state)
        digest = hashlib.sha256(tensors).hexdigest()[:12]
        return cls(arch, tensors, digest, same_classes, elastic)

    def weights_for(self, arch: Architecture, *, seed: int) -> Remapped:
        """Return weights for any network, inherited path by path: see ``remap``.

        Args:
            arch: the network that they are for.
            seed: of the weights that cannot be inherited.
        """
        if self.elastic:
            source, state, importance = self._part_for(arch)
        else:
            source, state = self.arch, weights.from_bytes(self.tensors, self.arch)
            importance = None
        return remap(
            source, state, arch, seed=seed, importance=importance, same_classes=self.same_classes
        )

    def is_like(self, arch: Architecture) -> bool:
        """Return whether a network inherits all weights as they are; its input side may differ."""
        return (
            self.same_classes
            and not self.elastic
            and self.arch.at(resolution_px=arch.resolution_px) == arch
        )

    def _part_for(
        self, arch: Architecture
    ) -> tuple[Architecture, weights.State, dict[str, Tensor]]:
        """The network whose part of the weights another inherits, that part, and its channels.

        That is the other network itself, or the whole where some layer is not in the space. The
        first channels were trained in smaller networks too, so these stay.
        """
        whole = weights.tensors(self.tensors)
        source = replace(arch.at(classes=self.arch.classes), norm=self.arch.norm)
        try:
            state = part(whole, source)
        except ProxyFailed:
            source, state = self.arch, part(whole, self.arch)
        importance = {
            group: torch.arange(output_shape(layer)[0], 0, -1)
            for layer, group in writers(source.layers())
        }
        return source, state, importance
