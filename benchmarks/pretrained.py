"""What pretrained weights add where images are few: derivations with and without, side by side.

MobileNetV3-Small is trained on one set of images (``--large``), and its latency is measured once:
``--share`` of it is the target of all that follows, in ms, on one calibration's scale. Then, with
so many images of each class of another set (``--images``), for each number and seed: a network is
derived from those weights (or from the run that ``--parent`` names), another from random ones, each
beside MobileNetV3-Small trained alike, and MobileNetV3-Small is narrowed to the target by NetAdapt
from its pretrained weights. All are trained for ``--tuning-epochs`` in the end and judged on all
validation images of the second set, which no training and no search sees. Each command that has
ended is one JSON line of ``records.jsonl`` in ``--out``; the same command line resumes where it was
stopped. The line below took 25 minutes of a core.

    python benchmarks/pretrained.py --large tiny100 --images photos160 --counts 20 --out out
"""

import argparse
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import torch
from asked import begun

from bneck import json_lines, records
from bneck.cli import exit_code_of, new_folder, positive, run, whole_number
from bneck.derivation.pretrained import check_pretrained
from bneck.files import is_written
from bneck.latency.devices import open_device
from bneck.path_checks import check_folder
from bneck.quantities import standard_deviation
from bneck.text import number_of
from bneck.units import with_spread

NET, SPACE = "mobilenet_v3_small", "v3-small"


def class_folders(images: Path) -> list[Path]:
    """Those of the training images, in the order of their names."""
    return sorted(one for one in (images / "train").iterdir() if one.is_dir())


def subset(images: Path, count: int, seed: int, out: Path) -> Path:
    """A folder of ``count`` training images of each class, and of all validation images."""
    if not (out / "val").is_dir():
        shutil.rmtree(out, ignore_errors=True)
        for folder in class_folders(images):
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
        self.known = {one["name"]: one for _, one in json_lines.read_lines(file)}

    def command(self, name: str, words: Sequence[object]) -> None:
        """Run a command of bneck, unless it has ended before."""
        if name in self.known:
            return
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        began, cpu_s = time.monotonic(), time.process_time()
        row = {"name": name, "result": bneck(*words)}
        row["seconds"] = round(time.monotonic() - began)
        row["cpu_s"] = round(time.process_time() - cpu_s)  # without what workers take
        if "--out" in words:
            baselines = Path(str(words[words.index("--out") + 1])) / "baselines.jsonl"
            if baselines.exists():
                row["baselines"] = list(map(json.loads, baselines.read_text().splitlines()))
                for one in row["baselines"]:
                    one.pop("arch")
        self.known[name] = row
        records.append(self.file, row)
        told = {key: row["result"].get(key) for key in ("accuracy", "measured_ms")}
        print(f"{name}: {told} in {row['seconds']} s", flush=True)


def bneck(*words: object) -> Any:
    """Run a command of bneck, and return what it says as JSON."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = run([*map(str, words), "--json"])
    result = json.loads(said.getvalue() or "{}")
    if code and result.get("met") is not False:  # where it is, the target alone was missed
        raise SystemExit(code)
    return result


def main() -> None:
    """Run what has not ended yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--images", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=new_folder, required=True)
    parser.add_argument("--px", type=whole_number, default=64)
    parser.add_argument("--counts", type=whole_number, nargs="*", default=[20, 100])
    parser.add_argument("--seeds", type=whole_number, default=3)
    parser.add_argument("--epochs", type=positive, default=8, help="of the pretraining")
    parser.add_argument("--parent", type=Path, help="run that derivations inherit from instead")
    parser.add_argument("--tuning-epochs", type=positive, default=60)
    parser.add_argument("--evaluations", type=whole_number, default=16)
    parser.add_argument("--share", type=positive, default=0.9, help="of the network's latency")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--minutes", type=positive, default=2.0, help="of the calibration")
    parser.add_argument("--threads", type=whole_number, default=1)
    asked = parser.parse_args()
    for folder in (asked.large, asked.images / "train", asked.images / "val"):
        check_folder(folder)
    if asked.parent is not None:
        check_pretrained(str(asked.parent), SPACE, None)
    open_device(runtime=asked.runtime)
    torch.set_num_threads(asked.threads)
    with begun(asked, "counts", "seeds", "threads"):
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Run the commands that have not ended yet, and sum up."""
    done, out = Records(asked.out / "records.jsonl"), asked.out
    at = ("--resolution", asked.px)
    done.command("pretrained", ["train", NET, "--data", f"folder:{asked.large}", *at,
                                "--epochs", asked.epochs, "--out", out / "pretrained"])  # fmt: skip
    model = out / "latency.json"
    of_images = (*at, "--classes", len(class_folders(asked.images)))
    if not is_written(model):
        bneck("calibrate", "--space", SPACE, *of_images, "--runtime", asked.runtime,
              "--minutes", asked.minutes, "--out", model)  # fmt: skip
    done.command(NET, ["latency", NET, "--model", model, "--measure", *of_images])
    common = (
        *at, "--target", asked.share * done.known[NET]["result"]["measured_ms"],
        "--runtime", asked.runtime, "--latency", model, "--epochs", asked.tuning_epochs,
        "--delta", 0.06, "--workers", 1,
    )  # fmt: skip
    search = ("--evaluations", asked.evaluations, "--seed-factor", 1.15)
    own = ("--pretrained", out / "pretrained")
    inherit = own if asked.parent is None else ("--pretrained", asked.parent)
    for seed in range(asked.seeds):
        for count in asked.counts:
            part = f"{count}-{seed}"
            folder = subset(asked.images, count, seed, out / "images" / part)
            words = ("--data", f"folder:{folder}", "--seed", seed, *common)
            for name, command in (
                (f"inherited {part}", ["derive", *words, *search, *inherit]),
                (f"scratch {part}", ["derive", *words, *search]),
                (f"NetAdapt {part}", ["shrink", NET, *words, *own, "--finish", "fine-tune"]),
            ):
                done.command(name, [*command, "--out", out / name.replace(" ", "-")])
    for count in asked.counts:
        summary(done.known, count, asked.seeds)


def summary(rows: dict[str, dict[str, Any]], count: int, seeds: int) -> None:
    """Print accuracy and latency of each way, and what inheriting gains over it, in pairs by seed.

    MobileNetV3-Small stands beside each derivation: fine-tuned from its pretrained weights where
    derivations inherit from it, trained from random ones beside ``scratch``.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for way in ("inherited", "scratch", "NetAdapt"):
        own = [rows[f"{way} {count}-{seed}"] for seed in range(seeds)]
        results[way] = [one["result"] for one in own]
        if way != "NetAdapt":
            beside = [one["baselines"][0] for one in own]
            results[f"{NET}, {way}"] = [
                {"accuracy": one["accuracy"]["value"], "measured_ms": one["measured"]["ms"]}
                for one in beside
            ]
    ours = [100 * one["accuracy"] for one in results["inherited"]]
    print(f"{number_of(count, 'image')} of each class, {number_of(seeds, 'seed')}")
    for way, found in results.items():
        theirs = [100 * one["accuracy"] for one in found]
        gains = [our - their for our, their in zip(ours, theirs, strict=True)]
        ms = mean(one["measured_ms"] for one in found)
        gain = "+" * (mean(gains) > 0) + averaged(gains)
        print(f"{way:30} {averaged(theirs)} % at {ms:.4f} ms; inherited {gain}")


def averaged(values: Sequence[float]) -> str:
    """Mean and standard deviation, as tables say them."""
    return with_spread(mean(values), standard_deviation(values), 1)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
