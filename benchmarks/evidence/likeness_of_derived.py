"""Which traits of MobileNetV3 come back in derived networks, by the runtime that latency is of.

    bneck calibrate --runtime litert --space v3-small --resolution 128 --classes 10 --out lite.json
    python benchmarks/evidence/likeness_of_derived.py REPRO [REPRO ...] --models lite.json --out OUT

Each REPRO is a folder of `bneck reproduce` with NetAdapt done; one with `--runtime litert` is what
was derived for that runtime. Every derived network is compared with MobileNetV3-Small, or with
MobileNetV3-Large for factors above 1, against random networks of its space that its own run's
latency model predicts as fast, and likewise by each of --models. A percentile of 90 says: nearer
than 90 % of those; networks drawn at random would have the percentiles 0 to 100 equally often, so
the last line says how many are 90 or more, and how many would be by chance. The same command
resumes. OUT holds one JSON file a comparison and `likeness.md`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from bneck import records
from bneck.cli import exit_code_of, new_folder, whole_number
from bneck.derivation.similarity import similarity_to
from bneck.files import is_written, write_whole
from bneck.latency.model import LatencyModel, load
from bneck.reproduction.plan import numbers
from bneck.reproduction.results import plan_of
from bneck.results.run import Run
from bneck.results.similarity import Similarity
from bneck.space import codec as networks
from bneck.space import spaces
from bneck.space.presets import MOBILENET_V3_SMALL

HIGH = 90.0


def compared(
    repro: Path, models: list[Path], count: int, out: Path
) -> Iterator[tuple[str, str, Similarity]]:
    """(network, runtime, likeness) of every derived network by every model."""
    plan = plan_of(Run.read(repro))
    for file in (repro / "latency.json", *models):
        model: LatencyModel = load(file)
        space = spaces.build(
            plan.space, resolution_px=model.resolution_px, classes=model.scale.classes
        )
        for factor in numbers("factors", plan.factors):
            name = f"{repro.name} {plan.space} {factor:g}x"
            kept = out / f"{name.replace(' ', '-')}-{model.device.runtime}.json"
            if not is_written(kept):
                arch = networks.load(repro / "netadapt" / f"{factor:g}x" / "network.json")
                to = MOBILENET_V3_SMALL if factor <= 1 else "mobilenet_v3_large"
                found = similarity_to(arch, model, space, to=to, count=count, seed=plan.seed)
                records.write(kept, found)
            yield name, model.device.runtime, records.read(kept, Similarity)


def table(found: list[tuple[str, str, Similarity]]) -> str:
    """Percentiles by trait, a row for each network and runtime."""
    traits = [trait.name for trait in found[0][2].traits]
    lines = [
        f"| network | latency of | likeness to | all | {' | '.join(traits)} |",
        "|---" * (len(traits) + 4) + "|",
    ]
    known: list[float] = []
    for name, runtime, like in found:
        free = [trait.percentile for trait in like.traits]
        known += [one for one in free if one is not None]
        cells = ["fixed" if one is None else f"{one:.0f}" for one in free]
        lines.append(
            f"| {name} | {runtime} | {like.published} | {like.percentile:.0f} "
            f"| {' | '.join(cells)} |"
        )
    high, expected = sum(one >= HIGH for one in known), (1 - HIGH / 100) * len(known)
    note = (
        f"Percentiles among {found[0][2].networks} random networks as fast. Of {len(known)} traits "
        f"{high} are at {HIGH:g} or more; by chance {expected:.1f} would be."
    )
    return "\n".join([*lines, "", note]) + "\n"


def main() -> None:
    """Compare, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repro", type=Path, nargs="+", help="folders of `bneck reproduce`")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="of `bneck calibrate`")
    parser.add_argument("--networks", type=whole_number, default=1000, help="random ones")
    parser.add_argument("--out", type=new_folder, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    found = [
        one
        for repro in asked.repro
        for one in compared(repro, asked.models, asked.networks, asked.out)
    ]
    text = table(found)
    write_whole(asked.out / "likeness.md", text)
    print(text)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
