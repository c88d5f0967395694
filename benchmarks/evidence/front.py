"""Which published networks are worth their latency on this machine: accuracy over measured latency.

    python benchmarks/evidence/front.py FOLDER [--runtime litert] [--limit-ms 6] [--export-only]

Networks of timm (`pip install timm`), re-parameterised branches folded, with random weights, are
exported to ONNX into FOLDER and timed in turns with MobileNetV3-Small under ONNX Runtime, one
thread. For LiteRT, litert-torch converts them (`pip install timm litert-torch`). Their ImageNet
accuracies are those of published.csv: of timm's results-imagenet.csv (commit 0173a139) or of the
paper named there. Resumes; writes FOLDER/front.jsonl and FOLDER/front.svg, of LiteRT
FOLDER/front-litert.jsonl and FOLDER/front-litert.svg.
"""

import argparse
import csv
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from torch import Tensor, nn

from bneck import records
from bneck.cli import exit_code_of, new_folder, positive
from bneck.errors import BneckError
from bneck.latency.devices import Graph
from bneck.latency.devices.local import LocalDevice
from bneck.latency.measure import measure_graph, reference
from bneck.results.static_figures import BLUE, ORANGE, save

try:
    import timm
    from timm.utils.model import reparameterize_model
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: pip install timm")

PUBLISHED = Path(__file__).with_name("published.csv")
CLOSE = 1e-3  # of a network's largest output
PLACES = (
    (5, -3),
    (-5, -3),
    (5, -9),
    (5, 4),
    (-5, 4),
    (-5, -9),
    (0, 6),
    (0, -11),
    (9, -15),
    (9, 10),
)
"""Where a name may stand beside its dot, in points, the best place first."""
DOT_PX = 5.0
"""Half a side of the square that a dot takes up."""


@dataclass(frozen=True)
class Timed:
    """A published network, measured here.

    Attributes:
        top1: ImageNet accuracy in %, as published by ``source``.
        side: input side in px of the published accuracy, and of the measurement.
        quiet: whether the machine was quiet meanwhile.
    """

    name: str
    top1: float
    source: str
    side: int
    params: int
    ms: float
    std_ms: float
    ratio: float
    quiet: bool

    @property
    def reference_ms(self) -> float:
        """MobileNetV3-Small's latency at the same side, in turns with this network."""
        return self.ms / self.ratio


def steadied(timed: list[Timed]) -> list[Timed]:
    """All on one clock: the machine drifts, the ratios to MobileNetV3-Small do not."""
    usual = {
        side: median(one.reference_ms for one in timed if one.side == side)
        for side in {one.side for one in timed}
    }
    found = [replace(one, ms=one.ratio * usual[one.side]) for one in timed]
    return sorted(found, key=lambda one: one.ms)


def litert() -> LocalDevice:
    """This machine under LiteRT, timing .tflite files."""
    from bneck.latency.runtimes.litert import LiteRt
    from bneck.space.backends.tflite_session import open_interpreter

    class LiteRtFiles(LiteRt):
        def prepare_onnx(self, model: bytes) -> Callable[[], object]:
            interpreter = open_interpreter(model, threads=self.threads)
            (given,) = interpreter.get_input_details()
            images = np.random.default_rng(0).standard_normal(given["shape"], np.float32)
            interpreter.set_tensor(given["index"], images)
            return interpreter.invoke  # type: ignore[no-any-return]

    return LocalDevice(runtime=LiteRtFiles())


def exported(name: str, folder: Path, runtime: str) -> tuple[Path, int, int]:
    """The network's ONNX or .tflite file, the side of its images in px, and its parameters.

    Raises:
        BneckError: what was converted computes something else.
    """
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, exportable=True).eval()
    for path, weight in model.named_parameters():
        if path.endswith("weight") and not weight.any():  # last norms of blocks: a converter would
            nn.init.ones_(weight)  # leave out the blocks that they silence
    config: Any = model.pretrained_cfg  # an attribute of timm's models that torch knows nothing of
    side: int = config["input_size"][1]
    model = reparameterize_model(model)
    file = folder / f"{name}.{'tflite' if runtime == 'litert' else 'onnx'}"
    if not file.exists():
        part, example = file.with_suffix(".part"), torch.randn(1, 3, side, side)
        if runtime == "litert":
            convert(model, example, part)
        else:
            torch.onnx.export(model, (example,), part, external_data=False, verbose=False)
        part.rename(file)
    return file, side, sum(weight.numel() for weight in model.parameters())


def convert(model: nn.Module, example: Tensor, file: Path) -> None:
    """Write a network as .tflite, and check what it gives for an image (1, 3, side, side)."""
    try:
        import litert_torch
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: pip install litert-torch")

    channels_last = litert_torch.to_channel_last_io(model, args=[0]).eval()
    pixels = example.permute(0, 2, 3, 1).contiguous()
    converted = litert_torch.convert(channels_last, (pixels,))
    with torch.inference_mode():
        wanted = model(example)
    off = (torch.from_numpy(converted(pixels)) - wanted).abs().max() / wanted.abs().max()
    if not off <= CLOSE:
        raise BneckError(f"what litert-torch converts is off by {off:.2g} of the largest output")
    converted.export(str(file))


def drawn(timed: list[Timed], limit_ms: float) -> Figure:
    """Accuracy over latency, the front drawn, every network named."""
    shown = [one for one in timed if one.ms <= limit_ms]
    best = [
        one for one in shown if all(one.top1 > other.top1 for other in shown if other.ms < one.ms)
    ]
    figure = Figure(figsize=(12, 8))
    axes = figure.subplots()
    axes.plot([one.ms for one in best], [one.top1 for one in best], color=ORANGE)
    for one in shown:
        colour = ORANGE if one in best else BLUE
        axes.errorbar(one.ms, one.top1, xerr=one.std_ms, fmt="o", ms=4, color=colour)
    axes.set_xlim(0, 1.15 * limit_ms)  # room for names
    name_all(axes, shown, best)
    axes.set_xlabel("measured latency, ms (one image, one thread)")
    axes.set_ylabel("published ImageNet top-1, %")
    axes.grid(alpha=0.3, which="both")
    return figure


def name_all(axes: Axes, shown: list[Timed], front: list[Timed]) -> None:
    """Write each network's name beside its dot, where it covers least: dots, names, the front."""
    place = axes.transData.transform
    dots = place([(one.ms, one.top1) for one in shown])
    corners = place([(one.ms, one.top1) for one in front])
    steps = np.linspace(0, len(corners) - 1, 20 * len(corners))
    line = np.stack([np.interp(steps, range(len(corners)), side) for side in corners.T], axis=1)
    taken = [Bbox.from_bounds(x - DOT_PX, y - DOT_PX, 2 * DOT_PX, 2 * DOT_PX) for x, y in dots]
    taken += [Bbox.from_bounds(x - 1, y - 1, 2, 2) for x, y in line]
    for one in shown:
        labels = [
            axes.annotate(
                one.name.split(".")[0],
                (one.ms, one.top1),
                xytext=offset,
                textcoords="offset points",
                ha="left" if offset[0] > 0 else "right" if offset[0] < 0 else "center",
                fontsize=7,
                color=ORANGE if one in front else BLUE,
            )
            for offset in PLACES
        ]
        boxes = [label.get_window_extent() for label in labels]
        covers = [
            box.count_overlaps(taken) + len(PLACES) * (box.x0 < axes.bbox.x0) for box in boxes
        ]
        chosen = covers.index(min(covers))
        taken.append(boxes[chosen])
        for label in labels[:chosen] + labels[chosen + 1 :]:
            label.remove()


def main() -> None:
    """Export, measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=new_folder)
    parser.add_argument("--runtime", default="onnxruntime", choices=("onnxruntime", "litert"))
    parser.add_argument("--limit-ms", type=positive, default=6.0)
    parser.add_argument("--export-only", action="store_true")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    asked.folder.mkdir(parents=True, exist_ok=True)
    done = asked.folder / ("front-litert.jsonl" if asked.runtime == "litert" else "front.jsonl")
    known = {one.name: one for one in records.read_lines(done, Timed)}
    device = litert() if asked.runtime == "litert" else LocalDevice()
    torch.set_num_threads(1)
    rows = list(csv.DictReader(PUBLISHED.read_text(encoding="utf-8").splitlines()))
    for number, row in enumerate(rows):
        name = row["model"]
        if name in known:
            continue
        try:
            file, side, params = exported(name, asked.folder, asked.runtime)
        except BneckError as error:
            print(f"{number + 1}/{len(rows)} {name} left out: {error}", flush=True)
            continue
        if asked.export_only:
            print(f"{number + 1}/{len(rows)} {name}", flush=True)
            continue
        took = measure_graph(Graph(onnx=file.read_bytes()), reference(side, 1000), device)
        assert took.timing is not None
        one = Timed(
            name,
            float(row["top1"]),
            row["source"],
            side,
            params,
            took.ms,
            took.std_ms,
            took.timing.ratio,
            took.quiet,
        )
        records.append(done, one)
        known[name] = one
        print(f"{number + 1}/{len(rows)} {name}: {one.ms:.3f} ms, {took.note}", flush=True)
    if known:
        timed = steadied(list(known.values()))
        save(drawn(timed, asked.limit_ms), done.with_suffix(".svg"))
        for one in timed:
            print(f"| {one.name} | {one.side} | {one.ms:.2f} | {one.top1:.1f} | {one.source} |")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
