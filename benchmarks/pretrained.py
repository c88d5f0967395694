"""What pretrained weights add where images are few: derivations with and without, side by side.

MobileNetV3-Small is trained on one set of images (``--large``). Then, with so many images of each
class of another (``--images``), for each number and seed: a network is derived for a share of
MobileNetV3-Small's latency from those weights, another from random ones, each beside
MobileNetV3-Small trained alike, and MobileNetV3-Small is shrunk by NetAdapt to the same target. All
share one calibration, so latencies can be compared. Each command that has ended is one JSON line of
``records.jsonl`` in ``--out``; the same command line resumes where it was stopped.
"""

import argparse
import io
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from random import Random

import torch

from bneck.cli import run
from bneck.files import is_written

NET = "mobilenet_v3_small"


def subset(images: Path, count: int, seed: int, out: Path) -> Path:
    """A folder of ``count`` training images of each class, and of all validation images."""
    if not (out / "val").is_dir():
        shutil.rmtree(out, ignore_errors=True)
        for folder in sorted((images / "train").iterdir()):
            files = sorted(folder.iterdir())
            for file in Random(f"{seed} {folder.name}").sample(files, min(count, len(files))):
                (out / "train" / folder.name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, out / "train" / folder.name / file.name)
        shutil.copytree(images / "val", out / "copying")
        (out / "copying").rename(out / "val")
    return out


class Records:
    """What has ended: a name, what the command said, and the seconds of its last session."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self.known = {one["name"]: one for one in map(json.loads, lines)}

    def command(self, name: str, words: Sequence[object]) -> None:
        """Run a command of bneck, unless it has ended before."""
        if name in self.known:
            return
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        said, began = io.StringIO(), time.monotonic()
        with redirect_stdout(said):
            code = run([*map(str, words), "--json"])
        if code not in (0, 1):  # 1: a network measured above its target, which is said in JSON
            raise SystemExit(code)
        found = json.loads(said.getvalue())
        baselines = Path(str(words[words.index("--out") + 1])) / "baselines.jsonl"
        row = {"name": name, "result": found, "seconds": round(time.monotonic() - began)}
        if baselines.exists():
            row["baselines"] = [json.loads(line) for line in baselines.read_text().splitlines()]
            for one in row["baselines"]:
                one.pop("arch")
        self.known[name] = row
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{name}: {found.get('accuracy')} at {found.get('measured_ms')} ms", flush=True)


def main() -> None:
    """Run what has not ended yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--images", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--counts", type=int, nargs="*", default=[20, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=3, help="of the pretraining")
    parser.add_argument("--tuning-epochs", type=float, default=30)
    parser.add_argument("--evaluations", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.9, help="of the network's latency")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--minutes", type=float, default=2.0, help="of the calibration")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    done, out = Records(asked.out / "records.jsonl"), asked.out
    at = ("--resolution", asked.px)
    large = ("--data", f"folder:{asked.large}", *at)
    done.command("pretrained", ["train", NET, *large, "--epochs", asked.epochs,
                                "--out", out / "pretrained"])  # fmt: skip
    model = out / "latency.json"
    if not is_written(model):
        classes = len(list((asked.images / "train").iterdir()))
        code = run(["calibrate", "--space", "v3-small", *map(str, at), "--classes", str(classes),
                    "--runtime", asked.runtime, "--minutes", str(asked.minutes),
                    "--out", str(model)])  # fmt: skip
        if code:
            raise SystemExit(code)
    common = (
        *at, "--target", f"{asked.share}x:{NET}", "--runtime", asked.runtime, "--latency", model,
        "--epochs", asked.tuning_epochs, "--delta", 0.06, "--workers", 1,
    )  # fmt: skip
    search = ("--evaluations", asked.evaluations, "--sampler", "evolution", "--seed-factor", 1.15)
    inherit = ("--pretrained", out / "pretrained")
    for seed in range(asked.seeds):
        for count in asked.counts:
            part = f"{count}-{seed}"
            folder = subset(asked.images, count, seed, out / "images" / part)
            words = ("--data", f"folder:{folder}", "--seed", seed, *common)
            for name, command in (
                (f"inherited {part}", ["derive", *words, *search, *inherit]),
                (f"scratch {part}", ["derive", *words, *search]),
                (f"NetAdapt {part}", ["shrink", NET, *words, *inherit, "--finish", "fine-tune"]),
            ):
                done.command(name, [*command, "--out", out / name.replace(" ", "-")])
    summary(done)


def summary(done: Records) -> None:
    """Print a line for each command: accuracy and latency, and MobileNetV3-Small's beside it."""
    for name, row in done.known.items():
        found = row["result"]
        line = f"{name:16} {100 * found['accuracy']:5.1f} %"
        if "measured_ms" in found:
            line += f" at {found['measured_ms']:.4f} ms"
        for one in row.get("baselines", []):
            accuracy, ms = one["accuracy"], one["measured"]
            line += f"; {one['name']} {json.dumps(accuracy)} at {json.dumps(ms)}"
        print(line)


if __name__ == "__main__":
    main()
