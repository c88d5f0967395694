"""The modules that an export to torchvision's classes writes, as format strings."""

V3 = '''"""A network derived by bneck, built from torchvision's MobileNetV3 classes.

    network = build().eval()    # with the weights that lie beside this file
    logits = network(images)    # (N, 3, {px}, {px}), RGB from 0 to 1, less MEAN, divided by STD
"""

from functools import partial
from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.ops.misc import Conv2dNormActivation

WEIGHTS = Path(__file__).with_name({file!r})
{facts}

# in, kernel, expansion, out, squeeze-excite, activation, stride
ROWS = (
{rows}
)


def build(weights: Path | None = WEIGHTS) -> MobileNetV3:
    """The network, with its weights unless None is given."""
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
    settings = [
        InvertedResidualConfig(*row, dilation=1, width_mult=1.0) for row in ROWS
    ]
    network = MobileNetV3(settings, last_channel={hidden}, num_classes={classes}, norm_layer=norm)
    network.features[-1] = Conv2dNormActivation(
        {last}, {head}, 1, norm_layer=norm, activation_layer=nn.Hardswish
    )
    network.classifier[0] = nn.Linear({head}, {hidden})
    if weights is not None:
        network.load_state_dict(load_file(weights))
    return network
'''

V2 = '''"""A network derived by bneck, built from torchvision's MobileNetV2 classes.

    network = build().eval()    # with the weights that lie beside this file
    logits = network(images)    # (N, 3, {px}, {px}), RGB from 0 to 1, less MEAN, divided by STD
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.ops.misc import Conv2dNormActivation

WEIGHTS = Path(__file__).with_name({file!r})
{facts}

# expansion ratio, out, repeats, stride
ROWS = (
{rows}
)


def build(weights: Path | None = WEIGHTS) -> MobileNetV2:
    """The network, with its weights unless None is given."""
    network = MobileNetV2({classes}, inverted_residual_setting=list(ROWS), round_nearest=1)
    network.features[-1] = Conv2dNormActivation({last}, {head}, 1, activation_layer=nn.ReLU6)
    network.classifier[-1] = nn.Linear({head}, {classes})
    if weights is not None:
        network.load_state_dict(load_file(weights))
    return network
'''

MNASNET = '''"""A network derived by bneck, built from torchvision's MnasNet classes.

    network = build().eval()    # with the weights that lie beside this file
    logits = network(images)    # (N, 3, {px}, {px}), RGB from 0 to 1, less MEAN, divided by STD
"""

from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file
from torch import nn
from torchvision.models.mnasnet import MNASNet, _InvertedResidual

WEIGHTS = Path(__file__).with_name({file!r})
{facts}

# in, out, kernel, stride, expansion ratio
ROWS = (
{rows}
)


def norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU()


def separable(channels: int, out: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    """A depthwise convolution and a linear 1x1, without residual."""
    padding = kernel // 2
    return (
        nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False),
        *norm_relu(channels),
        nn.Conv2d(channels, out, 1, bias=False),
        nn.BatchNorm2d(out),
    )


def build(weights: Path | None = WEIGHTS) -> MNASNet:
    """The network, with its weights unless None is given."""
    network = MNASNet(1.0, {classes})
    network.layers = nn.Sequential(
        nn.Conv2d(3, {stem}, 3, 2, 1, bias=False),
        *norm_relu({stem}),
        *separable({stem}, {first}),
        *(_InvertedResidual(*row) for row in ROWS),
        nn.Conv2d({last}, {head}, 1, bias=False),
        *norm_relu({head}),
    )
    network.classifier[-1] = nn.Linear({head}, {classes})
    if weights is not None:
        state = OrderedDict(load_file(weights))
        state._metadata = {{"": {{"version": network._version}}}}  # which MNASNet asks for
        network.load_state_dict(state)
    return network
'''
