"""How long a network or an ONNX file takes on a device, now."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.files import naming
from bneck.latency.device_load import Load
from bneck.latency.devices import Device, Graph
from bneck.latency.load_correction import LoadCorrection
from bneck.latency.model import LatencyModel
from bneck.latency.timing import Effort, Timing, pooled
from bneck.progress import Progress, silent
from bneck.quantities import Latency
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.checks import MAX_PX, MIN_PX
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.units import as_percent

if TYPE_CHECKING:
    from bneck.latency.runtimes.weights import Array

NOISY = 0.10
"""Relative scatter of the reference beyond which a measurement is not to be trusted."""
LEAST_CORE_SHARE = 0.9
"""Share of the time that the runs must have had their core."""
MIN_REPETITIONS, MAX_REPETITIONS = 6, 16
"""Network and reference are prepared again for each: where their weights happen to lie in memory
moves all chunks of a repetition alike, which its own spread does not show."""
MAX_PAIRS = 20
QUICK = Effort(wanted=0.02, min_pairs=4, max_pairs=12)


@dataclass(frozen=True, slots=True)
class Measured:
    """A latency in ms, and its standard error.

    Attributes:
        note: why it is not to be trusted; empty where it is.
        timing: None where nothing was run.
        predicted: whether it is a prediction, for nothing could be measured on the device.
        batch: images that one run takes, as the device or an ONNX file says.
    """

    ms: float
    std_ms: float
    note: str = ""
    timing: Timing | None = None
    predicted: bool = False
    batch: int = 1

    @property
    def quiet(self) -> bool:
        """Whether the machine was quiet enough."""
        return not self.note

    @property
    def latency(self) -> Latency:
        """Its milliseconds with their standard error alone."""
        return Latency(self.ms, self.std_ms)


def reference(resolution_px: int, classes: int) -> Graph:
    """Return what everything is timed against: MobileNetV3-Small at that input side.

    It has as many classes as what it is compared with: at small sides a classifier of 1000 is
    most of the network, and slows down under load as nothing else does.
    """
    arch = presets.build(MOBILENET_V3_SMALL, resolution_px=resolution_px, classes=classes)
    return Graph(arch.layers())


def measure(
    network: Architecture | Path,
    device: Device,
    *,
    weights: "Mapping[str, Array] | None" = None,
    model: LatencyModel | None = None,
    resolution_px: int | None = None,
    wanted: float = 0.005,
    progress: Progress = silent,
) -> Measured:
    """Time a network, or an ONNX file, in warm chunks that alternate with the reference's.

    It is repeated with everything prepared again; the median counts, and the differences tell its
    standard error. On a device that only has published latencies, those are returned, as predicted.

    Args:
        network: an architecture, or the path of an ONNX file.
        device: what to time it on.
        weights: the network's own, by the torch module's state names; None takes random ones.
        model: a calibration of the device, by whose reference and scale the ms compare with its
            predictions; None takes what a reference of the network's side took meanwhile, of 224 px
            where an ONNX file's is none that it can have.
        resolution_px: what free sides of an ONNX file become, and fixed ones must be.
        wanted: relative standard error at which to stop.
        progress: told about every repetition, once the first has succeeded.

    Raises:
        UsageError: a file that cannot be read or run, or whose sides are free.
        BneckError: the device cannot be reached.
    """
    if isinstance(network, Path):
        graph, own_px, batch = _onnx_file(network, device, resolution_px)
        side, classes = resolution_px or own_px, 1000
    else:
        side, classes = network.resolution_px, network.classes
        batch = device.batch_size
        graph = Graph(network.layers(), weights)
        if device.published is not None:
            latency = device.published.predict(network)
            return Measured(latency.ms, latency.std_ms or 0.0, predicted=True, batch=batch)
    if model is not None:
        side, classes = model.resolution_px, model.scale.classes
    scale = model.scale if model is not None else None
    standard = reference(side, classes)
    with naming(network) if isinstance(network, Path) else nullcontext():
        found = measure_graph(
            graph, standard, device, scale=scale, wanted=wanted, progress=progress
        )
    return replace(found, batch=batch)


def _onnx_file(path: Path, device: Device, resolution_px: int | None) -> tuple[Graph, int, int]:
    """An ONNX file as a graph, the side of its reference, and its batch.

    Args:
        path: the file.
        device: what it is timed on.
        resolution_px: what its free sides become.
    """
    from bneck.latency.onnx_graph import read_onnx  # onnx, for those who need it

    onnx = read_onnx(path, resolution_px, device.batch_size)
    if onnx.batch != device.batch_size != 1:
        raise UsageError(
            f"{path}: its batch is fixed at {onnx.batch}, so it cannot be timed at "
            f"--batch-size {device.batch_size}"
        )
    own_px = onnx.resolution_px or 0
    side_px = own_px if MIN_PX <= own_px <= MAX_PX else 224
    return Graph(onnx=onnx.model), side_px, onnx.batch


def quick_latency_ms(device: Device, arch: Architecture) -> float:
    """Return rough milliseconds of a network on a device, in about a second.

    Good enough to tell that a target is out of reach before minutes are spent on a calibration:
    a few percent on a quiet machine.
    """
    if device.published is not None:
        return device.published.predict(arch).ms
    standard = reference(arch.resolution_px, arch.classes)
    ((timing, _),) = device.time([Graph(arch.layers())], standard, QUICK)
    return timing.ms


def measure_graph(
    graph: Graph,
    standard: Graph,
    device: Device,
    *,
    scale: LoadCorrection | None = None,
    wanted: float = 0.005,
    progress: Progress = silent,
) -> Measured:
    """Time a graph in turns with another, both prepared again each time, until it is sure enough.

    That has to be so twice in a row: a few ratios may lie close together by chance, and stopping at
    the first such chance understates the error (of ratios that scatter by 1.2 %: 0.38 % where it is
    0.57 %).

    Args:
        graph: what to time.
        standard: what its time is given as a ratio to.
        device: what to time them on.
        scale: a calibration's; None takes what ``standard`` took meanwhile.
        wanted: relative standard error at which to stop.
        progress: told about every repetition, once the first has succeeded.

    Raises:
        UsageError: the runtime cannot run the graph.
        BneckError: the device cannot be reached.
    """
    effort = Effort(wanted, max_pairs=MAX_PAIRS)
    watch = device.watch()
    repetitions: list[Timing] = []
    enough = False
    while True:
        ((timing, _),) = device.time([graph], standard, effort)
        repetitions.append(timing)
        timing = pooled(repetitions, wanted)
        done = len(repetitions)
        was_enough, enough = enough, timing.quiet and done >= MIN_REPETITIONS - 1
        if (enough and was_enough) or done >= MAX_REPETITIONS or device.by_hand:
            break
        planned = MIN_REPETITIONS if done < MIN_REPETITIONS else MAX_REPETITIONS
        spread = f"spread {as_percent(timing.spread, 1)}, {as_percent(wanted, 1)} wanted"
        progress("measuring", done, planned, spread)
    progress("measuring", done, done)
    ms = timing.ms if scale is None else scale.ms(timing)
    return Measured(ms, ms * timing.spread, _doubt(timing, wanted, watch()), timing)


def _doubt(timing: Timing, wanted: float, load: Load) -> str:
    """Return why a timing is not to be believed, or nothing."""
    if timing.core_share < LEAST_CORE_SHARE:
        taken = as_percent(1 - timing.core_share)
        return f"other programs used {taken} of this core during the measurement"
    if not load.quiet:
        return f"{load} during the measurement"
    if not timing.quiet:
        return (
            f"the spread stayed at {as_percent(timing.spread, 1)} after {timing.pairs} pairs of "
            f"chunks (wanted {as_percent(wanted, 1)}): other programs disturb this machine"
        )
    if timing.reference_spread > NOISY:
        return f"the reference itself scattered by {as_percent(timing.reference_spread)} meanwhile"
    return ""
