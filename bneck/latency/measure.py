"""How long a network or an ONNX file takes here and now."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bneck.errors import UsageError
from bneck.latency.load_correction import Scale
from bneck.latency.runtimes import Runtime
from bneck.latency.timing import Run, Timing, compare, pooled
from bneck.quantities import Latency
from bneck.space import presets
from bneck.space.architecture import Architecture

REFERENCE = "mobilenet_v3_small"
NOISY = 0.10
FEWEST_SHARE = 0.9
FEWEST_SITTINGS, MOST_SITTINGS = 5, 12
"""For each of which network and reference are prepared anew: where their weights happen to lie in
memory moves all chunks of a sitting alike, which its own spread does not show."""
MOST_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured latency in ms, its standard error, and whether the machine was quiet enough.

    ``note`` says why not, and is empty otherwise.
    """

    ms: float
    std_ms: float
    quiet: bool
    note: str
    timing: Timing

    @property
    def latency(self) -> Latency:
        """The measured ms with their standard error alone."""
        return Latency(self.ms, self.std_ms)


def reference(runtime: Runtime, resolution_px: int, classes: int) -> Run:
    """What everything is timed against: MobileNetV3-Small at that side on the same runtime.

    It knows as many classes as what it is compared with: at small sides a classifier of 1000 is
    most of the network, and slows down under load as nothing else does.
    """
    arch = presets.build(REFERENCE, resolution_px=resolution_px, classes=classes)
    return runtime.prepare(arch.layers())


def measure(
    network: Architecture | Path,
    runtime: Runtime,
    *,
    scale: Scale | None = None,
    resolution_px: int | None = None,
    wanted: float = 0.005,
) -> Measured:
    """Time a network, or an ONNX file, in warm chunks that alternate with the reference's.

    In several sittings, whose median counts and whose differences tell its standard error.

    Args:
        scale: a calibration's, so that the ms compare with its predictions; None takes what the
            reference took meanwhile.
        resolution_px: side of the reference; where None the network's, or 224 for an ONNX file.
        wanted: relative standard error at which to stop.
    """
    if isinstance(network, Path):
        side, classes = resolution_px or 224, 1000
    else:
        side, classes = resolution_px or network.resolution_px, network.classes
    prepare = _preparing(network, runtime)
    # Where runs are timed by the wall, it takes the process's CPU time to notice other programs.
    on_cpu = time.process_time_ns if runtime.clock is time.perf_counter_ns else runtime.clock
    sittings: list[Timing] = []
    wall = own = 0
    while True:
        run = prepare()
        standard = reference(runtime, side, scale.classes if scale else classes)
        begun, begun_on_cpu = runtime.wall(), on_cpu()
        sittings.append(
            compare(run, standard, wanted=wanted, max_pairs=MOST_PAIRS, clock=runtime.clock)
        )
        wall += runtime.wall() - begun
        own += on_cpu() - begun_on_cpu
        timing = pooled(sittings, wanted)
        enough = timing.quiet and len(sittings) >= FEWEST_SITTINGS
        if enough or len(sittings) >= MOST_SITTINGS:
            break
    ms = timing.ms if scale is None else scale.ms(timing)
    return Measured(ms, ms * timing.spread, *_judged(timing, wanted, own / wall), timing)


def _preparing(network: Architecture | Path, runtime: Runtime) -> Callable[[], Run]:
    """What prepares the network anew at each call."""
    if not isinstance(network, Path):
        layers = network.layers()
        return lambda: runtime.prepare(layers)
    try:
        content = network.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {network}: {error.strerror or error}") from None

    def prepare() -> Run:
        try:
            return runtime.prepare_onnx(content)
        except UsageError as error:
            raise UsageError(f"{network}: {error}") from None

    return prepare


def _judged(timing: Timing, wanted: float, share: float) -> tuple[bool, str]:
    """Whether to believe a timing during which the thread had this share of its core."""
    if share < FEWEST_SHARE:
        return False, f"other programs took {1 - share:.0%} of the core meanwhile, and its caches"
    if not timing.quiet:
        return False, (
            f"the spread stayed at {timing.spread:.1%} after {timing.pairs} pairs of chunks "
            f"(wanted {wanted:.1%}): other programs disturb this machine"
        )
    if timing.reference_spread > NOISY:
        return False, f"the reference itself scattered by {timing.reference_spread:.0%} meanwhile"
    return True, ""
