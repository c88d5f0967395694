"""A trained network whose outputs another one learns."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax

from bneck.proxies.data.image_info import ImageInfo
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import onnx_session, torch_model, weights

TEMPERATURE = 4.0
"""What logits are divided by before they are compared."""
SHARE = 0.5
"""The teacher's share of the loss; the rest is cross-entropy with the labels."""
_CPU = torch.device("cpu")

Logits = Callable[[Tensor], Tensor]
"""(B, 3, H, W), normalised as the student takes them -> (B, classes)."""


def distillation(logits: Tensor, of_teacher: Tensor) -> Tensor:
    """Return the loss that a teacher gives: Hinton et al. 2015, "Distilling the Knowledge".

    Kullback-Leibler divergence of the student's softened outputs from the teacher's, times the
    squared temperature, so that gradients keep their size (section 2).

    Args:
        logits: (B, classes) of the student.
        of_teacher: (B, classes).
    """
    soft = softmax(of_teacher / TEMPERATURE, 1)
    own = log_softmax(logits / TEMPERATURE, 1)
    return kl_div(own, soft, reduction="batchmean") * TEMPERATURE**2


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network as a value that can be sent to workers.

    Attributes:
        arch: the network; None where the content is a whole ONNX model.
        content: the bytes of a safetensors file of its weights, or of the ONNX model.
        mean, std: what its images are normalised with, on the scale 0 to 1; None as the student's.
    """

    arch: Architecture | None
    content: bytes
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def digest(self) -> str:
        """Return 12 hex digits of all that decides its outputs."""
        about = (self.arch and codec.key(self.arch), self.mean, self.std)
        return hashlib.sha256(repr(about).encode() + self.content).hexdigest()[:12]

    def ready(self, images: ImageInfo, device: torch.device = _CPU) -> Logits:
        """Return the function that gives its logits for images of a set.

        A network runs on the device of the images, an ONNX model on the CPU. All that a network
        needs is put there now: a step that copies from the CPU cannot be captured.

        Args:
            images: whose normalisation the student takes.
            device: where the function's images will be.
        """
        run = self._onnx() if self.arch is None else self._network(self.arch, device)
        if self.mean is None or self.std is None:
            return run
        own_mean, own_std = _channels(self.mean), _channels(self.std)
        scale = (_channels(images.std) / own_std).to(device)
        shift = ((_channels(images.mean) - own_mean) / own_std).to(device)

        def logits(pixels: Tensor) -> Tensor:
            return run(pixels * scale + shift)

        return logits

    def _network(self, arch: Architecture, device: torch.device) -> Logits:
        network = torch_model.build(arch).eval()
        network.load_state_dict(weights.from_bytes(self.content, arch))
        network.to(device).to(memory_format=torch.channels_last)

        @torch.no_grad()
        def logits(pixels: Tensor) -> Tensor:
            found: Tensor = network(pixels)
            return found

        return logits

    def _onnx(self) -> Logits:
        session = onnx_session.open_session(self.content, threads=torch.get_num_threads())
        name = session.get_inputs()[0].name

        def logits(pixels: Tensor) -> Tensor:
            given = {name: pixels.cpu().contiguous().numpy()}
            return torch.from_numpy(session.run(None, given)[0]).to(pixels.device)

        return logits


def _channels(values: Sequence[float]) -> Tensor:
    """(3,) numbers as (3, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
