"""What a kernel's time depends on, as named numbers that a model weighs.

Sizes are in thousands of floats, work in millions of multiply-adds: all numbers are of one order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from bneck.space.layers import Conv, Layer, Linear, Pool, Residual, input_shape

TILE = 4
"""Channel blocks that one pass over a pointwise convolution's input computes."""

CACHES = (32, 128, 256, 512, 1024, 2048, 4096)
"""Tensors beyond these sizes may cost more per number: 128 KB to 16 MB, as caches are."""

LINES = (32, 64, 128, 256)
"""Pixels that lie a multiple of so many floats apart (128 bytes to 1 KB) share few sets of a cache:
ever fewer, and how much that costs depends on the window and the side."""
ON_LINES = "@on lines of"

ODD_BLOCKS = "pointwise @odd blocks"
"""Where a pixel's channels lie together, pointwise kernels write two blocks at once, and a last one
alone slows the whole of them: under LiteRT 592 channels (37 blocks of 16) take longer than 640."""

ALL_WEIGHTS = {
    f"network @weights over {size}": size
    for size in (125, 250, 500, 1000, 1500, 2000, 2500, 3000, 4000)
}
"""All weights of a network may cost more beyond these, 0.5 to 16 MB: the next image needs them
again."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """How a runtime lays out channels; found by calibration.

    Fast kernels compute blocks of ``grid`` channels, so 104 channels cost what 112 do on a grid of
    16. Inputs whose channels are no multiple of ``alignment`` fall back to slow kernels.

    Attributes:
        in_memory: tensors lie in such blocks too, so that all kernels compute whole ones, as ONNX
            Runtime's do (NCHWc). Otherwise all channels of a pixel lie together (NHWC), and only
            pointwise and full convolutions write in blocks, as in LiteRT.
    """

    grid: int
    alignment: int
    in_memory: bool = True

    @property
    def held(self) -> int:
        """The block that a tensor's channels are rounded up to."""
        return self.grid if self.in_memory else 1


class Kernel(NamedTuple):
    """All that the time of a layer, an addition or a scaling depends on.

    ``size`` is the side of its window, ``px`` that of its input.
    """

    kind: str
    in_channels: int
    out_channels: int
    size: int
    stride: int
    px: int
    activation: str


GROUPED = "-group conv"
"""What the kind of a grouped convolution ends in, behind the number of its groups."""


def kernels(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Kernel]]:
    """(path, kernel) of everything that runs: leaves, additions and channel scalings."""
    for layer in layers:
        if isinstance(layer, Conv):
            yield layer.path, _conv(layer)
        elif isinstance(layer, Pool):
            channels = layer.channels
            yield layer.path, Kernel("pool", channels, channels, 1, 1, layer.in_px, "none")
        elif isinstance(layer, Linear):
            sizes = layer.in_features, layer.out_features
            yield layer.path, Kernel("linear", *sizes, 1, 1, 1, layer.activation)
        else:
            yield from kernels(layer.body)
            channels, _, px = input_shape(layer)
            kind = "add" if isinstance(layer, Residual) else "scale"
            yield layer.path, Kernel(kind, channels, channels, 1, 1, px, "none")


def _conv(layer: Conv) -> Kernel:
    if layer.depthwise:
        kind = "depthwise"
    elif layer.grouped:
        kind = f"{layer.groups}{GROUPED}"
    elif layer.kernel != 1:
        kind = "conv"
    else:
        kind = "vector" if layer.in_px == 1 else "pointwise"
    sizes = layer.in_channels, layer.out_channels, layer.kernel, layer.stride, layer.in_px
    return Kernel(kind, *sizes, layer.activation)


def label(kernel: Kernel) -> str:
    """The kernel as people call it: "depthwise 5x5/2 on 28 px, hswish"."""
    kind, _, _, size, stride, px, activation = kernel
    window = f" {size}x{size}/{stride}" if kind.endswith(("conv", "depthwise")) else ""
    return f"{kind}{window} on {px} px" + (f", {activation}" if activation != "none" else "")


@lru_cache(maxsize=200_000)
def features(kernel: Kernel, blocking: Blocking) -> dict[str, float]:
    """Named numbers of one kernel; those with ``@`` refine the others (a side, a corner)."""
    kind, cin, cout, size, stride, px, activation = kernel
    grid, held = blocking.grid, blocking.held
    kind, groups = _kind_and_groups(kind)
    if cin % blocking.alignment:
        kind, grid, held = f"unaligned {kind}", 1, 1
    writes_blocks = kind.endswith(("pointwise", "conv", "vector", "linear"))
    gin, gout = _up(cin, held), _up(cout, grid if writes_blocks else held)
    out_px = (px - 1) // stride + 1
    read, written = gin * px * px / 1e3, gout * out_px * out_px / 1e3
    if kind.endswith("pointwise"):
        passes = read * -(-gout // (TILE * grid))
        work = {"macs": gin * written / 1e3, "passes": passes, "weights": weights(kernel, blocking)}
    elif kind.endswith("depthwise"):
        rows = gout * out_px / 1e3
        work = {f"{size}x{size}/{stride}": written, "read": read, "rows": rows}
    elif kind.endswith("conv"):
        work = {f"{size}x{size}/{stride} macs": cin // groups * size * size * written / 1e3}
    elif kind.endswith(("vector", "linear")):
        work = {"weights": weights(kernel, blocking), "written": gout / 1e3}
    else:
        work = {"read": read}
    found = {kind: 1.0}
    for name, value in work.items():
        found[f"{kind} {name}"] = found[f"{kind} {name} @{px}"] = value
    if activation != "none":
        found |= {activation: written, f"{kind} {activation}": written}
    if px > 1:
        for cache in CACHES:
            found[f"{kind} @over {cache}"] = max(0.0, read + written - cache)
    if kind == "depthwise" and not blocking.in_memory:
        found |= _by_pixel(kernel, grid, read + written)
    if kind == "pointwise" and not blocking.in_memory and gout // grid % 2:
        found[ODD_BLOCKS] = work["macs"]
    corners = {"thin": cin < grid, "off grid": cin % grid}
    if writes_blocks:
        corners |= {
            "written unaligned": grid > 1 and cout % blocking.alignment,
            "written thin": cout < blocking.grid,
            "written off grid": cout % blocking.grid,
        }
    for name, there in corners.items():
        if there:
            found |= {f"{kind} @{name}": cin * px * px / 1e3, f"{kind} @{name}, each": 1.0}
    return found


def _by_pixel(kernel: Kernel, grid: int, moved: float) -> dict[str, float]:
    """What a depthwise convolution costs beyond its work where a pixel's channels lie together.

    Args:
        kernel: a depthwise one.
        grid: vector of channels that it computes at once.
        moved: thousands of numbers that it reads and writes.
    """
    _, channels, _, size, stride, px, _ = kernel
    window, read = f"depthwise {size}x{size}/{stride}", channels * px * px / 1e3
    found = {f"{window} @over {cache}": max(0.0, moved - cache) for cache in CACHES}
    found[f"{window} @{px}, each"] = 1.0
    if channels % grid:
        found[f"{window} @off grid"] = read
    for line in LINES:
        if channels % line == 0:
            on_lines = f"{window} {ON_LINES} {line}"
            found[on_lines] = found[f"{on_lines} @{px}"] = read
    return found


def weights(kernel: Kernel, blocking: Blocking) -> float:
    """Thousands of numbers that a kernel reads besides its input, in whole blocks of channels."""
    kind, cin, cout, size, _, _, _ = kernel
    if kind in ("pool", "add", "scale"):
        return 0.0
    grid, held = blocking.grid, blocking.held
    if cin % blocking.alignment:
        grid, held = 1, 1
    if kind == "depthwise":
        return _up(cout, held) * size * size / 1e3
    return _up(cin, held) * _up(cout, grid) * size * size / _kind_and_groups(kind)[1] / 1e3


def _kind_and_groups(kind: str) -> tuple[str, int]:
    """The kind of a kernel, without the number of its groups, and that number."""
    if not kind.endswith(GROUPED):
        return kind, 1
    return "grouped conv", int(kind.removesuffix(GROUPED))


def tells_blocking(name: str) -> bool:
    """Whether a feature is weighed when the blocking is chosen.

    Of the distances between pixels one is enough there: with few networks, all of them would only
    set back the layout that has them.
    """
    return ON_LINES not in name or name.endswith(f"{ON_LINES} 64")


def refines(name: str) -> bool:
    """Whether a feature only refines others, so that a model that never saw it can do without."""
    return "@" in name


def _up(channels: int, grid: int) -> int:
    return -(-channels // grid) * grid
