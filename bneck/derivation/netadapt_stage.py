"""The NetAdapt stage of a run: from its seed to a network measured at or under each target."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bneck.derivation.context import Setting
from bneck.derivation.initial_weights import starting_weights
from bneck.derivation.training_stage import Training, keep_trained, train_from_scratch
from bneck.errors import BneckError
from bneck.executors import Executor
from bneck.files import write_json
from bneck.latency.measure import Measured
from bneck.netadapt.netadapt import NetAdapt
from bneck.netadapt.proposals import GRID
from bneck.proxies.data.worker_images import for_signals
from bneck.proxies.training.recipe import Recipe
from bneck.quantities import Accuracy, Latency
from bneck.results import codec
from bneck.results.record import Proposal, Step
from bneck.space import codec as networks
from bneck.space.architecture import Architecture
from bneck.space.backends import weights

TIGHTENINGS = 4
FREE = 0.01
"""What a network may measure longer and still be as fast: two measurements differ by as much."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The network that NetAdapt found for one target.

    ``accuracy`` stands after the short fine-tuning of the step that made it, or after the finish
    where one was asked for; ``met`` where the seed was at the target already.
    """

    target_ms: float
    arch: Architecture
    step: int
    predicted: Latency
    measured: Latency
    accuracy: Accuracy | None
    met: bool


class Shrinking:
    """One pass of NetAdapt through all targets of a plan; every network on the way is kept."""

    def __init__(self, setting: Setting, executor: Executor, seed: Architecture) -> None:
        self.setting = setting
        self.run = setting.run
        self.plan = setting.plan
        self._executor = executor
        self._seed = seed
        self._start = self._given()

    def networks(self) -> tuple[Shrunk, ...]:
        """What came out for each target, the slowest target first; the last is the run's network.

        The model's error on the networks near a target is measured and taken out of the goal, and
        NetAdapt goes on from its last step.
        """
        done = codec.read_lines(self.run.shrunk, Shrunk)
        waiting = sorted(self.setting.targets_ms, reverse=True)[len(done) :]
        if waiting:
            with self.setting.timed("NetAdapt"):
                for target_ms in waiting:
                    codec.append(self.run.shrunk, self._to_target(target_ms))
        return codec.read_lines(self.run.shrunk, Shrunk)

    def steps(self) -> tuple[Step, ...]:
        """All networks on the way, the seed first."""
        return self._netadapt.done()

    def _to_target(self, target_ms: float) -> Shrunk:
        netadapt = self._netadapt
        measured = self._measured(now := netadapt.done()[-1])
        # A seed that measures at the target meets it: nothing was narrowed that could be unsure.
        if (self._sure_ms(measured) if now.number else measured.ms) <= target_ms:
            return self._kept(target_ms, *self._widened(now, measured, target_ms))
        goal_ms = target_ms
        for _ in range(TIGHTENINGS):
            step = netadapt.shrink(goal_ms, self._executor, self.setting.progress)[-1]
            measured = self._measured(step)
            if (sure_ms := self._sure_ms(measured)) <= target_ms:
                return self._kept(target_ms, *self._widened(step, measured, target_ms))
            goal_ms = min(goal_ms, step.latency_ms) * target_ms / sure_ms
        raise BneckError(
            f"the network measures {measured.ms:.3g} ms, above the target of {target_ms:.3g} ms, "
            f"although {step.latency_ms:.3g} ms are predicted: calibrate again on a quieter machine"
        )

    def _measured(self, found: Step | Proposal) -> Measured:
        return self.setting.device.measure(found.arch)

    def _sure_ms(self, measured: Measured) -> float:
        """What has to be within the target, so that the network is under it when measured again.

        Above the measurement by its standard error, or by what the calibration saw measuring again
        differ by, up to FREE.
        """
        repeat = self.setting.device.model.report.repeat_mape_percent / 100
        return measured.ms + max(measured.std_ms, measured.ms * min(repeat, FREE))

    def _widened(self, step: Step, measured: Measured, target_ms: float) -> tuple[Step, Measured]:
        """The step with its free channels, unless it is the seed or they measure as not free."""
        wider = self._netadapt.widened() if step.number > 0 else None
        if wider is None:
            return step, measured
        again = self._measured(wider)
        if again.ms > measured.ms * (1 + FREE) or self._sure_ms(again) > target_ms:
            return step, measured
        return self._netadapt.widen(wider, self._executor, self.setting.progress), again

    def _kept(self, target_ms: float, step: Step, measured: Measured) -> Shrunk:
        """The step's network and weights, finished as asked, in the files of its target."""
        arch = step.arch
        state = weights.load(self._netadapt.weights(step.number), arch)
        accuracy = step.accuracy
        if self.plan.finish is not None:
            trained, state = self._finished(target_ms, arch, state)
            accuracy = trained.accuracy
        several = len(self.setting.targets_ms) > 1
        files = {self.run.network: self.run.weights}
        if several:
            file = self.run.of_target(target_ms)
            files[file] = file.with_suffix(".safetensors")
        for network, tensors in files.items():
            write_json(network, networks.to_json(arch))
            weights.save(tensors, state)
        return Shrunk(
            target_ms=target_ms,
            arch=arch,
            step=step.number,
            predicted=self.setting.device.model.predict(arch),
            measured=measured.latency,
            accuracy=accuracy,
            met=step.number == 0,
        )

    def _given(self) -> tuple[weights.State, bool] | None:
        """The plan's weights, read before anything is timed, and whether they fit as they are."""
        plan = self.plan
        if plan.weights is None or self.run.steps.exists():
            return None
        new_classes = bool(plan.new_classes)
        return starting_weights(
            Path(plan.weights), self._seed, new_classes=new_classes, seed=plan.seed
        )

    def _finished(
        self, target_ms: float, arch: Architecture, state: weights.State
    ) -> tuple[Training, weights.State]:
        return train_from_scratch(
            arch,
            self.setting.images,
            self.setting.budget.final,
            name=f"finished-{target_ms:.4g}ms",
            folder=self.run.checkpoints,
            seed=self.plan.seed,
            progress=self.setting.progress,
            start=state if self.plan.finish == "fine-tune" else None,
        )

    @cached_property
    def _netadapt(self) -> NetAdapt:
        """NetAdapt with its step 0 in place: the seed with its weights."""
        model, seed = self.setting.device.model, self._seed
        netadapt = NetAdapt(
            model=model,
            images=self.setting.budget.signals,
            recipe=self.setting.budget.fine_tune,
            delta_ms=self.plan.delta * model.predict(seed).ms,
            seed=self.plan.seed,
            steps=self.run.steps,
            folder=self.run.checkpoints / "netadapt",
            grid=max(GRID, model.channel_grid),
            importance=self.plan.importance,
        )
        if not self.run.steps.exists():
            netadapt.check_reachable(seed, min(self.setting.targets_ms))  # before any training
            trained, state = self._trained_seed(self.setting.budget.search)
            weights.save(netadapt.weights(0), state)
            netadapt.begin(seed, trained.accuracy)
        return netadapt

    def _trained_seed(self, recipe: Recipe) -> tuple[Training, weights.State]:
        """The seed trained as the search trains, unless the plan brings its weights.

        Where these know other classes, they are where that training begins.
        """
        plan, folder = self.plan, self.run.checkpoints
        images = for_signals(self.setting.budget.signals)
        start, same = self._start or (None, False)
        if start is not None and same:
            return keep_trained(self._seed, start, images, name="seed", folder=folder), start
        return train_from_scratch(
            self._seed,
            images,
            recipe,
            name="seed",
            folder=folder,
            seed=plan.seed,
            progress=self.setting.progress,
            start=start,
        )
