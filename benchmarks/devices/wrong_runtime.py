"""What deriving for the wrong runtime costs: one derivation for each runtime, measured under both.

    python benchmarks/devices/wrong_runtime.py --data folder:photos --work DIR -- [OPTION ...]

Derives for ``onnxruntime`` and for ``litert`` with the same images and the target as a share of
MobileNetV3-Small under each; options behind ``--`` go to both ``bneck derive``. Then each network
is timed under both runtimes with its trained weights, as a share of MobileNetV3-Small. That takes
as long as two derivations and needs LiteRT (`pip install '.[litert]'`). Run it on a quiet machine;
it resumes where it was stopped.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path

from bneck import records
from bneck.cli import exit_code_of, new_folder, positive
from bneck.derivation.trained_networks import load_weights
from bneck.latency.devices import Device, open_device
from bneck.latency.measure import measure
from bneck.quantities import Accuracy
from bneck.results.networks import load_network
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.space.blocks import InvertedResidual
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import aligned
from bneck.units import percent

RUNTIMES = ("onnxruntime", "litert")
OWN = {"--target", "--data", "--runtime", "--out"}
"""Options of ``bneck derive`` that this benchmark gives."""


@dataclass(frozen=True, slots=True)
class Share:
    """A latency as a share of V3-Small's under the same runtime, and its standard error."""

    ratio: float
    spread: float
    note: str

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ± {self.spread:.3f}"


@dataclass(frozen=True, slots=True)
class Derived:
    """The network derived for a runtime: what such networks may differ in, and its latencies."""

    accuracy: Accuracy | None
    blocks: int
    squeeze_excite: int
    hswish: int
    five_by_five: int
    seven_by_seven: int
    under: dict[str, Share]


def derive(runtime: str, options: argparse.Namespace) -> Path:
    """Derive for a runtime, or resume; returns the run's folder.

    Raises:
        SystemExit: no network came of it; one that misses its target is measured all the same.
    """
    out: Path = options.work / runtime
    command = [
        sys.executable, "-c", "import sys; from bneck.cli import main; sys.exit(main())",
        "derive", "--target", f"{options.share}x:{MOBILENET_V3_SMALL}",
        "--data", options.data, "--runtime", runtime, "--out", str(out), *options.options,
    ]  # fmt: skip
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    missed = code == 1 and (out / "result.json").exists()
    if code and not missed:
        raise SystemExit(code)
    return out


def judged(run: Path, devices: Mapping[str, Device]) -> Derived:
    """Count and time the network of a run on the device of each runtime."""
    arch = load_network(str(run))
    state = load_weights(str(run), None, arch, seed=0)
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    under = {}
    for runtime, device in devices.items():
        took = measure(arch, device, weights=weights)
        assert took.timing is not None
        ratio = took.timing.ratio
        under[runtime] = Share(ratio, ratio * took.timing.spread, took.note)
    blocks = [b for _, b in arch.block_parts() if isinstance(b, InvertedResidual)]
    return Derived(
        records.read(Run.read(run).result, Outcome).accuracy,
        len(blocks),
        sum(block.se != "none" for block in blocks),
        sum(block.activation == "hswish" for block in blocks),
        sum(block.kernel == 5 for block in blocks),
        sum(block.kernel == 7 for block in blocks),
        under,
    )


def costs_percent(networks: dict[str, Derived]) -> dict[str, tuple[float, float]]:
    """Runtime -> by how many per cent the other's network is slower there, and standard error."""
    found = {}
    for runtime, other in (RUNTIMES, RUNTIMES[::-1]):
        right, wrong = networks[runtime].under[runtime], networks[other].under[runtime]
        ratio = wrong.ratio / right.ratio
        relative = hypot(wrong.spread / wrong.ratio, right.spread / right.ratio)
        found[runtime] = (100 * (ratio - 1), 100 * ratio * relative)
    return found


def main() -> None:
    """Derive twice, measure four times, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="images, as bneck derive takes them")
    parser.add_argument("--work", type=new_folder, required=True, help="where the runs are kept")
    parser.add_argument("--share", type=positive, default=0.8, help="target, of V3-Small's latency")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    parser.add_argument("options", nargs="*", help="further options of bneck derive, behind --")
    options = parser.parse_args()
    if taken := sorted(OWN & {word.partition("=")[0] for word in options.options}):
        parser.error(f"{', '.join(taken)} behind --: this benchmark gives them")
    devices = {runtime: open_device(runtime=runtime) for runtime in RUNTIMES}
    runs = {runtime: derive(runtime, options) for runtime in RUNTIMES}
    networks = {runtime: judged(run, devices) for runtime, run in runs.items()}
    costs = costs_percent(networks)
    if options.json:
        about = {runtime: asdict(one) for runtime, one in networks.items()}
        print(json.dumps({"networks": about, "wrong_runtime_costs_percent": costs}))
        return
    parts = ("with squeeze-excite", "with h-swish", "5x5", "7x7")
    heads = ("derived for", "accuracy", "blocks", *parts)
    rows = [(*heads, *(f"x V3-Small, {runtime}" for runtime in RUNTIMES))]
    for runtime, one in networks.items():
        kernels = (one.five_by_five, one.seven_by_seven)
        counts = (one.blocks, one.squeeze_excite, one.hswish, *kernels)
        shares = (str(one.under[under]) for under in RUNTIMES)
        rows.append((runtime, percent(one.accuracy), *map(str, counts), *shares))
    print(aligned(rows))
    for runtime, (cost, spread) in costs.items():
        print(f"under {runtime}, the other's network takes {cost:+.1f} ± {spread:.1f} % time")
    for runtime, one in networks.items():
        for under, share in one.under.items():
            if share.note:
                print(f"{runtime}'s network under {under}: do not trust it: {share.note}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
