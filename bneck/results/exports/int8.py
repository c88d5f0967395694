"""8 bits: several ways of quantising are tried, and what the best one costs is counted.

A way is chosen on training images, never on those that its accuracy is counted on.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from bneck.errors import UsageError
from bneck.quantities import Accuracy, difference, marks
from bneck.results.exports import NEEDS_IMAGES, Exported, Trained, load
from bneck.results.exports.checking import network
from bneck.results.metadata import MEASURED
from bneck.results.record import Int8
from bneck.space.layers import Layer, Residual, Scale, leaves

Run = Callable[[Tensor], Tensor]
"""(B, 3, px, px) images -> (B, classes) logits."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a network is quantised.

    Attributes:
        per_channel: whether each filter has a scale of its own, or each tensor of weights has one.
        in_float: paths of the layers that stay in floats.
        averaged: whether an activation's range is the mean of the ranges of single images, rather
            than the range of all: one image far from the others then coarsens no scale.
    """

    per_channel: bool
    in_float: tuple[str, ...] = ()
    averaged: bool = False

    def __str__(self) -> str:
        scales = "one scale per channel" if self.per_channel else "one scale per tensor"
        in_float = ", squeeze-excite in float" * bool(self.in_float)
        return scales + in_float + ", averaged ranges" * self.averaged


def ways(layers: tuple[Layer, ...]) -> list[Way]:
    """Return the ways that are tried, the one that most runtimes like best first."""
    gates = tuple(leaf.path for gate in _gates(layers) for leaf in leaves(gate.body))
    return [
        Way(per_channel, in_float)
        for in_float, per_channel in product(((), gates) if gates else ((),), (True, False))
    ]


def _gates(layers: tuple[Layer, ...]) -> list[Scale]:
    found: list[Scale] = []
    for layer in layers:
        if isinstance(layer, Scale):
            found.append(layer)
        elif isinstance(layer, Residual):
            found += _gates(layer.body)
    return found


def images_of(trained: Trained) -> list[Tensor]:
    """Return the images, (1, 3, px, px) each, that 8-bit ranges are found on.

    Raises:
        UsageError: there are none.
    """
    if trained.samples is None:
        raise UsageError(NEEDS_IMAGES)
    return [image for images, _ in trained.samples.ranges() for image in images.split(1)]


def quick_accuracy(trained: Trained, to: str) -> float:
    """Return the share of the validation images that the network classifies right in 8 bits.

    It is quantised in the first of the ways, as the runtimes in 8 bits time it, and run by one
    thread, as trainings in a search are.

    Args:
        trained: the network, with samples.
        to: a format in 8 bits of ``EXPORTS``.
    """
    assert trained.samples is not None
    module = load(to)
    first = module.ways(trained.arch.layers())[0]
    run: Run = module.runner(module.quantiser(trained)(first), threads=1)
    right, images = 0, 0
    for pixels, labels in trained.samples.validation():
        right += int((_logits(run, pixels).argmax(1) == labels).sum())
        images += len(labels)
    return right / images


def cost(trained: Trained, to: str) -> Int8:
    """Return what 8 bits cost a network in the best of the ways; no file is written.

    Args:
        trained: the network, with samples.
        to: a format in 8 bits of ``EXPORTS``.
    """
    module = load(to)
    ways = module.ways(trained.arch.layers())
    found = best(trained, ways, module.quantiser(trained), module.runner)[1].int8
    assert found is not None
    return found


def best(
    trained: Trained,
    ways: Iterable[Way],
    quantised: Callable[[Way], bytes],
    runner: Callable[[bytes], Run],
) -> tuple[bytes, Exported]:
    """Return the file of the way that stays nearest to the float network, and what it costs.

    Nearest is the way that gives most training images the class that the float network gives them,
    and among equals the one whose logits are nearest.

    Args:
        trained: the network, with samples.
        ways: to try.
        quantised: makes the file of a way.
        runner: opens a file.
    """
    assert trained.samples is not None
    ours = network(trained)
    pieces = [(images, _logits(ours, images)) for images, _ in trained.samples.choice()]
    tried: dict[str, tuple[float, float]] = {}
    files: dict[str, bytes] = {}
    for way in ways:
        files[str(way)] = quantised(way)
        tried[str(way)] = _nearness(pieces, runner(files[str(way)]))
    chosen = max(tried, key=lambda way: tried[way])
    shares = {way: agreeing for way, (agreeing, _) in tried.items()}
    counted = _counted(trained, ours, runner(files[chosen]), chosen, shares)
    return files[chosen], Exported(-tried[chosen][1], counted)


def _logits(run: Run, images: Tensor) -> Tensor:
    with torch.no_grad():
        return run(images)


def _nearness(pieces: list[tuple[Tensor, Tensor]], run: Run) -> tuple[float, float]:
    """Share of the images that get the same class, and less the logits' relative difference."""
    same, off, size, images = 0, 0.0, 0.0, 0
    for pixels, ours in pieces:
        theirs = _logits(run, pixels)
        same += int((theirs.argmax(1) == ours.argmax(1)).sum())
        off += float((theirs - ours).square().sum())
        size += float(ours.square().sum())
        images += len(ours)
    return same / images, -((off / size) ** 0.5)


def _counted(trained: Trained, ours: Run, theirs: Run, way: str, tried: dict[str, float]) -> Int8:
    """Count the images of the validation part that each of the two classifies right.

    Args:
        trained: the network, with samples.
        ours: the float network.
        theirs: the 8-bit file.
        way: how it was quantised.
        tried: all ways, with their agreement on training images.
    """
    assert trained.samples is not None
    before, after = [], []
    for images, labels in trained.samples.validation():
        before.append(_logits(ours, images).argmax(1) == labels)
        after.append(_logits(theirs, images).argmax(1) == labels)
    in_float, in_int8 = torch.cat(before), torch.cat(after)
    count = len(in_float)
    float_accuracy = Accuracy.counted(float(in_float.double().mean()), count)
    accuracy = Accuracy.counted(float(in_int8.double().mean()), count)
    return Int8(
        way=way,
        tried=tried,
        accuracy=accuracy,
        float_accuracy=float_accuracy,
        lost=difference(
            float_accuracy, accuracy, marks(in_float.tolist()), marks(in_int8.tolist())
        ),
        images=count,
    )


def notes(trained: Trained, exported: Exported) -> dict[str, str]:
    """Return what the file of a float network carries as it holds in 8 bits.

    Args:
        trained: the float network.
        exported: what 8 bits cost.
    """
    int8, kept = exported.int8, trained.metadata()
    assert int8 is not None
    return {name: kept[name] for name in sorted(kept.keys() - set(MEASURED))} | {
        "accuracy": f"{int8.accuracy.value:.4f}",
        "float_accuracy": f"{int8.float_accuracy.value:.4f}",
        "quantisation": int8.way,
    }
