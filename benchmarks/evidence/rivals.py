"""Derived networks against what people would pick instead: one recipe, one session, one picture.

    python benchmarks/evidence/rivals.py REPRO OUT [--families NAME ...] [--seeds 3]

REPRO is the folder of `bneck reproduce` with its trainings done, on this machine. For each of its
factors the smallest network of every family that measures at or over that latency is found (by
width, or by input side), trained by the plan's final recipe and seeds, folded where it has parallel
branches, and measured: all networks, REPRO's too, with their own weights, in turns in one session.
REPRO's own MobileNetV3s with the width multiplier are rivals too, and not trained again.

OUT holds `chosen.jsonl`, `trainings.jsonl`, `in_turns.jsonl`, `rivals.svg` and `rivals.md`. The
same command resumes: trainings continue from their checkpoints; only the session of measurements
begins again, as it does where families are added. Needs timm (`pip install timm`); its networks are
exported by torch, bneck's by bneck.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from onnx_timed import check_takes_onnx
from repro_factors import check_measured, factors_of
from rival_networks import BY_WIDTH, FAMILIES, Rival, at_latency
from rivals_report import Judged, drawn, table
from torch import nn

from bneck import records
from bneck.cli import exit_code_of, from_zero, new_folder, whole_number
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.calibration import calibration_stage
from bneck.derivation.stages.data import RunData, data_stage
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.training_budget import budget
from bneck.executors import Failed
from bneck.files import is_written, write_whole
from bneck.latency.measure import Measured
from bneck.live import TerminalProgress
from bneck.machine import Compute
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.reproduction.measuring import MeasuredAgain, measured_in_turns
from bneck.reproduction.pipeline import Reproduction
from bneck.reproduction.results import plan_of
from bneck.results import static_figures
from bneck.results.run import Run
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights
from bneck.space.presets import MOBILENET_V3_SMALL


@dataclass(frozen=True)
class Chosen:
    """The network of a family for a factor; None where its largest side is too fast."""

    family: str
    factor: float
    rival: Rival | None


@dataclass(frozen=True)
class Trained:
    """One training of a rival, accuracy from 0 to 1 on the validation images."""

    rival: Rival
    seed: int
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Train:
    """A training as an executor's task: (rival, seed)."""

    images: WorkerImages
    recipe: Recipe
    folder: Path
    compute: Compute

    def __call__(self, job: tuple[Rival, int]) -> Trained:
        rival, seed = job
        images = whole(at_side(self.images, rival.side))
        network = rival.build(images.info.classes, seed)
        checkpoint = self.folder / f"{rival.name}-{seed}.checkpoint"
        result = train(
            network, images, self.recipe, seed=seed, checkpoint=checkpoint, compute=self.compute
        )
        weights.save(weights_file(self.folder, rival, seed), network.state_dict())
        checkpoint.unlink(missing_ok=True)
        return Trained(rival, seed, result.accuracy.value, result.seconds)


def at_side(images: WorkerImages, side: int) -> WorkerImages:
    """The same images at another side."""
    if side == images.resolution_px:
        return images
    return replace(images, resolution_px=side, proxy_px=side, fingerprint=None)


def weights_file(folder: Path, rival: Rival, seed: int) -> Path:
    """Where the trained weights of a rival are."""
    return folder / f"{rival.name}-{seed}.safetensors"


def chosen(
    work: Reproduction, device: TargetDevice, data: RunData, families: list[str], out: Path
) -> list[Chosen]:
    """The rivals of every factor, each found once; those that REPRO has are left out."""
    published = next(one for one in work.results.compared() if one.name == MOBILENET_V3_SMALL)
    whole_ms = device.measure(published.arch).ms
    side, classes = data.info.resolution_px, data.info.classes

    @cache
    def random_ms(rival: Rival) -> float:
        return rival.measured(device, rival.build(classes, 0), classes).ms

    for family in families:
        for factor in work.factors:
            known = records.read_lines(out, Chosen)
            if any((one.family, one.factor) == (family, factor) for one in known):
                continue
            rival = at_latency(
                family, factor * whole_ms, device, random_ms, side=side, classes=classes
            )
            records.append(out, Chosen(family, factor, rival))
            print(f"{family} for {factor:g}x: {rival.name if rival else 'too fast'}", flush=True)
    ours = {one.arch for one in work.results.compared()}
    return [
        one
        for one in records.read_lines(out, Chosen)
        if one.rival is not None and one.rival.arch(classes) not in ours
    ]


def trained(
    session: Session, data: RunData, rivals: list[Rival], seeds: int, steps: int | None, out: Path
) -> tuple[Trained, ...]:
    """All trainings, each kept in ``out`` as it ends."""
    asked = budget(session.plan, data.info)
    recipe = asked.final if steps is None else replace(asked.final, steps=steps)
    done = {(one.rival, one.seed) for one in records.read_lines(out, Trained)}
    jobs = [(rival, seed) for seed in range(seeds) for rival in rivals]
    waiting = [job for job in jobs if job not in done]
    for side in sorted({rival.side for rival, _ in waiting}):
        whole(at_side(asked.images, side))  # decoded once, before workers want it
    folder = session.run.checkpoints
    folder.mkdir(exist_ok=True)
    task = Train(asked.images, recipe, folder, session.plan.compute(threads=1))
    for (rival, seed), outcome in session.executor.map_unordered(task, waiting):
        if isinstance(outcome, Failed):
            raise SystemExit(f"the training of {rival.name}, seed {seed}, failed: {outcome.reason}")
        records.append(out, outcome)
        print(f"{rival.name}, seed {seed}: {100 * outcome.accuracy:.1f} %", flush=True)
    return records.read_lines(out, Trained)


def measured(
    work: Reproduction, session: Session, device: TargetDevice, rivals: list[Rival], classes: int
) -> dict[str, MeasuredAgain]:
    """Everything in turns with trained weights; all again where a network has joined since."""
    out = session.run.folder / "in_turns.jsonl"
    networks = dict(_trained_networks(work, session.run.checkpoints, rivals, classes))
    if not networks.keys() <= {one.name for one in records.read_lines(out, MeasuredAgain)}:

        def take(one: Rival | Architecture, network: nn.Module) -> Measured:
            if isinstance(one, Rival):
                return one.measured(device, network, classes)
            return device.measure(one, dict(network.state_dict()))

        records.write_lines(out, measured_in_turns(networks, take, session.progress))
    return {one.name: one for one in records.read_lines(out, MeasuredAgain)}


def _trained_networks(
    work: Reproduction, folder: Path, rivals: list[Rival], classes: int
) -> Iterator[tuple[str, tuple[Rival | Architecture, nn.Module]]]:
    """Every network of the first seed, by name."""
    for one in work.results.compared():
        if not is_written(work.results.training_files(one, 0).result):
            continue
        network = torch_model.Network(one.arch)
        network.load_state_dict(weights.load(work.results.training_files(one, 0).weights, one.arch))
        yield one.name, (one.arch, network)
    for rival in rivals:
        theirs = rival.build(classes, 0)
        theirs.load_state_dict(weights.tensors(weights_file(folder, rival, 0).read_bytes()))
        yield rival.name, (rival, theirs)


def judged(
    work: Reproduction, found: tuple[Trained, ...], ms: dict[str, MeasuredAgain]
) -> Iterator[Judged]:
    """Latency and accuracies of every network."""
    for one in work.results.compared():
        if one.name not in ms:
            continue
        accuracies = [training.accuracy.value for training in work.results.trainings(one)]
        family = {"derived": "derived", "free channels": "MobileNetV3-Small, free channels"}.get(
            one.kind, "MobileNetV3-Large" if "large" in one.name else "MobileNetV3-Small"
        )
        yield Judged(one.name, family, ms[one.name].measured, accuracies)
    for rival in dict.fromkeys(one.rival for one in found):
        accuracies = [one.accuracy for one in found if one.rival == rival]
        if rival.name in ms:
            yield Judged(rival.name, rival.family, ms[rival.name].measured, accuracies)


def main() -> None:
    """Choose, train, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repro", type=Path, help="folder of `bneck reproduce`")
    parser.add_argument("out", type=new_folder)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--factors", help="some of REPRO's, such as 1.0,0.6; all unless said")
    parser.add_argument("--seeds", type=whole_number, default=3)
    parser.add_argument(
        "--steps", type=whole_number, help="instead of the plan's epochs: for a trial"
    )
    parser.add_argument(
        "--workers", type=whole_number, help="trainings at once; all cores unless said"
    )
    parser.add_argument(
        "--wait-quiet", type=from_zero, default=0.0, help="minutes, as bneck derive"
    )
    parser.add_argument("--choose-only", action="store_true", help="only find the sizes")
    asked = parser.parse_args()

    theirs = Run.read(asked.repro)
    check_measured(theirs)
    repro = plan_of(theirs)
    if asked.factors:
        factors = factors_of(theirs, asked.factors)
        repro = replace(repro, factors=asked.factors, repeated=",".join(map(str, factors)))
    plan = repro.part(
        target=f"1.0x:{MOBILENET_V3_SMALL}", latency=str((asked.repro / "latency.json").resolve())
    )
    if not BY_WIDTH.keys() >= set(asked.families):
        check_takes_onnx(plan)
    execution = Execution(workers=asked.workers, wait_quiet=asked.wait_quiet)
    executor, progress = execution.open(plan.device), TerminalProgress()
    trial = {} if asked.steps is None else {"steps": asked.steps}
    with Run.open(asked.out, plan.as_dict() | trial, defaults=Plan.defaults()) as run:
        session = Session(run, plan, executor, executor, progress, wait_quiet=asked.wait_quiet)
        work = Reproduction(repro, replace(session, run=theirs))
        data = data_stage(session)
        device = calibration_stage(session, spaces.build(plan.space, **data.size))
        picked = chosen(work, device, data, asked.families, run.folder / "chosen.jsonl")
        if asked.choose_only:
            return
        rivals = list(dict.fromkeys(one.rival for one in picked if one.rival is not None))
        trainings = run.folder / "trainings.jsonl"
        found = trained(session, data, rivals, asked.seeds, asked.steps, trainings)
        ms = measured(work, session, device, rivals, data.info.classes)
        networks = list(judged(work, found, ms))
        write_whole(run.folder / "rivals.md", table(networks))
        static_figures.save(drawn(networks), run.folder / "rivals.svg")
        print(table(networks))
    executor.close()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
