"""The networks that people would pick instead: bneck's presets by width, timm's by input side."""

import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bneck.derivation.stages.target_device import TargetDevice
from bneck.latency.measure import Measured, measure
from bneck.latency.model import LatencyModel
from bneck.reproduction.width_baseline import narrowest_over
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.backends.torch_model import initialise

try:
    import timm
    from timm.models.repvit import RepVit
    from timm.utils.model import reparameterize_model
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: pip install timm")

STEP_PX, LEAST_PX, MOST_PX = 4, 32, 256
"""Sides that are tried."""
BY_WIDTH = {
    "MobileNetV3-Small": "mobilenet_v3_small",
    "MobileNetV3-Large": "mobilenet_v3_large",
    "MobileNetV2": "mobilenet_v2",
}
"""Family -> the preset whose width is varied, at the side of the derived networks."""


def _repvit_m0_6(**asked: Any) -> nn.Module:
    """timm has RepViT from M0.9 on; M0.6 has 40 to 320 channels and 2, 2, 9 and 1 blocks."""
    return RepVit(embed_dim=(40, 80, 160, 320), depth=(2, 2, 9, 1), distillation=False, **asked)


def _of_timm(name: str) -> Callable[..., nn.Module]:
    def build(**asked: Any) -> nn.Module:
        return timm.create_model(name, pretrained=False, exportable=True, **asked)

    return build


BY_SIDE: dict[str, Callable[..., nn.Module]] = {
    "MobileNetV4-Conv-Small": _of_timm("mobilenetv4_conv_small"),
    "MobileNetV4-Conv-Small x0.5": _of_timm("mobilenetv4_conv_small_050"),
    "LCNet": _of_timm("lcnet_100"),
    "LCNet x0.5": _of_timm("lcnet_050"),
    "MnasNet-small": _of_timm("mnasnet_small"),
    "MobileOne-S0": _of_timm("mobileone_s0"),
    "RepViT-M0.6": _repvit_m0_6,
    "StarNet-S1": _of_timm("starnet_s1"),
}
"""Family -> what builds it; its input side is varied."""
FAMILIES = (*BY_WIDTH, *BY_SIDE)


@dataclass(frozen=True, slots=True)
class Rival:
    """A network at the width multiplier, or the input side in px, that meets a latency."""

    family: str
    width: float
    side: int

    @property
    def name(self) -> str:
        """For tables."""
        size = f"x{self.width:g}" if self.family in BY_WIDTH else f"{self.side} px"
        return f"{self.family} {size}"

    def arch(self, classes: int) -> Architecture | None:
        """As bneck describes it; None for timm's."""
        preset = BY_WIDTH.get(self.family)
        if preset is None:
            return None
        return presets.build(preset, width=self.width, resolution_px=self.side, classes=classes)

    def build(self, classes: int, seed: int) -> nn.Module:
        """The network with random weights as its library draws them, but for the classifier.

        timm draws MobileNetV4's and LCNet's from the number of classes: with ten it is so large
        that they learn more slowly (after 80 steps 24 % in place of 37 %, at 92 px).
        """
        if (arch := self.arch(classes)) is not None:
            return torch_model.build(arch, seed=seed)
        torch.manual_seed(seed)
        network = BY_SIDE[self.family](num_classes=classes)
        for module in network.modules():
            if isinstance(module, nn.Linear) and module.out_features == classes:
                initialise(module, seed)
        return network

    def measured(self, device: TargetDevice, network: nn.Module, classes: int) -> Measured:
        """Its latency with the weights of ``network``, parallel branches folded."""
        if (arch := self.arch(classes)) is not None:
            return device.measure(arch, dict(network.state_dict()))
        device.wait_until_quiet()
        model = device.model
        assert isinstance(model, LatencyModel)  # a table measures nothing
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.onnx"
            exported(network, self.side, file)
            return measure(file, device.device, model=model)


def exported(network: nn.Module, side: int, file: Path) -> None:
    """Write a network of timm as ONNX by torch's own export, parallel branches folded."""
    folded = reparameterize_model(network.cpu().eval())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 3, side, side)
        torch.onnx.export(folded, (example,), file, external_data=False, verbose=False)


def at_latency(
    family: str,
    target_ms: float,
    device: TargetDevice,
    random_ms: Callable[[Rival], float],
    *,
    side: int,
    classes: int,
) -> Rival | None:
    """The smallest network of a family that measures at or over a latency.

    As with the width multiplier in `bneck reproduce`, a derived network at or under its target is
    so compared with networks that were not held back.

    Args:
        family: a word of ``FAMILIES``.
        target_ms: the latency.
        device: measures networks by width.
        random_ms: measures a network by side, with random weights.
        side: input side in px of families whose width is varied.
        classes: outputs of the network.

    Returns:
        None where the largest side is still too fast.
    """
    if family in BY_WIDTH:
        width, _ = narrowest_over(
            BY_WIDTH[family], target_ms, device, resolution_px=side, classes=classes
        )
        return Rival(family, width, side)
    low, high, found = LEAST_PX // STEP_PX, MOST_PX // STEP_PX, None
    while low <= high:
        middle = (low + high) // 2
        rival = Rival(family, 1.0, middle * STEP_PX)
        if random_ms(rival) >= target_ms:
            found, high = rival, middle - 1
        else:
            low = middle + 1
    return found
