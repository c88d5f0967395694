"""NetAdapt as MobileNetV3 uses it: take one proposal at a time until the target is met.

Yang et al. 2018; Howard et al. 2019, section 4.2.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bneck import records
from bneck.errors import OutOfReach
from bneck.executors import Executor
from bneck.latency.predictor import Predictor
from bneck.machine import ONE_THREAD, Compute
from bneck.netadapt import rules
from bneck.netadapt.fine_tuning import FineTune, StepTrainings
from bneck.netadapt.proposals import GRID, ProposalGenerator
from bneck.netadapt.selection import all_lose_accuracy, best, reference
from bneck.progress import Progress, silent
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.quantities import Accuracy
from bneck.results.record import Proposal, Step
from bneck.space.architecture import Architecture
from bneck.space.backends import weights

UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class NetAdapt:
    """NetAdapt with its settings and its place on disk.

    Attributes:
        model: predicts latencies.
        images: what proposals are fine-tuned on.
        recipe: the T fine-tune steps of each proposal.
        delta_ms: what each proposal must save, 1 % of the seed network's latency in the paper.
        seed: of all random choices.
        steps: the file of ``Step`` records, one per line; step 0 is the seed network.
        folder: keeps every step's weights (``003.safetensors``) and unfinished proposals.
        executor: where proposals are fine-tuned.
        progress: told about every proposal.
        grid: the runtime's block of channels; proposed widths are multiples of it.
        importance: which channels stay: those of largest "l2" norm, or "taylor".
        compute: what each fine-tuning runs on.
    """

    model: Predictor
    images: WorkerImages
    recipe: Recipe
    delta_ms: float
    seed: int
    steps: Path
    folder: Path
    executor: Executor
    progress: Progress = silent
    grid: int = GRID
    importance: str = "l2"
    compute: Compute = ONE_THREAD

    def weights(self, step: int) -> Path:
        """Return the file of the weights of a step's network."""
        return self.folder / f"{step:03d}.safetensors"

    def begin(self, seed_network: Architecture, accuracy: Accuracy | None) -> None:
        """Record the seed network as step 0; its weights must be at ``weights(0)`` already."""
        latency_ms = self.model.predict(seed_network).ms
        records.append(self.steps, Step(0, seed_network, "", latency_ms, accuracy, (), 0.0))

    def done(self) -> tuple[Step, ...]:
        """The steps taken so far, the seed network first."""
        return records.read_lines(self.steps, Step)

    def check_reachable(self, arch: Architecture, target_ms: float) -> None:
        """Raise OutOfReach, which names the fastest, where no narrowing of ``arch`` will do."""
        if self.model.predict(arch).ms <= target_ms:
            return
        fastest_ms = self._generator.fastest_ms(arch)
        if fastest_ms > target_ms:
            raise _out_of_reach(target_ms, fastest_ms)

    def shrink(self, target_ms: float) -> tuple[Step, ...]:
        """Take steps until the network is predicted at or under ``target_ms``; return all of them.

        After an interruption it continues with the proposals that are not fine-tuned yet.

        Raises:
            OutOfReach: not even the narrowest network is predicted under the target (names the
                fastest), or nothing can be narrowed any more (names the latency reached).
            UsageError: a worker cannot serve the request, as it lacks the images.
            BneckError: every proposal of a step failed; the next call tries them again.
        """
        steps = list(self.done())
        for step in steps:  # of one that was killed as it ended
            shutil.rmtree(self._trainings_of(step.number), ignore_errors=True)
        first_ms = steps[0].latency_ms
        self.check_reachable(steps[-1].arch, target_ms)
        while (now_ms := steps[-1].latency_ms) > target_ms:
            where = (
                f"NetAdapt step {len(steps)}, {first_ms:.3g} -> {now_ms:.3g} ms, "
                f"target {target_ms:.3g} ms"
            )
            steps.append(self._step(steps[-1], target_ms, where))
        return tuple(steps)

    def widened(self, before: Step) -> Proposal | None:
        """A step's network with all widths as wide as its predicted latency allows at no cost.

        None where there is nothing to widen.
        """
        move = self._generator.widened(before.arch)
        if move is None:
            return None
        name, arch = move
        latency_ms = self.model.predict(arch).ms
        return Proposal(arch, name, latency_ms, before.latency_ms - latency_ms)

    def widen(self, wider: Proposal) -> Step | None:
        """Take one more step, to what ``widened`` proposed for the last network.

        None where its fine-tuning failed.
        """
        begun = time.monotonic()
        before = self.done()[-1]
        trainings = self._trainings(before)
        found = trainings.round(1, (wider,), "NetAdapt's free channels")
        if found[0].error is not None:
            trainings.clear()
            return None
        return self._take(before, found, None, trainings, begun)

    @property
    def _generator(self) -> ProposalGenerator:
        return ProposalGenerator(self.model, self.grid)

    def _step(self, before: Step, target_ms: float, where: str) -> Step:
        """Fine-tune all proposals, those too close to call twice as long, and take the best.

        Unless there is but one proposal, the network before the step is fine-tuned too: a few
        more steps change a trained network's accuracy too, and proposals are compared with that.
        """
        begun = time.monotonic()
        first, others = self._proposals(before, target_ms)
        unchanged = _unchanged(before)
        trainings = self._trainings(before)
        if len(first) + len(others) == 1:
            found = trainings.round(1, first, where)
            return self._take(before, found, None, trainings, begun)
        *found_first, unchanged = trainings.round(1, (*first, unchanged), where)
        found = tuple(found_first)
        if others and all_lose_accuracy(found, unchanged, trainings.right):
            found += trainings.round(1, others, f"{where}, other savings")
        if ties := rules.settle_ties(found, reference(unchanged, found), trainings.losses):
            again = ties if unchanged.error is not None else (*ties, unchanged)
            longer = {one.move: one for one in trainings.round(2, again, where)}
            found = tuple(longer.get(one.move, one) for one in found)
            unchanged = longer.get(UNCHANGED, unchanged)
        return self._take(before, found, unchanged, trainings, begun)

    def _proposals(
        self, before: Step, target_ms: float
    ) -> tuple[tuple[Proposal, ...], tuple[Proposal, ...]]:
        """Return what to try first, and what to try where all of these lose accuracy.

        Raises:
            OutOfReach: nothing can be narrowed any more.
        """

        def propose(needed_ms: float) -> tuple[Proposal, ...]:
            return self._generator.proposals(before.arch, needed_ms)

        needed_ms = min(self.delta_ms, before.latency_ms - target_ms)
        needed_ms, proposals = rules.halve_the_saving(propose, needed_ms)
        if not proposals:
            raise _out_of_reach(target_ms, before.latency_ms)
        first = rules.near_the_target(proposals, target_ms)
        others = rules.other_savings(proposals, first, propose, needed_ms, self.delta_ms)
        return first, others

    def _trainings(self, before: Step) -> StepTrainings:
        number = before.number + 1
        task = FineTune(
            self.images,
            before.arch,
            weights.to_bytes(weights.load(self.weights(before.number), before.arch)),
            self.recipe,
            self.seed + number,
            self.importance,
            self.compute,
        )
        return StepTrainings(task, self._trainings_of(number), self.executor, self.progress)

    def _trainings_of(self, number: int) -> Path:
        """The folder of a step's fine-tunings, until it ends."""
        return self.folder / f"step-{number:03d}"

    def _take(
        self,
        before: Step,
        found: tuple[Proposal, ...],
        unchanged: Proposal | None,
        trainings: StepTrainings,
        begun: float,
    ) -> Step:
        """Record the best of what was found, and keep its weights."""
        if all(one.error is not None for one in found):
            trainings.clear()  # so that the same command tries them again
        beside = () if unchanged is None else (unchanged,)
        chosen = best(found, reference(unchanged or _unchanged(before), found))
        number = before.number + 1
        weights.save(self.weights(number), weights.load(trainings.weights(chosen), chosen.arch))
        step = Step(
            number,
            chosen.arch,
            chosen.move,
            chosen.latency_ms,
            chosen.accuracy,
            (*found, *beside),
            time.monotonic() - begun,
        )
        records.append(self.steps, step)
        trainings.clear()
        return step


def _unchanged(before: Step) -> Proposal:
    """The network before a step, not fine-tuned."""
    return Proposal(before.arch, UNCHANGED, before.latency_ms, 0.0)


def _out_of_reach(target_ms: float, fastest_ms: float) -> OutOfReach:
    return OutOfReach(
        f"no narrowing reaches {target_ms:.3g} ms; the fastest network found takes "
        f"{fastest_ms:.3g} ms"
    )
