"""MobileNetV3-Small's derivation as a recorded plan of stages, each leaving files, each resumable.

Howard et al. 2019, sections 4.1 and 4.2. The paper's seed is not published, so what is repeated is
the procedure; everything compared is trained by one recipe and measured in one session.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.similarity import similarity_to
from bneck.derivation.stages.calibration import calibration_stage
from bneck.derivation.stages.data import RunData, data_stage, keep_facts
from bneck.derivation.stages.long_trainings import TrainingJob
from bneck.derivation.stages.netadapt import netadapt_stage
from bneck.derivation.stages.search import search_stage
from bneck.derivation.stages.target import target_stage
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.stages.training import train_jobs
from bneck.derivation.target import keep_targets
from bneck.derivation.training_budget import budget
from bneck.errors import NotReady
from bneck.files import is_written
from bneck.quantities import Latency
from bneck.reproduction.allowed_changes import check_change
from bneck.reproduction.compared_networks import networks_to_compare
from bneck.reproduction.measuring import MeasuredNetwork, MeasuredStep, measured_in_turns
from bneck.reproduction.plan import ReproductionPlan, numbers
from bneck.reproduction.results import ReproductionResults, netadapt_folder, training_name
from bneck.results import static_figures
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult
from bneck.space import codec, spaces
from bneck.space.backends import weights
from bneck.space.choices import Space
from bneck.space.presets import MOBILENET_V3_SMALL

PAPERS_WEIGHT = -0.15


class Reproduction:
    """The stages in order, by the names that the plan gives them."""

    def __init__(self, plan: ReproductionPlan, session: Session) -> None:
        self.run, self.plan, self.session = session.run, plan, session
        self.results = ReproductionResults(session.run, plan)
        self._known: RunData | None = None
        self.factors = self.results.factors
        self.repeated = numbers("repeated", plan.repeated)
        self.stages: Mapping[str, Callable[[], object]] = {
            "calibrate": self._calibrate,
            "search-paper": partial(self._search, "search-paper", PAPERS_WEIGHT),
            "search-derived": partial(self._search, "search-derived", None),
            "netadapt": self._netadapt,
            "measure": self._measure,
            **{
                f"train-{factor:g}": partial(self._train, factor) for factor in plan.trained_factors
            },
            "measure-trained": self._measure_trained,
            "likeness": self._likeness,
        }

    def _data(self) -> RunData:
        """Read the images' facts once for all stages of this process."""
        if self._known is None:
            self._known = data_stage(self.session)
        return self._known

    def _space(self) -> Space:
        return spaces.build(self.plan.space, **self._data().size)

    def _calibrate(self) -> TargetDevice:
        """Calibrate, or read the model that the run holds."""
        return calibration_stage(self.session, self._space())

    def _search(self, name: str, weight: float | None) -> None:
        """Search a seed network for every factor; all evaluations serve all of them."""
        targets = ",".join(map(_target, self.factors))
        with self._session_of(name, targets=targets, reward_exponent=weight) as session:
            space = self._space()
            device = calibration_stage(session, space)
            targets_ms = target_stage(session, self._data(), device)
            search_stage(session, self._data(), space, device, targets_ms)

    def _netadapt(self) -> None:
        """Narrow each factor's own seed, as no narrowing of the largest may reach the smallest.

        To the latencies that the search aimed at: measured again, they would differ.
        """
        found = self._needed(self.results.part("search-paper").winners, "search-paper")
        for factor, one in zip(
            self.factors, records.read(found, SearchResult).networks, strict=True
        ):
            seed = self.run.folder / "seeds" / f"{factor:g}x.json"
            records.write(seed, one.arch)
            asked = {"target": _target(factor), "seed_network": str(seed)}
            with self._session_of(netadapt_folder(factor), **asked) as session:
                if not is_written(session.run.target):
                    keep_targets(session.run, [one.target_ms])
                if not is_written(session.run.seed):
                    records.write(session.run.seed, one.arch)
                device = calibration_stage(session, self._space())
                targets_ms = target_stage(session, self._data(), device)
                netadapt_stage(session, self._data(), device, targets_ms, one.arch, given=False)

    def _measure(self) -> None:
        """Measure in one session all networks that are compared, and every step of the paths."""
        if self.results.compared():
            return
        for factor in self.factors:
            self._needed(self.results.netadapt_run(factor).shrunk, "netadapt")
        device, progress = self._calibrate(), self.session.progress
        found: list[MeasuredNetwork] = []
        timed: list[MeasuredStep] = []
        progress("measuring networks", 0, 1)
        for name, kind, factor, arch in networks_to_compare(
            device, self.results.derived(), **self._data().size
        ):
            measured = device.measure(arch)
            found.append(MeasuredNetwork(name, kind, factor, arch, measured.latency, measured.note))
        progress("measuring networks", 1, 1)
        steps = [(factor, step) for factor in self.factors for step in self.results.steps(factor)]
        for done, (factor, step) in enumerate(steps):
            progress("measuring steps", done, len(steps), f"{step.number} to {factor:g}x")
            predicted, measured = Latency(step.latency_ms), device.measure(step.arch)
            timed.append(MeasuredStep(factor, step.number, predicted, measured.latency))
        progress("measuring steps", len(steps), len(steps))
        records.write_lines(self.results.measured_steps_file, timed)
        records.write_lines(self.results.compared_file, found)

    def _measure_trained(self) -> None:
        """Measure all networks again in one session, in turns, with their trained weights.

        Weights can change a latency: denormal ones are slow.
        """
        if self.results.measured_again():
            return
        self._needed(self.results.compared_file, "measure")
        compared, device = self.results.compared(), self._calibrate()
        for one in compared:
            self._needed(self.results.training_files(one, 0).result, f"train-{one.factor:g}")
        networks = {
            one.name: (
                one.arch,
                weights.load(self.results.training_files(one, 0).weights, one.arch),
            )
            for one in compared
        }
        records.write_lines(
            self.results.trained_ms_file,
            measured_in_turns(networks, device.measure, self.session.progress),
        )

    def _train(self, factor: float) -> None:
        """Train the networks of one factor, once or from each seed."""
        self._needed(self.results.compared_file, "measure")
        seeds = self.plan.seeds if factor in self.repeated else 1
        jobs = [
            TrainingJob(training_name(one, seed), one.arch, self.plan.seed + seed)
            for seed in range(seeds)
            for one in self.results.compared()
            if one.factor == factor
        ]
        train_jobs(self.session, budget(self.session.plan, self._data().info), jobs)

    def _likeness(self) -> None:
        """Compare both seeds and every derived network with V3-Small, by this device's model."""
        self._needed(self.results.part("search-paper").seed, "search-paper")
        found = {f"derived-{factor:g}x": one.arch for factor, one in self.results.derived().items()}
        for name in ("search-paper", "search-derived"):
            if is_written(file := self.results.part(name).seed):
                found[name] = codec.load(file)
        for name, arch in found.items():
            file = self.run.folder / "likeness" / f"{name}.json"
            if not is_written(file):
                like = similarity_to(
                    arch,
                    self._calibrate().model,
                    self._space(),
                    to=MOBILENET_V3_SMALL,
                    count=self.plan.random_networks,
                    seed=self.plan.seed,
                )
                static_figures.save(static_figures.similarity(like), file.with_suffix(".svg"))
                records.write(file, like)

    @contextmanager
    def _session_of(self, name: str, **more: Any) -> Iterator[Session]:
        """A session on a run of its own in a folder of this one, on the device calibrated here."""
        latency = self._needed(self.run.latency, "calibrate")
        plan = self.plan.part(latency=str(latency), **more)
        folder = self.results.part(name).folder
        opened = Run.open(
            folder,
            plan.as_dict(),
            defaults=Plan.defaults(),
            command=f"stage {name}",
            change=check_change,
        )
        with opened as run, run.end_noted():
            session = replace(self.session, run=run, plan=plan)
            keep_facts(session, self._data())
            yield session

    def _needed(self, file: Path, stage: str) -> Path:
        if not is_written(file):
            raise NotReady(f"this stage builds on {stage}, which is not done: --stage {stage}")
        return file


def _target(factor: float) -> str:
    return f"{factor:g}x:{MOBILENET_V3_SMALL}"
