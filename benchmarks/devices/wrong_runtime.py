"""What deriving for the wrong runtime costs: one derivation for each runtime, measured under both.

    python benchmarks/devices/wrong_runtime.py --data folder:photos --work DIR -- [OPTION ...]

Derives for ``onnxruntime`` and for ``litert`` with the same images and the target as a share of
MobileNetV3-Small under each; options behind ``--`` go to both ``bneck derive``. Then each network
is timed under both runtimes. Run it on a quiet machine; it resumes where it was stopped.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bneck.latency.devices import open_device
from bneck.latency.measure import measure
from bneck.results.networks import load_network
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual
from bneck.space.presets import MOBILENET_V3_SMALL

RUNTIMES = ("onnxruntime", "litert")


def derived(runtime: str, options: argparse.Namespace) -> Architecture:
    """The network derived for a runtime; the run in DIR resumes or is read."""
    out = options.work / runtime
    command = [
        "bneck", "derive", "--target", f"{options.share}x:{MOBILENET_V3_SMALL}",
        "--data", options.data, "--runtime", runtime, "--out", str(out), *options.options,
    ]  # fmt: skip
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    if code and not (out / "result.json").exists():
        raise SystemExit(code)
    return load_network(str(out))[1]


def traits(arch: Architecture) -> dict[str, Any]:
    """What the networks of two runtimes may differ in."""
    blocks = [b for _, b in arch.block_parts() if isinstance(b, InvertedResidual)]
    return {
        "blocks": len(blocks),
        "squeeze_excite": sum(block.se != "none" for block in blocks),
        "hswish": sum(block.activation == "hswish" for block in blocks),
        "5x5": sum(block.kernel == 5 for block in blocks),
    }


def main() -> None:
    """Derive twice, measure four times, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="images, as bneck derive takes them")
    parser.add_argument("--work", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--share", type=float, default=0.8, help="target, of V3-Small's latency")
    parser.add_argument("options", nargs="*", help="further options of bneck derive, behind --")
    options = parser.parse_args()
    networks = {runtime: derived(runtime, options) for runtime in RUNTIMES}
    one = next(iter(networks.values()))
    baseline = presets.build(MOBILENET_V3_SMALL).at(
        resolution_px=one.resolution_px, classes=one.classes
    )
    table = {runtime: traits(arch) for runtime, arch in networks.items()}
    for under in RUNTIMES:
        device = open_device(runtime=under)
        standard = measure(baseline, device).ms
        for runtime, arch in networks.items():
            took = measure(arch, device)
            table[runtime][f"share_under_{under}"] = took.ms / standard
            table[runtime][f"note_under_{under}"] = took.note
    cost = {
        under: 100
        * (table[other][f"share_under_{under}"] / table[under][f"share_under_{under}"] - 1)
        for under, other in (RUNTIMES, RUNTIMES[::-1])
    }
    print(json.dumps({"networks": table, "wrong_runtime_costs_percent": cost}, indent=2))


if __name__ == "__main__":
    main()
