"""The whole derivation, stage by stage; each stage leaves a file and is skipped where it is there.

Calibrate -> search a seed -> NetAdapt to the target -> train from scratch -> measure -> export.
"""

import shutil
from dataclasses import replace

from bneck.derivation.context import Setting, keep_targets
from bneck.derivation.netadapt_stage import Shrinking, Shrunk
from bneck.derivation.plan import Plan
from bneck.derivation.report import write_report
from bneck.derivation.search_stage import Searching
from bneck.derivation.similarity import resemblance
from bneck.derivation.training_stage import Training, train_from_scratch
from bneck.errors import BneckError
from bneck.executors import Executor
from bneck.files import read_json, write_json
from bneck.results import codec, metadata
from bneck.results.exports import Trained, export
from bneck.results.networks import load_network
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.search.selection import SearchResult, SelectedNetwork
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.cost import cost

BASELINE = "mobilenet_v3_small"
RANDOM_NETWORKS = 200
"""Those that the derived network's likeness is judged against: a few seconds' work."""

SHARED = ("images.json", "latency.json", "journal.log", "baselines.jsonl", "seconds.json")
"""What the derivations for several targets have in common, by its name in a run's folder."""


class Derivation:
    """The stages of a run, in the order they build on each other."""

    def __init__(self, setting: Setting, executor: Executor) -> None:
        self.setting = setting
        self.run = setting.run
        self.plan = setting.plan
        self._executor = executor

    def seed(self) -> Architecture:
        """The plan's start, or the network that the search names."""
        if not self.run.seed.exists():
            if self.plan.seed_network:
                _, arch = load_network(self.plan.seed_network, **self.setting.size)
            else:
                arch = self.winners()[0].arch
            write_json(self.run.seed, networks.to_json(arch))
        return networks.load(self.run.seed)

    def winners(self) -> tuple[SelectedNetwork, ...]:
        """What the search names for each target, the first being the seed."""
        return Searching(self.setting, self._executor).winners()

    def worth(self) -> str:
        """Whether one more evaluation in the search is worth its time."""
        return Searching(self.setting, self._executor).worth()

    def shrinking(self) -> Shrinking:
        """NetAdapt from the seed on."""
        return Shrinking(self.setting, self._executor, self.seed())

    def shrunk(self) -> Shrunk:
        """The network that *measures* at or under the target, the fastest of several."""
        return self.shrinking().networks()[-1]

    def finish(self) -> Outcome:
        """Train the derived network and the baseline from scratch, measure, export, report."""
        if self.run.result.exists():
            return codec.read(self.run.result, Outcome)
        arch = self.shrunk().arch
        with self.setting.timed("final training"):
            trained, state = self.train("derived", arch)
            self.baselines()
        measured = self.setting.device.measure(arch)
        predicted = self.setting.device.model.predict(arch)
        counted = cost(arch)
        self._compare_with_published(arch)
        self._export(arch, state, metadata.measured(trained.accuracy, measured.latency))
        outcome = Outcome(
            arch=arch,
            target_ms=self.setting.target_ms,
            predicted=predicted,
            measured=measured.latency,
            accuracy=trained.accuracy,
            params=counted.params,
            macs=counted.macs,
            seconds=sum(read_json(self.run.seconds).values()),
        )
        codec.write(self.run.result, outcome)
        return outcome

    def _compare_with_published(self, arch: Architecture) -> None:
        """Note how much the network resembles the baseline; there may be none to compare with."""
        progress, plan = self.setting.progress, self.plan
        try:
            found = resemblance(
                arch,
                self.setting.device.model,
                self.setting.space,
                to=BASELINE,
                count=RANDOM_NETWORKS,
                seed=plan.seed,
            )
        except BneckError as error:
            progress("likeness", 1, 1, str(error))
        else:
            codec.write(self.run.likeness, found)
            progress("likeness", 1, 1)

    def finish_all(self) -> tuple[Outcome, ...]:
        """Finish every target of the plan, in the plan's order; the search is shared by all.

        The first target's network is the run's own. Each other one is derived in a run of its own
        inside the run, which can be looked at and exported from like any other.
        """
        setting, plan = self.setting, self.plan
        if len(setting.targets_ms) == 1:
            return (self.finish(),)
        self.seed()
        own, *others = zip(plan.aimed_at, setting.targets_ms, self.winners(), strict=True)
        if not self.run.result.exists():
            with setting.timed("final training"):
                self.baselines()
            with setting.timed("other targets"):
                for target, target_ms, winner in others:
                    self._finish_other(target, target_ms, winner)
        first = Derivation(setting.for_target(self.run, *own[:2]), self._executor).finish()
        return first, *(self._outcome_of(target_ms) for _, target_ms, _ in others)

    def _finish_other(self, target: str, target_ms: float, winner: SelectedNetwork) -> None:
        folder, plan = self.run.run_of_target(target_ms), self.plan
        plan = replace(plan, target=target, targets=None)
        with Run.open(folder, plan.as_dict(), defaults=Plan.defaults()) as run:
            if not run.target.exists():
                for name in SHARED:
                    shutil.copyfile(self.run.folder / name, folder / name)
                codec.write(run.winners, SearchResult((winner,)))
                write_json(run.seed, networks.to_json(winner.arch))
                keep_targets(run, [target_ms])
            setting = self.setting.for_target(run, target, target_ms)
            Derivation(setting, self._executor).finish()
            write_report(run)

    def _outcome_of(self, target_ms: float) -> Outcome:
        return codec.read(Run(self.run.run_of_target(target_ms), {}).result, Outcome)

    def baselines(self) -> tuple[Baseline, ...]:
        """MobileNetV3-Small, trained and measured the same way."""
        if not self.run.baselines.exists():
            baseline = presets.build(BASELINE).at(**self.setting.size)
            codec.append(self.run.baselines, self._as_baseline(BASELINE, baseline))
        return codec.read_lines(self.run.baselines, Baseline)

    def train_start(self) -> Training:
        """Train and export the plan's start, without any search."""
        arch = self.seed()
        training, state = self.train("network", arch)
        write_json(self.run.network, networks.to_json(arch))
        self._export(arch, state, metadata.measured(training.accuracy))
        return training

    def train(self, name: str, arch: Architecture) -> tuple[Training, weights.State]:
        """Train from scratch by the plan's final recipe, or read what was trained before."""
        return train_from_scratch(
            arch,
            self.setting.images,
            self.setting.budget.final,
            name=name,
            folder=self.run.checkpoints,
            seed=self.plan.seed,
            progress=self.setting.progress,
        )

    def _export(self, arch: Architecture, state: weights.State, figures: dict[str, str]) -> None:
        """The run's weights and ONNX file, with what a user of the file must know."""
        weights.save(self.run.weights, state)
        trained = Trained(arch, state, metadata.notes(self.run) | figures)
        export(trained, "onnx", self.run.onnx)

    def _as_baseline(self, name: str, arch: Architecture) -> Baseline:
        trained, _ = self.train(name, arch)
        measured, counted = self.setting.device.measure(arch), cost(arch)
        return Baseline(
            name=name,
            arch=arch,
            measured=measured.latency,
            accuracy=trained.accuracy,
            params=counted.params,
            macs=counted.macs,
            seconds=trained.seconds,
        )
