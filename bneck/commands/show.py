"""The command ``show``: a network block by block."""

from dataclasses import asdict

from bneck.commands.common.options import (
    ClassesOption,
    JsonOption,
    NetArgument,
    ResolutionOption,
    WidthOption,
)
from bneck.commands.common.output import print_result
from bneck.results import table
from bneck.results.networks import load_network, network_name
from bneck.space.cost import cost


def show(
    net: NetArgument,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Print a network block by block, with its cost.

    Activations are the most that one image keeps in memory at once, in float32, where each residual
    is added in place.
    """
    arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    name = network_name(net, width)
    rows, counted = table.rows(arch), cost(arch)
    about = {"name": name, **asdict(counted), "resolution_px": arch.resolution_px}
    text = (
        f"{name}: {counted.params:,} parameters, {counted.macs / 1e6:.1f} M multiply-adds, "
        f"{counted.peak_activation_bytes / 1e6:.2f} MB of activations at once, at "
        f"{arch.resolution_px} px"
    )
    result = {**about, "blocks": [asdict(row) for row in rows]}
    print_result(json, result, f"{text}\n{table.as_text(rows)}")
