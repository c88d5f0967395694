"""MobileNetV3-Small's derivation as a recorded plan of stages, each leaving files, each resumable.

Howard et al. 2019, sections 4.1 and 4.2. The paper's seed is not published, so what is repeated is
the procedure; everything compared is trained by one recipe and measured in one sitting.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bneck.derivation.context import Setting, keep_targets
from bneck.derivation.netadapt_stage import Shrunk
from bneck.derivation.parallel_training import Candidate, LongTraining, train_all
from bneck.derivation.pipeline import Derivation
from bneck.derivation.plan import Plan
from bneck.derivation.similarity import resemblance
from bneck.derivation.training_stage import Training
from bneck.errors import UsageError
from bneck.executors import Executor
from bneck.files import write_json, write_whole
from bneck.netadapt.proposals import GRID, Proposer
from bneck.progress import Progress
from bneck.quantities import Latency
from bneck.reproduction.plan import ReproductionPlan, numbers
from bneck.reproduction.width_baseline import narrowest_over
from bneck.results import codec, similarity_page
from bneck.results.record import Step
from bneck.results.run import Run
from bneck.search.selection import SearchResult
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.architecture import Architecture

PUBLISHED, LARGER = "mobilenet_v3_small", "mobilenet_v3_large"
PAPERS_WEIGHT = -0.15


@dataclass(frozen=True, slots=True)
class Compared:
    """A network of the comparison, and its latency as measured in the one sitting."""

    name: str
    kind: str
    factor: float
    arch: Architecture
    measured: Latency


@dataclass(frozen=True, slots=True)
class Walked:
    """One step of NetAdapt's path to a factor: predicted and measured."""

    factor: float
    step: int
    predicted: Latency
    measured: Latency


class Reproduction:
    """The stages in order; ``run`` does one of them."""

    def __init__(
        self, run: Run, plan: ReproductionPlan, executor: Executor, progress: Progress
    ) -> None:
        self.run, self.plan = run, plan
        self._executor, self._progress = executor, progress
        self.setting = Setting(run, plan.part(target=f"1.0x:{PUBLISHED}"), progress)
        self.factors = numbers("factors", plan.factors)
        self.repeated = numbers("repeated", plan.repeated)
        self.stages: Mapping[str, Callable[[], None]] = {
            "calibrate": self._calibrate,
            "search-paper": lambda: self._search("search-paper", PAPERS_WEIGHT),
            "search-derived": lambda: self._search("search-derived", None),
            "netadapt": self._netadapt,
            "measure": self._measure,
            **{f"train-{factor:g}": self._trainer(factor) for factor in self.factors},
            "likeness": self._likeness,
        }

    def derived(self) -> dict[float, Shrunk]:
        """What NetAdapt came to, by factor."""
        found = {
            factor: codec.read_lines(self._part(_shrinking(factor)).shrunk, Shrunk)
            for factor in sorted(self.factors, reverse=True)
        }
        return {factor: shrunk[0] for factor, shrunk in found.items() if shrunk}

    def steps(self, factor: float) -> tuple[Step, ...]:
        """NetAdapt's path to a factor, the seed first."""
        return codec.read_lines(self._part(_shrinking(factor)).steps, Step)

    def compared(self) -> tuple[Compared, ...]:
        """All that is trained, as measured; () before that stage."""
        return codec.read_lines(self.run.folder / "compared.jsonl", Compared)

    def walked(self) -> tuple[Walked, ...]:
        """NetAdapt's paths, measured; () before that stage."""
        return codec.read_lines(self.run.folder / "path.jsonl", Walked)

    def trainings(self, one: Compared) -> Iterator[Training]:
        """The trainings of a network that are done."""
        for seed in range(self.plan.seeds):
            file = self.run.checkpoints / f"{self._training(one, seed)}.json"
            if file.exists():
                yield codec.read(file, Training)

    def _calibrate(self) -> None:
        self.setting.device  # noqa: B018  # calibrates, and keeps the model

    def _search(self, name: str, weight: float | None) -> None:
        """A seed for every factor; all evaluations serve all of them."""
        targets = ",".join(map(_target, self.factors))
        with self._derivation(name, targets=targets, reward_exponent=weight) as derivation:
            derivation.seed()

    def _netadapt(self) -> None:
        """From each factor's own seed, as no narrowing of the largest may reach the smallest.

        To the latencies that the search aimed at: measured anew, they would have moved.
        """
        found = self._needed(self._part("search-paper").winners, "search-paper")
        for factor, one in zip(self.factors, codec.read(found, SearchResult).networks, strict=True):
            seed = self.run.folder / "seeds" / f"{factor:g}x.json"
            write_json(seed, networks.to_json(one.arch))
            asked = {"target": _target(factor), "seed_network": str(seed)}
            with self._derivation(_shrinking(factor), **asked) as derivation:
                if not derivation.run.target.exists():
                    keep_targets(derivation.run, [one.target_ms])
                derivation.shrunk()

    def _measure(self) -> None:
        """Everything to be compared, in one sitting: what is derived and what stands beside it."""
        if self.compared():
            return
        for factor in self.factors:
            self._needed(self._part(_shrinking(factor)).shrunk, "netadapt")
        device, found, walked = self.setting.device, [], []
        for name, kind, factor, arch in self._networks():
            measured = device.measure(arch)
            found.append(Compared(name, kind, factor, arch, measured.latency))
        for factor in self.factors:
            for step in self.steps(factor):
                predicted, measured = Latency(step.latency_ms), device.measure(step.arch)
                walked.append(Walked(factor, step.number, predicted, measured.latency))
        for record in walked:
            codec.append(self.run.folder / "path.jsonl", record)
        for one in found:
            codec.append(self.run.folder / "compared.jsonl", one)

    def _networks(self) -> Iterator[tuple[str, str, float, Architecture]]:
        size, device = self.setting.size, self.setting.device
        published = presets.build(PUBLISHED).at(**size)
        published_ms = device.measure(published).ms
        yield PUBLISHED, "published", 1.0, published
        grid = max(GRID, device.model.channel_grid)
        if (wider := Proposer(device.model, grid).widened(published)) is not None:
            yield f"{PUBLISHED}-free-channels", "free channels", 1.0, wider[1]
        for factor, shrunk in self.derived().items():
            yield f"derived-{factor:g}x", "derived", factor, shrunk.arch
            if factor != 1:
                preset = PUBLISHED if factor < 1 else LARGER
                width, arch = narrowest_over(preset, factor * published_ms, device, **size)
                yield f"{preset}-{width:g}", "width multiplier", factor, arch

    def _trainer(self, factor: float) -> Callable[[], None]:
        def train() -> None:
            self._needed(self.run.folder / "compared.jsonl", "measure")
            seeds = self.plan.seeds if factor in self.repeated else 1
            train_all(
                [
                    Candidate(self._training(one, seed), one.arch, self.plan.seed + seed)
                    for seed in range(seeds)
                    for one in self.compared()
                    if one.factor == factor
                ],
                LongTraining(
                    self.setting.budget.signals, self.setting.budget.final, self.run.checkpoints
                ),
                self._executor,
                self._progress,
            )

        return train

    @staticmethod
    def _training(one: Compared, seed: int) -> str:
        """The name of a network's training from one seed."""
        return f"{one.name}-seed{seed}"

    def _likeness(self) -> None:
        """Of both seeds and of every derived network, on this device's model."""
        found = {f"derived-{factor:g}x": one.arch for factor, one in self.derived().items()}
        for name in ("search-paper", "search-derived"):
            if (file := self._part(name).seed).exists():
                found[name] = networks.load(file)
        for name, arch in found.items():
            file = self.run.folder / "likeness" / f"{name}.json"
            if not file.exists():
                like = resemblance(
                    arch,
                    self.setting.device.model,
                    self.setting.space,
                    to=PUBLISHED,
                    count=self.plan.random_networks,
                    seed=self.plan.seed,
                )
                write_whole(file.with_suffix(".svg"), similarity_page.as_svg(like))
                codec.write(file, like)

    @contextmanager
    def _derivation(self, name: str, **more: Any) -> Iterator[Derivation]:
        """A run of its own in a folder of this one, on the device calibrated here."""
        latency = self._needed(self.run.latency, "calibrate")
        plan = self.plan.part(latency=str(latency), **more)
        folder = self._part(name).folder
        with Run.open(
            folder, plan.as_dict(), defaults=Plan.defaults(), command=f"stage {name}"
        ) as run:
            setting = Setting(run, plan, self._progress)
            setting.take(self.setting.images)
            yield Derivation(setting, self._executor)

    def _part(self, name: str) -> Run:
        return Run(self.run.folder / name, {})

    def _needed(self, file: Path, stage: str) -> Path:
        if not file.exists():
            raise UsageError(f"this stage builds on {stage}, which is not done: --stage {stage}")
        return file


def _target(factor: float) -> str:
    return f"{factor:g}x:{PUBLISHED}"


def _shrinking(factor: float) -> str:
    """The folder of NetAdapt's run to a factor."""
    return f"netadapt/{factor:g}x"
