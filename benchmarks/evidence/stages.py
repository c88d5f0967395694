"""What each stage of a derivation is worth: search alone, NetAdapt alone, both, and neither.

    python benchmarks/evidence/stages.py REPRO OUT [--factors 1.0,0.6] [--seeds 3] [--ways random]

REPRO is the folder of `bneck reproduce`, at least with its search done, on this machine: its plan,
its latency model and its targets are used. For each factor and each plan seed:

- ``both``: the plan's search, and NetAdapt from the network that it names;
- ``search``: a search that ends at the target instead of above it, with so many more evaluations
  as NetAdapt took training steps in ``both``;
- ``netadapt``: from MobileNetV3-Small, or for targets that it meets from its least width multiplier
  above ``seed_factor`` times the target; its fine-tunings are as much longer as makes its training
  steps about those of ``both``;
- ``random``: the null, a random network of the space that is predicted within 3 % of the target and
  measures at or under it.

All are trained by the plan's final recipe and measured with their own weights, in turns in one
session. The same command resumes. OUT holds a run's folder for every search and every NetAdapt,
`judged.jsonl` and `stages.md`: means over the plan seeds with their standard errors.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, hypot
from pathlib import Path
from statistics import fmean
from typing import Any

from repro_factors import targets_of

from bneck import records
from bneck.cli import exit_code_of, from_zero, new_folder, whole_number
from bneck.derivation import pipeline
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.results import read_trials
from bneck.derivation.session import Session
from bneck.derivation.similarity import as_fast
from bneck.derivation.stages.calibration import calibration_stage
from bneck.derivation.stages.data import RunData, data_stage
from bneck.derivation.stages.long_trainings import LongTraining, TrainingJob, train_all
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.training_budget import Budget, budget
from bneck.files import write_json, write_whole
from bneck.live import TerminalProgress
from bneck.quantities import standard_error
from bneck.reproduction.measuring import measured_in_turns
from bneck.reproduction.results import plan_of
from bneck.reproduction.width_baseline import narrowest_over
from bneck.results.record import Step
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk
from bneck.space import codec as networks
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.edits import narrowables
from bneck.space.presets import MOBILENET_V3_SMALL

WAYS = ("both", "search", "netadapt", "random")
Found = tuple[str, Architecture, int]
"""(way, network, training steps that found it)."""
DRAWN = 20
"""Random networks that are measured at most until one is under the target."""


@dataclass(frozen=True)
class Judged:
    """The network of one way: ms, accuracy from 0 to 1, and the training steps that found it."""

    way: str
    factor: float
    seed: int
    arch: Architecture
    target_ms: float
    ms: float
    accuracy: float
    steps: int


class Ways:
    """Every way to a network for a target; each of their runs is resumed where it is there."""

    def __init__(
        self, session: Session, data: RunData, device: TargetDevice, folder: Path, seed: int
    ) -> None:
        self.session, self.data, self.device = session, data, device
        self.folder, self.seed = folder, seed
        self.space = spaces.build(session.plan.space, **data.size)
        self.budget: Budget = budget(session.plan, data.info)

    def found(self, target_ms: float, ways: Sequence[str]) -> Iterator[Found]:
        """The network of each way."""
        derived = self._derived(target_ms) if set(ways) - {"random"} else ()
        yield from (one for one in derived if one[0] in ways)
        if "random" in ways:
            yield "random", self._random(target_ms), 0

    def _derived(self, target_ms: float) -> Iterator[Found]:
        plan = self.session.plan
        searched, search_steps = self._searched("both/search", target_ms, plan.evaluations)
        shrunk, steps = self._shrunk("both/netadapt", target_ms, searched, plan.fine_tune_steps)
        yield "both", shrunk, search_steps + steps
        more = ceil(steps / self.budget.search.steps)
        alone = target_ms / plan.seed_factor
        yield "search", *self._searched("search", alone, plan.evaluations + more)
        seed_network = self._published(target_ms)
        tuned = self._steps_a_tuning(seed_network, target_ms, search_steps + steps)
        yield "netadapt", *self._shrunk("netadapt", target_ms, seed_network, tuned)

    def _searched(self, name: str, target_ms: float, evaluations: int) -> tuple[Architecture, int]:
        with self._part(name, target=f"{target_ms:.6g}", evaluations=evaluations) as part:
            result = pipeline.search(part)
            steps = sum(
                int(one.made_with.get("steps", self.budget.search.steps))
                for one in read_trials(part.run)
            )
        return result.networks[0].arch, steps

    def _shrunk(
        self, name: str, target_ms: float, seed: Architecture, tuned: int | None
    ) -> tuple[Architecture, int]:
        file = self.folder / f"{name.replace('/', '-')}-seed.json"
        write_json(file, networks.to_json(seed))
        asked = {"target": f"{target_ms:.6g}", "seed_network": str(file), "fine_tune_steps": tuned}
        with self._part(name, **asked) as part:
            found: Shrunk = pipeline.shrink(part)[-1]
            tunings = sum(
                proposal.rounds
                for step in records.read_lines(part.run.steps, Step)
                for proposal in step.proposals
            )
        once = tuned or self.budget.fine_tune.steps
        return found.arch, self.budget.search.steps + tunings * once

    def _published(self, target_ms: float) -> Architecture:
        """MobileNetV3-Small, or a wider one where it meets the target already."""
        arch = presets.build(MOBILENET_V3_SMALL).at(**self.data.size)
        if self.device.model.predict(arch).ms > target_ms * (1 + self.session.plan.delta):
            return arch
        above_ms = target_ms * self.session.plan.seed_factor
        return narrowest_over(MOBILENET_V3_SMALL, above_ms, self.device, **self.data.size)[1]

    def _steps_a_tuning(self, seed: Architecture, target_ms: float, steps: int) -> int:
        """Fine-tune steps with which NetAdapt is expected to take so many in all."""
        share = 1 - target_ms / self.device.model.predict(seed).ms
        tunings = max(1, ceil(share / self.session.plan.delta)) * (1 + len(narrowables(seed)))
        return max(1, round((steps - self.budget.search.steps) / tunings))

    def _random(self, target_ms: float) -> Architecture:
        def predicted_ms(arch: Architecture) -> float:
            return self.device.model.predict(arch).ms

        drawn = as_fast(self.space, predicted_ms, target_ms, count=DRAWN, seed=self.seed)
        for arch in drawn:
            if self.device.measure(arch).ms <= target_ms:
                return arch
        raise SystemExit(f"none of {DRAWN} random networks measures under {target_ms:.3g} ms")

    @contextmanager
    def _part(self, name: str, **more: Any) -> Iterator[Session]:
        plan = replace(self.session.plan, targets=None, seed=self.seed, **more)
        with Run.open(self.folder / name, plan.as_dict(), defaults=Plan.defaults()) as run:
            yield replace(self.session, run=run, plan=plan)


def found_by_all(
    session: Session,
    data: RunData,
    device: TargetDevice,
    targets: dict[float, float],
    seeds: int,
    ways: Sequence[str],
) -> list[Judged]:
    """Each way's network for every factor and seed, not trained yet; kept as they are found."""
    file = session.run.folder / "found.jsonl"
    for seed in range(seeds):
        for factor, target_ms in targets.items():
            known = {
                one.way
                for one in records.read_lines(file, Judged)
                if (one.factor, one.seed) == (factor, seed)
            }
            folder = session.run.folder / f"seed-{seed}" / f"{factor:g}x"
            wanted = Ways(session, data, device, folder, seed)
            for way, arch, steps in wanted.found(target_ms, [o for o in ways if o not in known]):
                ms = device.model.predict(arch).ms
                records.append(file, Judged(way, factor, seed, arch, target_ms, ms, 0.0, steps))
    return list({(o.way, o.factor, o.seed): o for o in records.read_lines(file, Judged)}.values())


def judged(session: Session, data: RunData, device: TargetDevice, found: list[Judged]) -> None:
    """Train all, then measure all with their own weights; writes `judged.jsonl`."""
    asked, folder = budget(session.plan, data.info), session.run.checkpoints
    names = {f"{one.way}-{one.factor:g}x-{one.seed}": one for one in found}
    trained = train_all(
        [TrainingJob(name, one.arch, one.seed) for name, one in names.items()],
        LongTraining(asked.images, asked.final, folder, session.plan.compute(threads=1)),
        session.executor,
        session.progress,
    )
    states = {
        name: (one.arch, weights.load(folder / f"{name}.safetensors", one.arch))
        for name, one in names.items()
    }
    took = measured_in_turns(states, device.measure, session.progress)
    records.write_lines(
        session.run.folder / "judged.jsonl",
        [
            replace(one, ms=again.measured.ms, accuracy=training.accuracy.value)
            for one, training, again in zip(names.values(), trained, took, strict=True)
        ],
    )


def table(found: tuple[Judged, ...]) -> str:
    """One row for each factor and way."""
    lines = [
        "| target | way | of the target | accuracy | over random, points | training steps |",
        "|" + "---|" * 6,
    ]
    for factor in dict.fromkeys(one.factor for one in found):
        null = [one.accuracy for one in found if (one.factor, one.way) == (factor, "random")]
        for way in dict.fromkeys(one.way for one in found):
            own = [one for one in found if (one.factor, one.way) == (factor, way)]
            accuracies = [one.accuracy for one in own]
            gain = ""
            if null and way != "random":
                over = 100 * (fmean(accuracies) - fmean(null))
                gain = f"{over:+.1f}{_spread(accuracies, null)}"
            lines.append(
                f"| {factor:g}x | {way} | {fmean(o.ms / o.target_ms for o in own):.3f} "
                f"| {100 * fmean(accuracies):.1f}{_spread(accuracies)} % | {gain} "
                f"| {fmean(one.steps for one in own):,.0f} |"
            )
    seeds = len({one.seed for one in found})
    note = (
        f"Means over {seeds} plan seeds, with standard errors." if seeds > 1 else "One plan seed."
    )
    return "\n".join([*lines, "", note]) + "\n"


def _spread(*samples: list[float]) -> str:
    """Standard error in points of a mean, or of a difference of means; "" from one seed alone."""
    errors = [error for one in samples if (error := standard_error(one)) is not None]
    return f" ± {100 * hypot(*errors):.1f}" if len(errors) == len(samples) else ""


def main() -> None:
    """Search, shrink, draw, train, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repro", type=Path, help="folder of `bneck reproduce`")
    parser.add_argument("out", type=new_folder)
    parser.add_argument("--factors", default="1.0,0.6", help="some of REPRO's")
    parser.add_argument("--seeds", type=whole_number, default=3, help="plan seeds")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument(
        "--workers", type=whole_number, help="trainings at once; all cores unless said"
    )
    parser.add_argument(
        "--wait-quiet", type=from_zero, default=0.0, help="minutes, as bneck derive"
    )
    asked = parser.parse_args()

    theirs = Run.read(asked.repro)
    repro, targets = plan_of(theirs), targets_of(theirs, asked.factors)
    latency = str((asked.repro / "latency.json").resolve())
    plan = repro.part(target=f"1.0x:{MOBILENET_V3_SMALL}", latency=latency)
    execution = Execution(workers=asked.workers, wait_quiet=asked.wait_quiet)
    executor = execution.open(plan.device)
    with Run.open(asked.out, plan.as_dict(), defaults=Plan.defaults()) as run:
        session = Session(
            run, plan, executor, executor, TerminalProgress(), wait_quiet=asked.wait_quiet
        )
        data = data_stage(session)
        device = calibration_stage(session, spaces.build(plan.space, **data.size))
        found = found_by_all(session, data, device, targets, asked.seeds, asked.ways)
        known = run.folder / "judged.jsonl"
        if len(records.read_lines(known, Judged)) < len(found):
            judged(session, data, device, found)
        text = table(records.read_lines(known, Judged))
        write_whole(run.folder / "stages.md", text)
        print(text)
    executor.close()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
