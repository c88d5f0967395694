"""A network's accuracy on the validation images."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed
from bneck.machine import CPU, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.device import computing, give_back
from bneck.proxies.training.distributed import gathered, own_rows, processes
from bneck.quantities import Accuracy, marks

_PIXELS_AT_ONCE = {"cpu": 2**19, "cuda": 2**24}  # 512 images of 32 px, 10 of 224 on a CPU


@dataclass(frozen=True)
class ValidationResult:
    """A network's accuracy and loss on the validation images.

    Attributes:
        accuracy: share classified right, 0 to 1, with its binomial standard error.
        loss: mean cross-entropy, in nats.
        losses: (images,) cross-entropies, by which two networks can be compared in pairs.
        right: the ``marks`` of the images, likewise.
    """

    accuracy: Accuracy
    loss: float
    losses: Tensor = field(repr=False, compare=False)
    right: str = field(repr=False, compare=False)


def evaluate(
    network: nn.Module, images: ImageSource, *, compute: Compute = CPU
) -> ValidationResult:
    """Evaluate a network on the validation images.

    Args:
        network: takes (B, 3, H, W) float images, returns (B, classes) logits; is on the CPU
            afterwards.
        images: those whose validation part is classified.
        compute: device and threads to compute with.

    Raises:
        ProxyFailed: the loss is not finite.
    """
    with computing(compute) as device:
        found = validated(network.to(device), images, device)
        network.to("cpu")
        return found


def validated(network: nn.Module, images: ImageSource, device: torch.device) -> ValidationResult:
    """Classify the validation images; each of several processes takes a part of them.

    Args:
        network: takes (B, 3, H, W) float images, returns (B, classes) logits; is on the device.
        images: those whose validation part is classified.
        device: where pixels are sent.

    Raises:
        ProxyFailed: the loss is not finite.
    """
    parts = []
    own = images.val if processes() == 1 else images.val.take(own_rows(len(images.val)))
    at_once = max(1, _PIXELS_AT_ONCE[device.type] // images.info.resolution_px**2)
    with evaluating(network):
        for pixels, labels in own.chunks(at_once):  # uint8 (B, 3, H, W), (B,)
            logits = _logits(network, images.normalise(pixels.to(device)))  # (B, classes)
            right = logits.argmax(1) == labels
            parts.append(torch.stack([cross_entropy(logits, labels, reduction="none"), right]))
    losses, right = gathered(torch.cat(parts, 1), len(images.val))  # (images,) each
    loss = float(losses.double().mean())
    if not math.isfinite(loss):
        raise ProxyFailed(
            f"the validation loss on {images.info.name} is {loss}: the network diverged"
        )
    accuracy = Accuracy.counted(int(right.sum()) / len(losses), len(losses))
    return ValidationResult(accuracy, loss, losses, marks(right.tolist()))


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, classes) on the CPU; where memory runs out, by halves of the images."""
    try:
        logits: Tensor = network(x).cpu()
        return logits
    except torch.OutOfMemoryError:
        if len(x) == 1:
            raise
    give_back()
    return torch.cat([_logits(network, half) for half in x.tensor_split(2)])


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Have the network in evaluation mode inside the block, without gradients."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(was_training)
