"""NetAdapt as MobileNetV3 uses it: take one proposal at a time until the target is met.

Yang et al. 2018; Howard et al. 2019, section 4.2.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.executors import Executor
from bneck.latency.predictor import Predictor
from bneck.netadapt.fine_tuning import FineTune, Tuning
from bneck.netadapt.proposals import GRID, Proposer
from bneck.netadapt.selection import all_lose, choose, standard, tied
from bneck.progress import Progress, silent
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.quantities import Accuracy
from bneck.results.record import Proposal, Step
from bneck.space.architecture import Architecture

HALVINGS = 5
UNCHANGED = "unchanged"
MOST_UNDER = 0.03
"""Latency that a proposal may leave unused below the target, as a share of it."""


@dataclass(frozen=True, slots=True)
class NetAdapt:
    """How to shrink.

    Attributes:
        delta_ms: what each proposal must save, 1 % of the seed's latency in the paper.
        recipe: the T fine-tune steps of each proposal.
        folder: keeps every step's weights (``003.safetensors``) and unfinished proposals.
        steps: the file of ``Step`` records, one a line; step 0 is the seed.
        grid: the runtime's block of channels, which widths land on.
        importance: which channels stay: those of largest "l2" norm, or "taylor".
    """

    model: Predictor
    images: WorkerImages
    recipe: Recipe
    delta_ms: float
    seed: int
    steps: Path
    folder: Path
    grid: int = GRID
    importance: str = "l2"

    def weights(self, step: int) -> Path:
        """Where the weights of a step's network are."""
        return self.folder / f"{step:03d}.safetensors"

    def begin(self, seed: Architecture, accuracy: Accuracy | None) -> None:
        """Record the seed as step 0; its weights must stand at ``weights(0)`` already."""
        first = Step(0, seed, "", self.model.predict(seed).ms, accuracy, (), 0.0)
        records.append(self.steps, first)

    def done(self) -> tuple[Step, ...]:
        """The steps taken so far, the seed first."""
        return records.read_lines(self.steps, Step)

    def check_reachable(self, arch: Architecture, target_ms: float) -> None:
        """Raise UsageError, which names the fastest, where no narrowing of ``arch`` will do."""
        if self.model.predict(arch).ms <= target_ms:
            return
        fastest_ms = self._proposer.fastest_ms(arch)
        if fastest_ms > target_ms:
            raise UsageError(
                f"no narrowing reaches {target_ms:.3g} ms; the fastest network found takes "
                f"{fastest_ms:.3g} ms"
            )

    def shrink(
        self, target_ms: float, executor: Executor, progress: Progress = silent
    ) -> tuple[Step, ...]:
        """Take steps until the network is predicted at or under ``target_ms``; returns all of them.

        Interrupted, it goes on with the proposals that are not fine-tuned yet.

        Raises:
            UsageError: not even the narrowest network is predicted under the target (names the
                fastest).
            BneckError: nothing can be narrowed any more (names the latency reached), or every
                proposal of a step failed.
        """
        steps = list(self.done())
        first_ms = steps[0].latency_ms
        self.check_reachable(steps[-1].arch, target_ms)
        while (now_ms := steps[-1].latency_ms) > target_ms:
            where = (
                f"NetAdapt step {len(steps)}, {first_ms:.3g} -> {now_ms:.3g} -> {target_ms:.3g} ms"
            )
            steps.append(self._step(steps[-1], target_ms, executor, where, progress))
        return tuple(steps)

    def widened(self) -> Proposal | None:
        """The last network with all widths as wide as its predicted latency allows for nothing.

        None where there is nothing to widen.
        """
        before = self.done()[-1]
        move = self._proposer.widened(before.arch)
        if move is None:
            return None
        name, arch = move
        latency_ms = self.model.predict(arch).ms
        return Proposal(arch, name, latency_ms, before.latency_ms - latency_ms)

    def widen(self, wider: Proposal, executor: Executor, progress: Progress = silent) -> Step:
        """One more step, to what ``widened`` proposed."""
        where = "NetAdapt's free channels"
        return self._take(self.done()[-1], (wider,), (), executor, where, progress)

    @property
    def _proposer(self) -> Proposer:
        return Proposer(self.model, self.grid)

    def _step(
        self, before: Step, target_ms: float, executor: Executor, where: str, progress: Progress
    ) -> Step:
        first, spare = self._proposals(before, target_ms)
        return self._take(before, first, spare, executor, where, progress)

    def _proposals(
        self, before: Step, target_ms: float
    ) -> tuple[tuple[Proposal, ...], tuple[Proposal, ...]]:
        """Which to try, and which besides where all of these lose accuracy.

        The first save delta, or what is left to the target, and end at most 3 % under it, if any
        does. The others end farther under it, or save half as much.
        """
        needed_ms = min(self.delta_ms, before.latency_ms - target_ms)
        for _ in range(HALVINGS):
            if proposals := self._proposer.proposals(before.arch, needed_ms):
                least_ms = (1 - MOST_UNDER) * target_ms
                first = tuple(one for one in proposals if one.latency_ms >= least_ms) or proposals
                if (half_ms := needed_ms / 2) >= self.delta_ms / 2**HALVINGS:
                    proposals += self._proposer.proposals(before.arch, half_ms)
                moves = {one.move for one in first}
                spare = {one.move: one for one in proposals if one.move not in moves}
                return first, tuple(spare.values())
            needed_ms /= 2
        raise BneckError(
            f"no narrowing reaches {target_ms:.3g} ms; the fastest network found takes "
            f"{before.latency_ms:.3g} ms"
        )

    def _take(
        self,
        before: Step,
        first: tuple[Proposal, ...],
        spare: tuple[Proposal, ...],
        executor: Executor,
        where: str,
        progress: Progress,
    ) -> Step:
        """Fine-tune all proposals, those too close to call twice as long, and keep the best.

        The ``spare`` ones only where the first all lose accuracy. Unless there is but one proposal,
        the network as it was is fine-tuned too: a few steps more change what a trained network
        knows, and what a proposal costs is what it ends lower than that.
        """
        begun = time.monotonic()
        beside: tuple[Proposal, ...]
        number = before.number + 1
        unchanged = Proposal(before.arch, UNCHANGED, before.latency_ms, 0.0)
        tuning = Tuning(
            FineTune(
                self.images,
                before.arch,
                self.weights(before.number),
                self.recipe,
                self.seed + number,
                self.importance,
            ),
            (*first, *spare, unchanged),
            self.folder / f"step-{number:03d}",
        )
        if len(first) + len(spare) == 1:
            found, beside = [*tuning.round(1, first, executor, where, progress)], ()
        else:
            *found, unchanged = tuning.round(1, (*first, unchanged), executor, where, progress)
            if spare and all_lose(found, unchanged):
                found += tuning.round(1, spare, executor, f"{where}, other savings", progress)
            if close := tied(found, standard(unchanged, found), tuning.losses):
                again = tuning.round(2, (*close, unchanged), executor, where, progress)
                longer = {one.move: one for one in again}
                found = [longer.get(one.move, one) for one in found]
                unchanged = longer[UNCHANGED]
            beside = (unchanged,)
        chosen = choose(found, standard(unchanged, found))
        shutil.copyfile(tuning.weights(chosen), self.weights(number))
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
        tuning.clear()
        return step
