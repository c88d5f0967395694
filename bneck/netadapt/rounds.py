"""The fine-tunings of one NetAdapt step."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from bneck.progress import Progress
from bneck.results import codec
from bneck.results.record import Proposal
from bneck.netadapt.selection import Losses
from bneck.search.evaluate import LOSSES, FineTune, Narrowed, Score
from bneck.executors import Executor, Failed

_NEXT_SEED = 1_000_003


class Tuning:
    """One step's fine-tunings, each kept as it ends, so that the step can go on."""

    def __init__(self, task: FineTune, proposals: tuple[Proposal, ...], folder: Path) -> None:
        self._task, self._folder = task, folder
        self._names = {proposal.move: f"{i:02d}" for i, proposal in enumerate(proposals)}
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "proposals.jsonl"
        self._done = {
            (proposal.move, proposal.rounds): proposal
            for proposal in codec.read_lines(self._journal, Proposal)
            if proposal.loss is not None or proposal.error is not None  # older ones have no loss
        }

    def round(
        self,
        number: int,
        proposals: Iterable[Proposal],
        executor: Executor,
        where: str,
        progress: Progress,
    ) -> tuple[Proposal, ...]:
        """The proposals with their accuracy after T steps more; the second goes on from the first.

        One that fails in the second round keeps the outcome of the first.
        """
        wanted = {proposal.move: replace(proposal, rounds=number) for proposal in proposals}
        waiting = {
            Narrowed(
                proposal.arch,
                self.weights(proposal),
                self._losses(proposal),
                self.weights(replace(proposal, rounds=1)) if number > 1 else None,
            ): proposal
            for proposal in wanted.values()
            if (proposal.move, number) not in self._done
        }
        task = replace(self._task, seed=self._task.seed + (number - 1) * _NEXT_SEED)
        finished = len(wanted) - len(waiting)
        for item, outcome in executor.map_unordered(task, list(waiting)):
            proposal = _with_outcome(waiting[item], outcome)
            codec.append(self._journal, proposal)
            self._done[proposal.move, number] = proposal
            finished += 1
            tie = ", ties settled" if number > 1 else ""
            progress(f"{where}{tie}", finished, len(wanted), proposal.move)
        outcomes = [self._done[move, number] for move in wanted]
        return tuple(self._done[one.move, 1] if one.error is not None else one for one in outcomes)

    def weights(self, proposal: Proposal) -> Path:
        """Where a proposal's fine-tuned weights are."""
        return self._folder / f"{self._names[proposal.move]}-{proposal.rounds}.safetensors"

    def losses(self, proposal: Proposal) -> Losses:
        """(validation images,) cross-entropies that a proposal ended with, in nats."""
        return np.asarray(load_file(self._losses(proposal))[LOSSES], np.float64)

    def _losses(self, proposal: Proposal) -> Path:
        return self.weights(proposal).with_suffix(".losses.safetensors")

    def clear(self) -> None:
        """Remove all that was kept."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _with_outcome(proposal: Proposal, outcome: Score | Failed) -> Proposal:
    if isinstance(outcome, Failed):
        return replace(proposal, accuracy=None, accuracy_stderr=None, error=outcome.reason)
    return replace(
        proposal, accuracy=outcome.accuracy, accuracy_stderr=outcome.stderr, loss=outcome.loss
    )
