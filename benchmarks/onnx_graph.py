"""Writing MobileNetV3-Small's ONNX graph directly against ``torch.onnx.export``.

    python benchmarks/onnx_graph.py [--repeats 15] [--json]

Both write the float32 graph of the same network with the same weights, batch norms folded, to bytes
in memory, taking turns; the ratio is the median of the turns'. The export is the TorchScript-based
one, the faster of torch's two.
"""

import argparse
import io
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch

from bneck.cli import exit_code_of, whole_number
from bneck.space import presets
from bneck.space.backends import onnx_model, torch_model


def milliseconds(write: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    write()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=whole_number, default=15)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    arch = presets.build("mobilenet_v3_small")
    network = torch_model.build(arch).eval()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    image = torch.zeros(1, 3, arch.resolution_px, arch.resolution_px)

    def direct() -> bytes:
        graph: bytes = onnx_model.build(arch.layers(), weights).SerializeToString()
        return graph

    def export() -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (image,), file, dynamo=False)  # type: ignore[arg-type]
        return file.getvalue()

    pairs = [(milliseconds(direct), milliseconds(export)) for _ in range(options.repeats + 1)]
    pairs = pairs[1:]  # the first warms up
    figures = {
        "direct_ms": statistics.median(ours for ours, _ in pairs),
        "export_ms": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(theirs / ours for ours, theirs in pairs),
        "repeats": options.repeats,
    }
    if options.json:
        print(json.dumps(figures))
    else:
        print(
            f"direct {figures['direct_ms']:.1f} ms, torch.onnx.export {figures['export_ms']:.0f} "
            f"ms: {figures['ratio']:.0f} x"
        )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
